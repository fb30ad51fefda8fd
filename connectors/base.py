"""What a connector need not write: its answers for what its phone system has not, and the settings of one without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from connectors.contract import (
    Capabilities,
    Change,
    Device,
    DiagCommand,
    Person,
    ResetDone,
    Secret,
    SecretKind,
    SecretRules,
)
from connectors.errors import NotSupported

_FIELDS: Final = {"name": "a name", "email": "an address", "ddi": "a direct number"}


class NoSettings(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConnectorBase(ABC):
    """The rest of `contract.Connector`, by the reasons of `Capabilities.cannot`: no passwords, telephones that are not
    told, no console. What there is, a connector says itself."""

    instead: str | None = None
    """What to do, for whoever is told that a field or a password cannot be changed here."""

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Of this very phone system, or of any of its family."""

    @abstractmethod
    async def view(self, person_id: str) -> Person:
        """One person. NotFound when there is none."""

    def _why(self, what: str) -> str:
        return self.capabilities().cannot.get(what, "this connector does not say why")

    def alters_only(self, change: Change, *fields: str) -> None:
        """NotSupported when the change is of any other field; nothing was sent."""
        for field in change.fields():
            if field not in fields:
                said = f"{_FIELDS[field]} cannot be changed here: {self._why(field)}"
                raise NotSupported(said, next_step=self.instead)

    def _no_secret(self, kind: SecretKind) -> NotSupported:
        why = self._why(kind.operation.value)
        return NotSupported(f"that password cannot be reset here: {why}", next_step=self.instead)

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """There is no such secret. NotSupported."""
        raise self._no_secret(kind)

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """There is no such secret. NotSupported."""
        raise self._no_secret(kind)

    async def devices(self, person_id: str) -> Sequence[Device]:
        """One line that says that it cannot be told."""
        await self.view(person_id)
        return (Device(f"not known: {self._why('devices')}", None),)

    async def diag(self, command: DiagCommand) -> AsyncGenerator[bytes]:
        """There is no console. NotSupported."""
        raise NotSupported(f"diagnostics are not possible here: {self._why('diag')}")
        yield b""
