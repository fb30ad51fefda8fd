"""What a connector may do, and nothing else: the five operations, typed.

Reading order: `Person` (what may be seen), `Change` (what may be altered), `SecretRules` and `Secret` (what a
reset writes and nobody reads), `Capabilities` (what a connector honestly says of itself), `Target` (one phone
system, as handed to a connector), `Connector` (the operations), `ReadsLogins` and those after it (what some can do
besides), `Family` (how connectors are found).

A connector never returns a secret, holds one only inside `reset`, and raises only `connectors.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from connectors.errors import InvalidValue
from connectors.operations import CONSOLE as CONSOLE
from connectors.operations import NO_CONNECTOR as NO_CONNECTOR
from connectors.operations import OUTSIDE as OUTSIDE
from connectors.operations import PEOPLE as PEOPLE
from connectors.operations import Operation as Operation

M = TypeVar("M", bound=BaseModel)


class SecretKind(StrEnum):
    """The kinds of password that can be reset."""

    VOICEMAIL = "voicemail"
    SIP = "sip"
    PORTAL = "portal"

    @property
    def operation(self) -> Operation:
        """The operation that resetting this kind needs."""
        return Operation(f"reset-{self.value}")


class Secrecy(StrEnum):
    """How a secret is kept from us, best first (pbx/README)."""

    ENFORCED = "enforced"
    SELECTED = "selected"
    DISCARDED = "discarded"


class Proof(StrEnum):
    """What a connector was proven against."""

    LIVE = "live system"
    SCHEMA = "vendor schema"
    TRANSCRIPTS = "transcripts"
    DOCUMENTATION = "vendor documentation"
    LAB = "the lab that ships with it"


@dataclass(frozen=True, slots=True)
class Person:
    """One user of a phone system, as far as anybody may see.

    `id` is the phone system's own key (opaque to us); `ddis` is None where the system cannot say
    ("not available") and () where the person has none; numbers are E.164 ("+442079460123") where they parse.
    """

    id: str
    extension: str
    name: str
    email: str | None
    ddis: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of people; `cursor` is None on the last."""

    people: tuple[Person, ...]
    cursor: str | None


class Unset(StrEnum):
    """Marks a field of a `Change` that stays as it is."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Change:
    """What to alter. `email=None` takes the email away; `ddi=None` takes the number away."""

    name: str | Unset = UNSET
    email: str | Unset | None = UNSET
    ddi: str | Unset | None = UNSET

    def fields(self) -> tuple[str, ...]:
        """Names of the fields that are to change."""
        return tuple(n for n in ("name", "email", "ddi") if getattr(self, n) is not UNSET)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal takes away, or took away, and what stays behind, each in plain words."""

    removed: tuple[str, ...]
    remains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """A registered telephone; `label` is fit to be shown (no credentials), `expires_ms` Unix ms or None."""

    label: str
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class SecretRules:
    """What a new secret must look like: the phone system's side (the customer's may be stricter)."""

    alphabet: str
    min_length: int
    max_length: int
    must_change: bool
    stored: str
    """How the phone system keeps it, in plain words ("as a one-way hash", "in clear")."""
    provisions_anew: bool = False
    """True when it hands the new secret to the telephones by itself, so that none drops."""
    classes: tuple[str, ...] = ()
    """Groups of characters of the alphabet: it refuses a secret without one of each."""
    made_there: bool = False
    """True when the phone system makes the new secret and mails it itself (`MakesSecrets`): then nothing is known of
    its form, and `alphabet` and lengths say nothing."""


class Secret:
    """A generated secret on its way to the phone system. Never printed, never compared, wiped on demand."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = bytearray(value.encode("utf-8"))

    def reveal(self) -> str:
        """The secret itself: called in the reset's child process only, at the last moment."""
        return self._value.decode("utf-8")

    def wipe(self) -> None:
        """Overwrite the bytes held here (copies made by `reveal` are the child's, which exits)."""
        for index in range(len(self._value)):
            self._value[index] = 0

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never serialised")


@dataclass(frozen=True, slots=True)
class ResetDone:
    """A reset that the phone system took: when it counts from, and what to know about it."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector honestly says of itself; shown wherever a person approves or audits."""

    title: str
    operations: frozenset[Operation]
    secrecy: Mapping[SecretKind, Secrecy]
    secrecy_why: str
    proven: tuple[Proof, ...]
    proven_how: str
    cannot: Mapping[str, str] = field(default_factory=dict)
    """What it cannot do, and why: operation or field → plain words."""
    login_record: str = ""
    """What the phone system's own record of logins shows us, and what it misses; "" where we cannot read it, and
    then `cannot["logins"]` says why."""
    made_there: frozenset[SecretKind] = frozenset()
    """Kinds of password that the phone system makes and mails itself (`MakesSecrets`): Frameroom never holds one."""
    credential: Mapping[str, bool] = field(default_factory=lambda: {"password": False, "key": False})
    """What our credential there is made of, besides the login ("password", "key"), and whether it has to be there."""


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of `system check`: what was looked at, how it went, in plain words."""

    what: str
    ok: bool
    words: str


@dataclass(frozen=True, slots=True)
class Login:
    """One use of our credential, as the phone system's own record has it.

    `id` is that record's own name for it, and stays the same for as long as it is shown; `at_ms` Unix ms by the phone
    system's clock; `address` where it came from, as the phone system saw it. `mark` is what the connection said of
    itself (`Target.mark`), and None where the record has no room for one.
    """

    id: str
    at_ms: int
    address: str
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Logins:
    """A look into the record. Both times are the phone system's: `now_ms` when it was looked at, `until_ms` up to when
    it is here whole, which is where the next look begins."""

    logins: tuple[Login, ...]
    now_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Credential:
    """The unsealed credential of one phone system: a login and a password or private key (PEM, OpenSSH)."""

    login: str
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One phone system as a connector gets it.

    `host`, `port` are where to dial now (a route may have put a relay there). `pin` is an OpenSSH public key line
    ("ssh-ed25519 AAAA…") or a PEM certificate. The credential is not here: `Family.connect` gets `unseal`, and
    calls it only after the identity was proven.
    """

    system_id: str
    host: str
    port: int
    pin: str
    settings: BaseModel
    connect_timeout_ms: int = 10_000
    answer_timeout_ms: int = 20_000
    mark: str = ""
    """What the connection calls itself, where the phone system keeps that (at most 40 of A-Za-z0-9 and "-"): known to
    whoever dials before the phone system can show it to anybody."""

    def settings_as(self, model: type[M]) -> M:
        """The settings, as the family's own. InvalidValue for another's."""
        if not isinstance(self.settings, model):
            raise InvalidValue("the settings of this phone system are of another connector")
        return self.settings


