"""One channel's conversation: who it is with, what it is about, and how answers are put."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.contract import Person
from connectors.errors import ConnectorError
from gateway import errors
from gateway.errors import AmbiguousError, FrameroomError, UsageError
from gateway.model import Grant, PhoneSystem
from gateway.session.channel import Channel, Identity
from gateway.session.commands.table import Columns
from gateway.session.commands.text import CONTROL, Readable, shown, wrapped
from gateway.session.session import Visit

_REMEMBERED: Final = 2000
_UNLIMITED: Final = 1 << 20


@dataclass(slots=True)
class Caller:
    """One channel's conversation. `until_ms` is when the permission for `system` ends, as far as is known here."""

    channel: Channel
    identity: Identity
    customer: str = ""
    system: PhoneSystem | None = None
    until_ms: int | None = None
    as_json: bool = False
    yes: bool = False
    interactive: bool = False
    words: list[str] = field(default_factory=list)
    visits: set[Visit] = field(default_factory=set)
    people: dict[str, str] = field(default_factory=dict)
    """Extensions seen in this conversation, with their names: what TAB offers. Nothing is asked for it."""
    grants: Sequence[Grant] = ()
    """The engineer's open permissions, as this line's own choice of a phone system has just seen them."""
    systems: list[str] = field(default_factory=list)
    """Names of phone systems seen in this conversation, for TAB too."""

    def enter(self, customer: str, system: PhoneSystem, until_ms: int | None) -> None:
        """The next commands are about this phone system."""
        if self.system is None or self.system.id != system.id:
            self.people.clear()
        self.customer, self.system, self.until_ms = customer, system, until_ms

    def remember(self, people: Iterable[Person]) -> None:
        """Offer these to TAB from now on."""
        for person in people:
            if len(self.people) < _REMEMBERED:
                self.people[person.extension] = person.name

    def listing(self, at_least: Mapping[str, int] | None = None) -> Listing:
        """A table or JSON array that comes in pieces (Columns)."""
        return Listing(self, at_least)

    def out(self, rows: Sequence[Mapping[str, Any]], empty: str = "") -> None:
        """A table that fits the width, or a JSON array."""
        listing = self.listing()
        listing.add(rows)
        listing.end(empty)

    def say(self, text: str) -> None:
        """Talk."""
        self.channel.write_err(self.fitted(shown(text)) + "\n")

    def fitted(self, text: str) -> str:
        """Text broken between words where a terminal would break it anywhere."""
        return text if self.channel.terminal is None else wrapped(text, self.channel.columns)

    async def confirm(self, question: str) -> bool:
        """Ask, unless --yes said so. UsageError without a terminal, where nobody can answer."""
        if self.yes:
            return True
        if not self.interactive:
            raise UsageError("This asks before it acts.", next_step="Add --yes to do it from a script.")
        answer = await self.channel.read_line(f"{shown(question)} [y/N] ")
        return (answer or "").strip().lower() in {"y", "yes"}


class Listing:
    """Rows to standard output as they come: a table under one header, or one JSON array."""

    def __init__(self, caller: Caller, at_least: Mapping[str, int] | None = None) -> None:
        self._caller = caller
        # What is piped is for programs or for `less -S`: only a terminal has a width.
        width = caller.channel.columns if caller.channel.terminal is not None else _UNLIMITED
        self._columns = Columns(width, at_least)
        self._any = self._ended = False

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Some more."""
        if not rows or self._ended:
            return
        if self._caller.as_json:
            lines = (as_json(row) for row in rows)
            self._caller.channel.write(("[" if not self._any else ",\n ") + ",\n ".join(lines))
        else:
            self._caller.channel.write(self._columns.lines(rows))
        self._any = True

    @property
    def begun(self) -> bool:
        """True once there was a row."""
        return self._any

    def end(self, empty: str = "") -> None:
        """No more: closes the array, or says what no rows mean. Once is enough."""
        if self._ended:
            return
        self._ended = True
        if self._caller.as_json:
            self._caller.channel.write("]\n" if self._any else "[]\n")
        elif not self._any and empty:
            self._caller.say(empty)


def as_json(row: Mapping[str, Any]) -> str:
    """One row as JSON, fit for a terminal as well: what could steer one is escaped."""
    plain = {name: value.exact if isinstance(value, Readable) else value for name, value in row.items()}
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(plain, ensure_ascii=False))


def tell(caller: Caller, error: FrameroomError | ConnectorError) -> int:
    """Say what went wrong and what to do next; the exit code for it."""
    caller.say(error.message)
    if isinstance(error, AmbiguousError):
        for match in error.matches:
            caller.say(f"  {match}")
    if error.next_step:
        caller.say(error.next_step)
    return exit_code(error)


def exit_code(error: FrameroomError | ConnectorError) -> int:
    """0 done, 1 failed, 2 usage, 3 not permitted, 4 refused by the phone system, 5 outcome unknown."""
    if isinstance(error, FrameroomError):
        return error.exit_code
    if error.code == "outcome-unknown":
        return errors.EXIT_UNKNOWN
    if error.code == "invalid-value":
        return errors.EXIT_USAGE
    return errors.EXIT_FAILED if error.code in {"unreachable", "identity-mismatch", "protocol"} else errors.EXIT_REFUSED
