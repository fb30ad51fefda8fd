"""A visit while it is open, what an operation gave, and what every step of the spine works with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from audit.events import Event
from audit.log import AuditLog
from audit.recording.recorder import SessionRecording
from audit.steps import Steps
from connectors.contract import Operation, Person
from connectors.errors import OutcomeUnknown
from gateway.access.dials import Ahead
from gateway.access.permission import Permission
from gateway.errors import AmbiguousError
from gateway.model import Grant, PhoneSystem
from gateway.numbers import HOME
from gateway.session.channel import Channel, Identity
from gateway.session.frozen import Frozen
from gateway.store.engine import Scope, Store
from gateway.vault import Vault

Begun = Callable[[Scope, str], Awaitable[None]]


@dataclass(slots=True)
class Did:
    """What an operation gave, for its outcome event and for the customer's summary."""

    result: Any = None
    count: int = 0
    people: Sequence[Person] = ()
    personal: tuple[tuple[str, Any], ...] = ()
    line: str = ""
    changed: bool = False
    also: Callable[[Scope], Awaitable[None]] | None = None
    """More to be written in the outcome's own transaction."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A line for the phone system's prompt, as it was rendered, and the catalogue's entry that it is of.

    `extra`: that entry is off until the customer switches it on for the phone system.
    """

    line: str
    entry: str
    extra: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Intent:
    """What an operation is to do, as it is written down before anything is done.

    `begun` writes, in the same transaction, what has to be known of it whatever happens.
    """

    operation: Operation
    person: str | None = None
    fields: Sequence[str] = ()
    typed: Typed | None = None
    begun: Begun | None = None


@dataclass(frozen=True, slots=True)
class Intended:
    """An operation whose intent is durable: `held` is what keeps other writers away until it has its outcome, and
    `since` when that was got (monotonic s)."""

    id: str
    intent: Intent
    subject: str | None
    held: AsyncExitStack
    since: float


class Stopped(OutcomeUnknown):
    """A command that acts was ended before its answer was whole. The connection is none the worse for it."""


class SeveralPeople(AmbiguousError):
    """Words that fit more than one person. The engineer is shown who they are: they count as seen."""

    def __init__(self, people: Sequence[Person]) -> None:
        matches = tuple(f"{person.extension}  {person.name}" for person in people)
        super().__init__("Several people match:", matches, next_step="Write the extension.")
        self.people = people


@dataclass(slots=True, eq=False)
class Visit:
    """A session while it is open."""

    id: str
    identity: Identity
    customer: str
    system: PhoneSystem
    grant: Grant
    recording: SessionRecording
    channels: set[Channel] = field(default_factory=set)
    connector: Frozen | None = None
    dialling: asyncio.Lock = field(default_factory=asyncio.Lock)
    dial: Ahead | None = None
    """Written down with the intent of the operation that goes on, which has not dialled or is not decided yet."""
    ahead: Intended | None = None
    """Intended together with the outcome of the one before it, and nobody has come to do it yet."""
    acting: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str | None = None
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with `ended`: what would go on for long has to stop."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    acts: int = 0
    seen: set[str] = field(default_factory=set)
    hidden: frozenset[str] = frozenset()
    """Subjects whom nobody may see now (access/restricting.py), as of the operation that goes on."""
    country: str = HOME
    """The customer's, in which numbers are typed and read, as of the operation that goes on."""
    zone: str | None = None
    """That of the customer's agreement, as of the operation that goes on."""
    undecided: set[str] = field(default_factory=set)
    """Operations that may have been intended and whose outcome is not known to be written."""
    lines: list[str] = field(default_factory=list)
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What opening, performing and closing have in common."""

    store: Store
    audit: AuditLog
    permission: Permission
    vault: Vault
    steps: Steps

    async def append(self, scope: Scope, kind: str, actor: str, **rest: Any) -> None:
        """An event of the scope's customer, in the scope's transaction."""
        await self.audit.append(scope.connection, Event(kind, scope.customer_id, actor, **rest))
