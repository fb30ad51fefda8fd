"""Was every operation permitted? Asked of the log's own entries, in their order. Pure; standard library alone.

The gateway asks its database before each operation. Whoever can write there could widen a permission, or make one up,
without a word in the log; but each operation is in the log, and so is each permission, whole. An operation counts as
permitted when a permission stands before it in the log that names it, was given to this engineer for this phone
system, and had not ended; and a permission never says more than what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SLACK_MS: Final = 60_000
"""How long a busy database may take between deciding and writing the intent. What ends a permission is exact: both
take the permission's row, so that neither can slip in front of the other."""
_ENDS: Final = frozenset({"grant.revoked", "grant.expired"})


@dataclass(slots=True)
class _Asked:
    engineer: str
    operations: frozenset[str]
    until_ms: int | None


@dataclass(slots=True)
class _Given:
    engineer: str
    system: str
    operations: frozenset[str]
    until_ms: int
    over: bool = False


@dataclass(slots=True)
class Permissions:
    """Read entries into it in the log's order. `whole`: from the log's beginning on, so that nothing can lie before."""

    whole: bool = True
    operations: int = 0
    unknown: set[str] = field(default_factory=set)
    """Permissions that were used and not seen being given; a fault where `whole`."""
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _given: dict[str, _Given] = field(default_factory=dict)

    def read(self, body: Mapping[str, Any]) -> str | None:
        """What does not hold in this entry, in words; None when everything does."""
        kind, data = body["kind"], body.get("data", {})
        if kind == "request.granted":
            return self._granted(body, data)
        if kind.startswith("request.") and "operations" in data:
            # Asked for, or made less by whoever answered; who asked stays the same.
            before = self._asked.get(body["request"])
            engineer = str(data.get("engineer", before.engineer if before else ""))
            self._asked[body["request"]] = _Asked(engineer, frozenset(data["operations"]), data.get("until_ms"))
        elif kind in _ENDS and body["grant"] in self._given:
            self._given[body["grant"]].over = True
        elif kind == "operation.intended":
            return self._intended(body, str(data.get("name", "an operation")))
        elif kind == "visit.started":
            return self._intended(body, "visit")
        return None

    def _granted(self, body: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
        asked = self._asked.get(body["request"])
        given = frozenset(data.get("operations", asked.operations if asked else ()))
        engineer = asked.engineer if asked else ""
        self._given[body["grant"]] = _Given(engineer, body["system"], given, int(data["until_ms"]))
        if asked is None:
            return "a permission was given that nobody had asked for" if self.whole else None
        if given - asked.operations:
            return f"the permission names {', '.join(sorted(given - asked.operations))}, which was not asked for"
        if asked.until_ms is not None and int(data["until_ms"]) > asked.until_ms:
            return "the permission lasts longer than was asked for"
        return None

    def _intended(self, body: Mapping[str, Any], name: str) -> str | None:
        self.operations += 1
        given = self._given.get(body["grant"])
        if given is None:
            self.unknown.add(body["grant"])
            return f"{name} was begun under a permission that the log does not hold" if self.whole else None
        if name not in given.operations:
            return f"{name} was begun, and the permission does not name it"
        if given.over or int(body["time"]) > given.until_ms + SLACK_MS:
            return f"{name} was begun after the permission had ended"
        if body["system"] != given.system:
            return f"{name} was begun on another phone system than the permission is for"
        if given.engineer and body["actor"] != given.engineer:
            return f"{name} was begun by somebody to whom the permission was not given"
        return None
