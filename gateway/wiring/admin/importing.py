"""What `frameroom import` and `frameroom system credential` ask of a deployment: a part of Admin."""

from __future__ import annotations

from connectors.contract import NO_CONNECTOR, Credential
from connectors.registry import families
from gateway.access.columns import KINDS
from gateway.access.importing import TOGETHER, Given, Importer
from gateway.errors import InvalidError, StateError, UsageError
from gateway.wiring.admin.base import Base, Row
from gateway.wiring.admin.trying import check_credential, not_as_it_should_be, tried_again
from gateway.wiring.login_watch import LoginWatch


class ImportCommands(Base):
    """Mixed into Admin."""

    def _importer(self) -> Importer:
        parts = self._parts
        return Importer(parts.store, parts.audit, parts.vault, parts.settings.deployment.company_domains)

    async def do_import_rows(self, actor: str, customers: list[Row], plan: bool) -> list[list[Row]]:
        """Rows of some customers ({customer, rows: [{kind, cells, credential}]}); a result for each row, in order."""
        taken = []
        importer = self._importer()
        for one in customers:
            rows = [Given(row["kind"], row["cells"], row.get("credential")) for row in one["rows"]]
            if len(rows) > TOGETHER * 2 or any(row.kind not in KINDS for row in rows):
                raise UsageError("those are no rows to be imported")
            results = await importer.take(actor, one["customer"], rows, plan)
            taken.append([{"result": result, "words": words} for result, words in results])
        return taken

    async def do_system_credential(
        self, actor: str, system: str, login: str, password: str | None, private_key: str | None,
        customer: str | None = None, untried: bool = False,
    ) -> Row:  # fmt: skip
        """Give a phone system its credential, or a new one, that was tried, unless `untried`."""
        if password is None and private_key is None:
            raise UsageError("Give --password-file or --key-file; both where the connector's page says so.")
        found = await self._system(system, customer)
        if found.connector == NO_CONNECTOR:
            raise InvalidError(
                "a phone system without a connector takes no credential: nothing is ever reached",
                next_step="Nothing was kept.",
            )
        if found.removed:
            raise StateError("it is out of service", next_step="Nothing was kept.")
        family = families().get(found.connector)
        if family is None:
            raise InvalidError(f"its connector {found.connector} is not installed here", next_step="Nothing was kept.")
        check_credential(family, {"key": private_key, "password": password})
        credential = Credential(login, password, private_key)
        lines = [] if untried else await tried_again(LoginWatch(self._parts), found, credential)
        await self._importer().give_credential(actor, found.customer_id, found.id, credential)
        told: Row = {"system": found.name, "credential": "sealed", "tried": "no" if untried else "yes"}
        return told | not_as_it_should_be(lines)
