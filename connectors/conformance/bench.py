"""What the author of a connector supplies so that the kit can try it: a phone system to try it on, and a look behind.

A `Bench` is one connector with everything that is always true of it. `Bench.running` starts a phone system, real or
a stand-in, with the people and secrets that the kit plants; `System` looks at it from behind, changes it as somebody
else would, and makes it misbehave. Whatever does not apply to a connector is named with the reason, and then skipped
aloud; nothing is skipped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from connectors.contract import Credential, DiagCommand, Family, SecretKind, Target
from connectors.guard import Guard


class Hostile(StrEnum):
    """Ways in which a phone system is an enemy: how each answer is until the misbehaving ends."""

    TRUNCATED = "truncated"
    """It breaks off in the middle."""
    ENDLESS = "endless"
    """It goes on for a gigabyte, or until the connection is ended."""
    SLOW = "slow"
    """It comes byte by byte, for longer than any deadline."""
    SILENT = "silent"
    """It never comes."""
    MALFORMED = "malformed"
    """It is whole, but none that the protocol knows."""
    WRONG_ENCODING = "wrong encoding"
    """A name in it is not UTF-8, or whatever else the protocol promises."""
    XML_BOMB = "XML bomb"
    """Entities that double each other."""
    XML_ENTITY = "external XML entity"
    """Names `http://127.0.0.1:PORT/` (`elsewhere`) and a file."""
    DEEP_JSON = "deep JSON"
    """A hundred thousand brackets inside each other."""
    REDIRECT = "redirect"
    """To `http://127.0.0.1:PORT/` (`elsewhere`)."""
    IDENTITY_SWAPPED = "identity swapped"
    """Whoever connects from now on is shown another key or certificate. Connections that are open may be ended."""
    TELLING_WRITES = "telling writes"
    """Writes are done, and their answer (or a notice beside it) also tells every secret of the person."""
    ESCAPES = "escape sequences"
    """The kit itself plants a name with them by `System.put`."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One person as the phone system holds them. The kit says what it would like; the bench what there is.

    `secrets`: by field; the kit makes one for each kind that can be reset and for each of `Traits.more_secrets`.
    """

    id: str
    extension: str
    name: str
    email: str | None
    ddis: tuple[str, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Traits:
    """What is true of every phone system of this family, as far as the kit must know it."""

    max_ddis: int = 3
    """How many direct numbers a person may have; 0 where the system cannot say."""
    emails: bool = True
    """Whether it holds addresses."""
    names: str = r"[\s\S]*"
    """What a name may be (a regular expression, of the whole): others are not planted, and not written but aloud."""
    alters: frozenset[str] = frozenset({"name", "email", "ddi"})
    more_secrets: tuple[str, ...] = ()
    """Fields that hold a secret besides the kinds that can be reset: digests, tokens, passwords for other things."""
    diag: tuple[DiagCommand, ...] = ()
    """One of each command of the console that looks, about the first planted person. Empty without a console."""
    acts: tuple[DiagCommand, ...] = ()
    """One of each that acts; none of them may touch the planted people."""
    console: str = ""
    """Whose catalogue it is: the family's name in `connectors.console.catalogues`."""
    long: DiagCommand | None = None
    """One of `diag` whose output grows with the directory, so that it can be stopped in the middle."""
    inapplicable: Mapping[Hostile, str] = field(default_factory=dict)
    """What this transport or system cannot do to us, and why, in words that are shown when the test is skipped."""
    most_people: int = 50_000
    """The largest directory that the bench can hold."""


class System(Protocol):
    """A phone system that runs. Its methods answer once nothing that it was asked is still being worked on."""

    people: Sequence[Planted]
    """Those planted, as they are now held: ids are the phone system's own."""
    target: Target
    """How the connector is told of it."""
    other_pin: str
    """A pin of the same form that is another's."""

    async def unseal(self) -> Credential:
        """The credential that is right."""

    async def wrong(self) -> Credential:
        """One that the phone system refuses."""

    async def now(self, person_id: str) -> Planted | None:
        """That person from behind, without the connector (`secrets` may be left out)."""

    async def count(self) -> int:
        """How many people there are."""

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """Whether this password would let the person in. One that the phone system makes itself
        (`Capabilities.made_there`) is made by `people.secret_of(kind)` here, so that the kit can follow it."""

    async def put(self, person: Planted) -> None:
        """Somebody else changes a person who is there: name, email and numbers."""

    async def drop(self, person_id: str) -> None:
        """Somebody else removes them."""

    async def heard(self) -> Sequence[str]:
        """What it was asked since this was last called: the template's name for each request, and its own words for
        one that is none. Asked of the phone system, never of the connector."""

    def misbehave(self, how: Hostile, elsewhere: int) -> AbstractAsyncContextManager[None]:
        """Be an enemy for so long. `elsewhere`: a port of 127.0.0.1 that nobody may be sent to."""


class Bench(Protocol):
    """A connector and what it is tried on. The object that `--connector` names is called with an empty folder."""

    family: Family
    guard: Guard
    examples: Mapping[str, Mapping[str, object]]
    """For each template of the guard, values that it takes."""
    traits: Traits

    def running(self, people: Sequence[Planted]) -> AbstractAsyncContextManager[System]:
        """A phone system of its own with these people."""

    def close(self) -> None:
        """Once, at the end of the run."""


class MakesBench(Protocol):
    """What `--connector` names: usually the class itself."""

    def __call__(self, folder: Path, /) -> Bench:
        """The bench; whatever it keeps on a disk goes into `folder`."""
