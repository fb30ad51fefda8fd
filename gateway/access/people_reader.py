"""Everybody whom a phone system has, read for its own customer: outside any visit, and nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from connectors.contract import Credential, Person, Target
from connectors.errors import ConnectorError
from connectors.registry import families
from gateway.access.dials import Dials
from gateway.errors import UnavailableError
from gateway.model import PhoneSystem
from gateway.vault import Vault

_PAGE: Final = 200


class PeopleReader:
    """Dials, checks the phone system's identity, and only then unseals its credential, as a visit does; each use of
    the credential is written down as ours (dials.py)."""

    def __init__(self, dials: Dials, vault: Vault) -> None:
        self._dials, self._vault = dials, vault

    async def pages(self, system: PhoneSystem) -> AsyncIterator[tuple[Person, ...]]:
        """Page by page. UnavailableError when it cannot be reached or does not answer."""
        family = families().get(system.connector)
        if family is None:
            raise UnavailableError(
                "This phone system cannot be read here.", next_step="Ring your telephone maintainer."
            )

        async def unseal() -> Credential:
            return self._vault.open_credential(system.customer_id, system.id, system.sealed_credential)

        try:
            settings = family.settings_model.model_validate_json(system.settings_json)
            target = Target(system.id, system.host, system.port, system.pin, settings)
            connector = await self._dials.connect(system, target, unseal, "addresses")
            try:
                cursor: str | None = None
                while True:
                    page = await connector.people(cursor, _PAGE)
                    yield page.people
                    cursor = page.cursor
                    if cursor is None:
                        return
            finally:
                await connector.close()
        except ConnectorError as error:
            raise UnavailableError(
                f"The phone system could not be read: {error.message}.",
                next_step="Try again in a while; if it stays so, ring your telephone maintainer.",
            ) from error