@dataclass(frozen=True, slots=True)
class DiagCommand:
    """A console's command as parsed: rendered again from its tree, never the engineer's own bytes."""

    words: tuple[str, ...]
    entry: str
    """The catalogue entry's stable name ("pjsip-show-endpoint-x")."""
    acts: bool = False
    """True for one that does something, instead of only looking."""

    def render(self) -> str:
        """The line that is sent."""
        return " ".join(self.words)


@runtime_checkable
class Connector(Protocol):
    """An open connection to one phone system. One writer at a time is the caller's duty.

    Raises only `connectors.errors`. Every method has its own deadline (Target.answer_timeout_ms).
    """

    async def check(self) -> Sequence[CheckLine]:
        """Reach, identity, credential, and what that credential could read."""

    async def find(self, words: str, limit: int) -> Page:
        """People whose name, email, extension or DDI contains every word, at most `limit` (cursor None)."""

    async def people(self, cursor: str | None, limit: int) -> Page:
        """The next page of everyone, in a stable order."""

    async def view(self, person_id: str) -> Person:
        """One person. NotFound when there is none."""

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """Write the change if the person still is as `expected` in the fields that change (else Conflict)."""

    async def plan_removal(self, person_id: str) -> Removal:
        """What `remove` would take away and leave."""

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """Remove the person and report what went and what remains."""

    async def devices(self, person_id: str) -> Sequence[Device]:
        """Telephones registered now."""

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """What a new secret of this kind must look like. NotSupported when there is no such secret."""

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """Write the new secret. Never retried, never answers with it. Called in the reset's child only."""

    def diag(self, command: DiagCommand) -> AsyncIterator[bytes]:
        """Send one command of the console and stream its raw output (the caller redacts and sanitises).

        Whoever closes the iterator before its end ends the command at the phone system, and nothing else.
        """

    async def close(self) -> None:
        """Let go of the connection."""


@runtime_checkable
class ReadsLogins(Protocol):
    """A connector that can also read the phone system's own record of who signed in with our credential.

    One without it leaves `Capabilities.login_record` empty and says why in `cannot["logins"]`.
    """

    async def own_login(self) -> str:
        """The id under which the record has this very connection."""

    async def logins(self, since_ms: int) -> Logins:
        """Uses of our credential since then (the phone system's clock), this one's among them; one that goes on is
        shown however long ago it began. Never more than the record has."""


MOST_NAMES: Final = 100
"""How many are asked for at once by `FindsByName.named`."""


@runtime_checkable
class FindsByName(Protocol):
    """A connector that can find many people at once, each by what is theirs alone: for a file of a thousand changes
    `find` would look through everybody a thousand times."""

    async def named(self, names: Sequence[str]) -> Sequence[Person]:
        """Everybody whose id, extension or direct number (E.164) is one of these, at most `MOST_NAMES` of them, each
        person once and as `view` shows them. Who answers to several names, or shares one, is told all the same."""


@runtime_checkable
class AltersSeen(Protocol):
    """A connector that looks and alters in one go, so that nobody else changes the person between the two."""

    async def alter_seen(
        self, person_id: str, change: Change, agree: Callable[[Person], Change]
    ) -> tuple[Person, Person]:  # fmt: skip
        """The person before and after. `agree` is shown the person as `view` would show them, and gives what of
        `change` is to be written (nothing is, when that has no fields), or raises, and nothing was written."""


@runtime_checkable
class MayBeWeakened(Protocol):
    """A family whose settings can turn on something weaker than is usual, for one phone system."""

    def weakens(self, settings: BaseModel) -> str:
        """What that is and what it costs, in plain words; "" for nothing."""


@runtime_checkable
class MakesSecrets(Protocol):
    """A connector whose phone system makes new passwords itself and mails them to their person.

    For the kinds in `Capabilities.made_there`: their `secret_rules` say so too, and `reset` is NotSupported, for no
    secret of ours could be written. The mail goes to the address that the phone system has, so the caller says which
    one it saw fit for it.
    """

    async def renew(self, person_id: str, kind: SecretKind, email: str) -> ResetDone:
        """Have a new secret made and mailed, if the person's address still is `email` (else Conflict); Refused where
        there is no address. Never retried, never answers with the secret."""


Unseal = Callable[[], Awaitable[Credential]]
"""Opens the sealed credential; called at most once a connection, after the identity check."""


class Family(Protocol):
    """A kind of connector, as the registry knows it."""

    name: str
    settings_model: type[BaseModel]
    default_port: int

    def capabilities(self) -> Capabilities:
        """What it can do and how it keeps secrets."""

    async def connect(self, target: Target, unseal: Unseal) -> Connector:
        """Dial, prove the identity against the pin, only then call `unseal` and present the credential."""
