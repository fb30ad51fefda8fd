"""`frameroom audit reader …`: tokens by which a customer reads their own log over HTTP."""

from __future__ import annotations

from gateway.access.readers import Readers
from gateway.wiring.admin.base import Base, Row, when


class ReaderCommands(Base):
    """Tokens."""

    def _readers(self) -> Readers:
        return Readers(self._parts.store, self._parts.audit)

    async def do_audit_reader_add(self, actor: str, customer: str, name: str) -> Row:
        """The token, once."""
        log = await self._customer(customer)
        reader, token = await self._readers().add(actor, log, name)
        url = self._app.portal_url() if self._app is not None else self._parts.settings.portal.url or ""
        return {"id": reader, "token": token, "log": f"{url}/log/{log}/checkpoint"}

    async def do_audit_reader_list(self, actor: str, customer: str) -> list[Row]:
        """Without the tokens, which nobody has."""
        rows = await self._readers().of(await self._customer(customer))
        return [
            {"id": r.id, "name": r.name, "added": when(r.added_ms), "removed": when(r.removed_ms)} for r in rows
        ]  # fmt: skip

    async def do_audit_reader_remove(self, actor: str, customer: str, reader: str) -> Row:
        """End one."""
        await self._readers().remove(actor, await self._customer(customer), reader)
        return {"removed": reader}
