"""What may be typed at a phone system's prompt: shown in words, and commands of it switched on, signed, and off."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from connectors.console import Class, Entry, catalogue
from connectors.operations import Operation
from connectors.registry import families, weakens
from gateway import notify
from gateway.access.console import ConsoleLists, offered
from gateway.errors import InvalidError, NotPermittedError
from gateway.identity.passkeys import Passkeys
from gateway.portal.page import Asked, Page, Who
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, systems


def _has_console(connector: str) -> bool:
    family = families().get(connector)
    operations = family.capabilities().operations if family is not None else frozenset[Operation]()
    return any(kind.operation in operations for kind in Class)


def _told(entry: Entry) -> dict[str, str]:
    return {"usage": entry.usage(), "shows": entry.shows, "kind": entry.kind.value, "name": entry.name}


class ConsolePages:
    """Which phone systems have a prompt, and one of them. `ring` says whom to ring."""

    def __init__(self, store: Store, lists: ConsoleLists, passkeys: Passkeys, ring: str) -> None:
        self._store, self._lists, self._passkeys, self._ring = store, lists, passkeys, ring

    def pages(self) -> list[Page]:
        """All of them."""
        one = "/console/{system}"
        return [
            Page("GET", "/console", Who.SIGNED_IN, self.all),
            Page("GET", one, Who.SIGNED_IN, self.show),
            Page("POST", one + "/options", Who.APPROVER, self.options),
            Page("POST", one + "/yes", Who.APPROVER, self.sign),
            Page("POST", one + "/off", Who.APPROVER, self.off),
        ]

    async def all(self, asked: Asked) -> Response:
        """The customer's phone systems, and how many more commands are on at each."""
        rows = []
        async with self._store.look(asked.customer_id) as scope:
            agreed = await self._agreed(scope)
            here = (systems.c.customer_id == scope.customer_id) & systems.c.removed_ms.is_(None)
            query = select(systems.c.id, systems.c.name, systems.c.connector).where(here).order_by(systems.c.name)
            for row in (await scope.execute(query)).all():
                if _has_console(row.connector):
                    listed, _ = await self._lists.standing(scope, row.id)
                    rows.append({"id": row.id, "name": notify.plain(row.name), "on": len(listed.entries)})
        return asked.show("console.html", rows=rows, agreed=agreed, ring=self._ring)

    async def _agreed(self, scope: Scope) -> bool:
        try:
            await self._lists.needed(scope)
        except NotPermittedError:
            return False
        return True

    async def show(self, asked: Asked) -> Response:
        """One phone system's list, and what can be switched on."""
        async with self._store.look(asked.customer_id) as scope:
            system = await self._lists.system(scope, asked.path("system"))
            listed, waiting = await self._lists.standing(scope, system.id)
            agreed = await self._agreed(scope)
            needed = await self._lists.needed(scope) if agreed else 1
            mine = approvers.c.customer_id == scope.customer_id
            names = {r.id: r.name for r in await scope.execute(select(approvers.c.id, approvers.c.name).where(mine))}
        more = offered(system.connector)
        usual = [_told(e) for e in catalogue(system.connector) if not e.extra] if _has_console(system.connector) else []
        return asked.show(
            "console_list.html", system={"id": system.id, "name": notify.plain(system.name)}, agreed=agreed,
            version=listed.version, weakened=weakens(system.connector, system.settings), needed=needed,
            usual=usual, ring=self._ring,
            more=[_told(entry) | {"on": name in listed.entries} for name, entry in more.items()],
            waiting=[_waiting(one.entries, one.signers, more, names, asked.who.approver_id) for one in waiting],
        )  # fmt: skip

    async def options(self, asked: Asked) -> Response:
        """What the passkey is to sign: just these on."""
        version, entries, me = _version(asked), _entries(asked), asked.who
        async with self._store.look(me.customer_id) as scope:
            words = await self._lists.drawn(scope, asked.path("system"), version, entries)
            return JSONResponse(await self._passkeys.signing_options(scope, me.approver_id, words.digest))

    async def sign(self, asked: Asked) -> Response:
        """The signature."""
        me, system = asked.who, asked.path("system")
        answer = asked.sent.get("answer")
        await self._lists.sign(me.customer_id, me.approver_id, system, _version(asked), _entries(asked), answer)
        return JSONResponse({"go": f"/console/{system}"})

    async def off(self, asked: Asked) -> Response:
        """Everything that was switched on, off again."""
        me, system = asked.who, asked.path("system")
        await self._lists.all_off(me.customer_id, me.approver_id, system, me.name)
        return asked.go(f"/console/{system}")


def _waiting(
    entries: tuple[str, ...], signers: tuple[str, ...], more: Any, names: dict[str, str], me: str
) -> dict[str, Any]:
    return {
        "entries": [{"name": name, "usage": more[name].usage() if name in more else name} for name in entries],
        "by": ", ".join(notify.plain(names.get(one, "an approver")) for one in signers), "count": len(signers),
        "mine": me in signers,
    }  # fmt: skip


def _version(asked: Asked) -> int:
    version = asked.sent.get("version")
    if type(version) is not int:
        raise InvalidError("that names no version", next_step="Load the page again.")
    return version


def _entries(asked: Asked) -> list[str]:
    """The commands that are ticked."""
    given = asked.sent.get("operations")
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given) or len(given) > 100:
        raise InvalidError("that names no commands", next_step="Load the page again.")
    return sorted(set(given))
