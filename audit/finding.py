"""By what an entry is found: the columns of its row beside its bytes, all of which the bytes say too.

Ids stand in clear, as in the entry. A ticket and the words by which a person is known are personal: only keyed
digests of them are kept, and go when what they belong to is erased.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from audit.events import Event

_PERSON: Final = ("id", "extension", "name", "email")
_NAMED_BY: Final = "operation."
_OUTSIDE: Final = "visit."
"""Of visits that Frameroom is not in between at: found as the operation `visit`."""
_FIRSTS: Final = frozenset({"session.opened", "visit.started"})
COLUMNS: Final = ("session_id", "operation_id", "subject", "system_id", "engineer_id", "operation_name",
                  "permission_id")  # fmt: skip


def columns(event: Event) -> tuple[str | None, ...]:
    """Of an event that is appended, in the order of `COLUMNS`."""
    kind, data, session = event.kind, event.data, event.session
    return (
        session,
        event.operation,
        event.subject,
        event.system,
        _engineer(event.actor, data),
        _operations(kind, data) if data else None,
        _permission(kind, session, event.request, event.grant),
    )


def columns_of(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """Kind, time and the same of an entry as it is read, for whoever checks that a search would find it."""
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    kind = str(body.get("kind", ""))
    return (
        body.get("kind"),
        body.get("time"),
        body.get("session"),
        body.get("operation"),
        body.get("subject"),
        body.get("system"),
        _engineer(str(body.get("actor", "")), data),
        _operations(kind, data),
        _permission(kind, body.get("session"), body.get("request"), body.get("grant")),
    )


def _engineer(actor: str, data: Mapping[str, Any]) -> str | None:
    """Whom it tells of, else who did it."""
    told = data.get("engineer")
    if type(told) is str:
        return told
    return actor if actor.startswith("eng_") else None


def _operations(kind: str, data: Mapping[str, Any]) -> str | None:
    """The operation's name, or those that the entry lists, with spaces between."""
    if kind.startswith(_NAMED_BY):
        return data.get("name")
    if kind.startswith(_OUTSIDE):
        return "visit"
    listed = data.get("operations")
    return " ".join(sorted(map(str, listed))) if isinstance(listed, list | tuple) and listed else None


def _permission(kind: str, session: str | None, request: str | None, grant: str | None) -> str | None:
    """The request, else the grant: of what is of no visit, and of a visit's first entry, which leads to the rest."""
    return (request or grant) if session is None or kind in _FIRSTS else None


def ticket(event: Event) -> str | None:
    """The ticket of a request, in clear."""
    for item in event.personal:
        if item.field == "ticket" and type(item.value) is str and item.value:
            return item.value
    return None


def words(event: Event) -> Iterator[str]:
    """By what the person is known whom an operation was about: their id, extension, name, address and numbers."""
    if event.kind != "operation.done" or event.subject is None:
        return
    for item in event.personal:
        if item.field in ("before", "after") and isinstance(item.value, dict):
            yield from names_in(item.value)


def names_in(person: Mapping[str, Any]) -> Iterator[str]:
    """Of a person as an operation saw them."""
    for field in _PERSON:
        if value := person.get(field):
            yield str(value)
    for number in person.get("ddis") or ():
        yield str(number)
