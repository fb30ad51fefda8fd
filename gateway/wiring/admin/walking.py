"""The walk to a phone system: reach, identity, credential, what that could read. Where it ended, what held before that,
and what was not tried."""

from __future__ import annotations

from typing import Final

from connectors.contract import Credential, Unseal
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    InvalidValue,
    PinUnusable,
    SecretReadable,
    Unreachable,
)
from gateway.wiring.admin.base import Row

_STEPS: Final = ("reach", "identity", "credential", "secrets")
_HELD: Final = {"reach": "it answers", "identity": "as its pin and settings ask", "credential": "it is taken"}
_OWN: Final[tuple[tuple[type[ConnectorError], str], ...]] = (
    (IdentityMismatch, "identity"), (CredentialRefused, "credential"), (SecretReadable, "secrets"),
)  # fmt: skip
_NOT_TRIED: Final = "not tried"
# What an engineer is told names this very command, or the operator who reads it here.
_NEXT: Final = {
    Unreachable.default_next: "See that it is up, that its host and port are right, and that the route to it works.",
    CredentialRefused.default_next: "Give the current login and credential (`frameroom system credential`).",
}


class Walk:
    """How far one connection came."""

    def __init__(self) -> None:
        self._at = "reach"

    def unsealing(self, unseal: Unseal) -> Unseal:
        """The same, seen: whoever asks for the credential has reached the phone system and proven its identity."""

        async def seen() -> Credential:
            self._at = "credential"
            return await unseal()

        return seen

    def came_in(self) -> None:
        """The credential was taken."""
        self._at = "secrets"

    def ended(self, error: ConnectorError) -> list[Row]:
        """A row for each step: what held, what did not with why and what to do next, what was not tried (neither)."""
        failed = self._failed(error)
        dialled = not (self._at == "reach" and isinstance(error, PinUnusable | InvalidValue))
        came_to = max(_STEPS.index(self._at), _STEPS.index(failed))
        rows: list[Row] = []
        for place, step in enumerate(_STEPS):
            if step == failed:
                rows.append({"what": step, "ok": False, "in words": self._why(step, error)})
            elif place < came_to and (dialled or step != "reach"):
                rows.append({"what": step, "ok": True, "in words": _HELD[step]})
            else:
                rows.append({"what": step, "ok": None, "in words": _NOT_TRIED})
        return rows

    def in_short(self, error: ConnectorError) -> str:
        """The same in one line."""
        words = {True: "held", False: "NO", None: _NOT_TRIED}
        steps = ", ".join(f"{row['what']} {words[row['ok']]}" for row in self.ended(error))
        return f"{error.message} ({steps})"

    def _failed(self, error: ConnectorError) -> str:
        for kind, step in _OWN:
            if isinstance(error, kind):
                return step
        if self._at == "reach" and isinstance(error, InvalidValue):
            # What a connector refuses to dial with is the pin, or the name that has to go with it.
            return "identity"
        return self._at

    @staticmethod
    def _why(step: str, error: ConnectorError) -> str:
        # Lost after the credential was presented: whether it was taken is not known.
        unsure = step == "credential" and not isinstance(error, CredentialRefused)
        lead = "it was presented, and then " if unsure else ""
        return f"{lead}{error.message}. {_NEXT.get(error.next_step, error.next_step)}"
