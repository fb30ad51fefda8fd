"""Rows to persons, and all that is one person's. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.contract import Person
from connectors.errors import NotFound, ProtocolViolation, Refused
from connectors.fusionpbx.dialplan import AT_FUSIONPBX, Route
from connectors.fusionpbx.numbers import Stored
from connectors.fusionpbx.settings import FusionPbxSettings

AT_THE_PBX: Final = "Change it in FusionPBX."


def name_of(callerid: str | None, first: str | None, last: str | None) -> str:
    """The effective caller id's name, else the directory's, else nothing."""
    directory = " ".join(part.strip() for part in (first, last) if part and part.strip())
    return (callerid or "").strip() or directory


def person(row: Sequence[Any]) -> Person:
    """A Person from (id, extension, caller id name, first, last, mail, numbers)."""
    made = None
    try:
        key, extension, callerid, first, last, mail, numbers = row
        texts = (key, extension, *numbers)
        optional = (callerid, first, last, mail)
        if all(isinstance(v, str) for v in texts) and all(isinstance(v, str | None) for v in optional):
            made = Person(key, extension or key, name_of(callerid, first, last), mail or None, tuple(numbers))
    except (TypeError, ValueError):
        made = None
    if made is None:
        raise ProtocolViolation("the phone system described a person in a way that makes no sense")
    return made


def _row(row: Sequence[Any], width: int, *others: int) -> Sequence[Any]:
    """A row whose columns are text or nothing, but for those at `others`. ProtocolViolation."""
    fine = len(row) == width and all(isinstance(v, str | None) or n in others for n, v in enumerate(row))
    lists = (value for n, value in enumerate(row) if n in others)
    if not fine or not all(isinstance(v, int | list) for v in lists):
        raise ProtocolViolation("the phone system described somebody's own in a way that makes no sense")
    return row


@dataclass(frozen=True, slots=True)
class User:
    """A user of FusionPBX's portal who is assigned to the extension."""

    id: str
    name: str
    email: str | None
    groups: tuple[str, ...]
    elsewhere: int
    """How many other extensions they are assigned to."""

    @classmethod
    def of(cls, row: Sequence[Any]) -> User:
        """From a row of `users`."""
        key, name, email, groups, elsewhere = _row(row, 5, 3, 4)
        return cls(key, name or "", email or None, tuple(map(str, groups)), int(elsewhere))

    def kept(self, settings: FusionPbxSettings) -> str | None:
        """Why this user is not the person's to reset, rename or remove; None when they are."""
        if self.elsewhere:
            return "who has other extensions too"
        if any(group not in settings.portal_groups for group in self.groups):
            return "who is in a group that the settings do not name"
        return None


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A voicemail box."""

    id: str
    number: str
    mail: str | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Mailbox:
        """From a row of `boxes`."""
        return cls(*_row(row, 3))


@dataclass(frozen=True, slots=True)
class Destination:
    """An inbound number and what it does."""

    id: str
    dialplan: str | None
    shown: str
    stored: Stored
    context: str
    actions: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict)
    record: bool = False
    special: bool = False
    """It has conditions, or looks for a fax."""

    @classmethod
    def of(cls, row: Sequence[Any]) -> Destination:
        """From a row of `routes`."""
        _row(row, 19, 17, 18)
        number, prefix, trunk, area = (value or "" for value in row[3:7])
        keys = ("field", "provider", "cid_prefix", "hold_music", "distinctive_ring", "ringback", "accountcode")
        values = (row[8], row[9], row[11], row[13], row[14], row[15], row[16])
        return cls(
            row[0], row[1], row[2], Stored(number, prefix.lstrip("+"), trunk, area), row[7] or "public",
            tuple(str(action) for action in row[18] if action),
            {key: value for key, value in zip(keys, values, strict=True) if value}, row[12] == "true",
            bool(row[17]) or row[10] is not None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Own:
    """All that is one extension's."""

    id: str
    extension: str
    alias: str
    callerid: str | None
    first: str | None
    last: str | None
    context: str
    follow_me: str | None

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Own:
        """From the rows of `own`. NotFound."""
        if not rows:
            raise NotFound("there is no such person on the phone system")
        key, extension, alias, callerid, first, last, context, follow_me = _row(rows[0], 8)
        return cls(key, extension or "", alias or "", callerid, first, last, context or "", follow_me)

    @property
    def extensions(self) -> list[str]:
        """What the person is called by."""
        return [number for number in dict.fromkeys((self.extension, self.alias)) if number]

    @property
    def name(self) -> str:
        """As it is shown."""
        return name_of(self.callerid, self.first, self.last)

    @property
    def box(self) -> str:
        """The number of their mailbox (extension_edit.php: the alias's, where it is one)."""
        return self.alias if self.alias.isascii() and self.alias.isdigit() else self.extension

    def rings_alone(self, destination: Destination, domain: str) -> bool:
        """Whether the number does nothing but ring this person."""
        wanted = {f"transfer {e} XML {c}" for e in self.extensions for c in (self.context, domain) if c}
        return len(destination.actions) == 1 and destination.actions[0] in wanted and not destination.special

    def keys(self) -> list[str]:
        """What FreeSWITCH's cache knows them by."""
        return [f"directory:{number}@{self.context}" for number in self.extensions]


def route(
    own: Own,
    destination: Destination,
    stored: Stored,
    dialplan: str,
    domain: tuple[str, str],
    settings: FusionPbxSettings,
) -> Route:
    """What FusionPBX would make of this destination with that number. `domain`: id and name. Refused when it would
    make more of it than can be written from here."""
    if not own.rings_alone(destination, domain[1]):
        raise Refused("that number does more than ring this person", next_step=AT_FUSIONPBX)
    texts = destination.texts
    return Route(
        name=stored.number, regex=stored.regex(), transfer=destination.actions[0].removeprefix("transfer "),
        dialplan=dialplan, field=texts.get("field") or settings.dialplan_destination, domain=domain[0],
        domain_name=domain[1], provider=texts.get("provider", ""), cid_prefix=texts.get("cid_prefix", ""),
        record=destination.record, record_extension=settings.record_extension,
        hold_music=texts.get("hold_music", ""), distinctive_ring=texts.get("distinctive_ring", ""),
        ringback=texts.get("ringback", ""), accountcode=texts.get("accountcode", ""),
    )  # fmt: skip
