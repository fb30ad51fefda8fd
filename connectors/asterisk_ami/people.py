"""Endpoints' sections to persons: who is one, which sections are theirs, and everybody in pages."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from connectors.asterisk_ami.mailbox import Mailbox
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.callerid import name_of, number_of, parts
from connectors.contract import Device, Person
from connectors.errors import Conflict

_URI: Final = re.compile(r"sips?:(.*)", re.S)
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,120}")
_NOTHING: Final[list[bytes]] = [b""]

Lines = Mapping[bytes, list[bytes]]


def shown(raw: bytes) -> str:
    """Bytes of a phone system as text: what is not UTF-8 is replaced."""
    return raw.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One telephone account, as far as we look at it."""

    section: str
    callerid: str
    callerid_lines: int
    auth: str
    aors: str
    mailboxes: str

    @classmethod
    def of(cls, name: bytes, lines: Lines) -> Endpoint:
        """From a section: of several lines of one name the last counts, as it does to Asterisk."""
        last = {key: shown(values[-1]) for key, values in lines.items()}
        return cls(
            shown(name), last.get(b"callerid", ""), len(lines.get(b"callerid", ())), last.get(b"auth", ""),
            last.get(b"aors", ""), last.get(b"mailboxes", ""),
        )  # fmt: skip

    @property
    def extension(self) -> str:
        """The caller id's number, else the account's own name."""
        return number_of(self.callerid) or self.section

    def box(self, settings: AsteriskAmiSettings) -> tuple[str, str] | None:
        """(context, mailbox) of the first mailbox named."""
        mailbox, _, context = self.mailboxes.split(",")[0].strip().partition("@")
        return (context.strip() or settings.voicemail_context, mailbox.strip()) if mailbox.strip() else None

    def is_same_person(self, other: Endpoint) -> bool:
        """One person's two devices have one caller id and one mailbox."""
        same = (self.callerid, self.mailboxes) == (other.callerid, other.mailboxes) and self.mailboxes != ""
        return same or self.section == other.section

    def person(self, mailbox: Mailbox | None) -> Person:
        """As it is shown; direct numbers are in the dialplan, which is not read."""
        name = name_of(self.callerid, mailbox.fullname if mailbox else None)
        return Person(self.section, self.extension, name, (mailbox.email or None) if mailbox else None, None)


def is_person(lines: Lines, contexts: frozenset[bytes]) -> bool:
    """Whether a section is somebody's telephone, and not a trunk."""
    if contexts and lines.get(b"context", _NOTHING)[-1] not in contexts:
        return False
    return bool(lines.get(b"callerid", _NOTHING)[-1] or lines.get(b"mailboxes", _NOTHING)[-1])


class Paging:
    """Everybody in the order of the file, a page at a time; of one person's devices the first alone."""

    def __init__(self, contexts: frozenset[bytes], after: str | None, size: int) -> None:
        self._contexts = contexts
        self._after = None if after is None else after.encode(errors="replace")
        self._seen = set[int]()
        self._waiting = deque[Endpoint]()
        self.size = size
        """How many a page has."""

    def keep(self, name: bytes, lines: Lines) -> None:
        """One section as it comes."""
        if not is_person(lines, self._contexts):
            return
        mailboxes = lines.get(b"mailboxes", _NOTHING)[-1]
        if mailboxes:
            mark = hash((lines.get(b"callerid", _NOTHING)[-1], mailboxes))
            if mark in self._seen:
                return
            self._seen.add(mark)
        if self._after is None:
            self._waiting.append(Endpoint.of(name, lines))
        elif name == self._after:
            self._after = None

    def enough(self) -> bool:
        """Whether there is a page, and one more to know that it is not the last."""
        return len(self._waiting) > self.size

    def page(self) -> tuple[list[Endpoint], bool]:
        """The next of them, and whether there are more. Conflict when the last page's last person is not there now."""
        if self._after is not None:
            raise Conflict("whoever was the last one shown is gone", next_step="Begin the list again.")
        found = [self._waiting.popleft() for _ in range(min(self.size, len(self._waiting)))]
        return found, bool(self._waiting)


@dataclass(frozen=True, slots=True)
class Own:
    """Everything that is one person's, and who else uses it."""

    devices: tuple[Endpoint, ...]
    others: tuple[Endpoint, ...]
    """Accounts of other people that share a password section, a registration section or the mailbox."""
    settings: AsteriskAmiSettings

    @property
    def first(self) -> Endpoint:
        """The device that stands for the person."""
        return self.devices[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """Sections of all devices."""
        return tuple(device.section for device in self.devices)

    @property
    def auths(self) -> list[str]:
        """Password sections."""
        return parts(*(device.auth for device in self.devices))

    @property
    def aors(self) -> list[str]:
        """Registration sections."""
        return parts(*(device.aors for device in self.devices))

    @property
    def box(self) -> tuple[str, str] | None:
        """(context, mailbox), where there is one."""
        return self.first.box(self.settings)

    def sharers(self) -> list[str]:
        """Who else has the mailbox."""
        return [o.section for o in self.others if self.box is not None and o.box(self.settings) == self.box]

    def alone(self, names: Iterable[str], field: str) -> tuple[str, ...]:
        """Those of `names` that no other account names in its `auth` or `aors`."""
        taken = set(parts(*(str(getattr(other, field)) for other in self.others)))
        return tuple(name for name in names if name not in taken)


def shares(one: Endpoint, mine: Endpoint, settings: AsteriskAmiSettings) -> bool:
    """Whether two accounts have a password section, a registration section or the mailbox in common."""
    box = mine.box(settings)
    return bool(
        set(parts(one.auth)) & set(parts(mine.auth))
        or set(parts(one.aors)) & set(parts(mine.aors))
        or (box is not None and one.box(settings) == box)
    )


def device(endpoint: bytes, uri: bytes, seconds: bytes) -> Device:
    """A registered telephone by account and network address; what else its contact says is dropped."""
    found = _URI.match(shown(uri))
    # What stands before the last @ may hold a password (RFC 3261 section 19.1.1), whatever comes after it.
    host = _HOST.match(found[1].rpartition("@")[2]) if found else None
    where = host[0] if host else "an address that cannot be shown"
    expires = int(seconds) * 1000 if re.fullmatch(rb"[0-9]{1,12}", seconds) else None
    return Device(f"{shown(endpoint)[:80]} at {where}", expires)
