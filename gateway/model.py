"""The nouns as values: pure, typed, without I/O. Times are Unix milliseconds UTC."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.contract import Operation, SecretKind
from gateway.choices import NOTICES as NOTICES
from gateway.choices import STANDINGS as STANDINGS
from gateway.choices import AccessMode as AccessMode
from gateway.lifecycle import AgreementState, GrantState, RequestState

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def new_id(kind: str) -> str:
    """A random, opaque id: kind, underscore, 24 hex digits."""
    return f"{kind}_{secrets.token_hex(12)}"


# RFC 5321's Dot-string at a host name, in ASCII: one address and nothing that a mail header could read as two.
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+"
)


def is_address(text: str) -> bool:
    """True when `text` is one plain mail address: what mail may be sent to, and a secret above all."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def same_address(one: str, other: str) -> bool:
    """True when two addresses reach one person: capital letters make no difference."""
    return one.casefold() == other.casefold()


@dataclass(frozen=True, slots=True)
class Engineer:
    """A designated person. `roles` may hold "out-of-hours"."""

    id: str
    login: str
    name: str
    email: str
    enabled: bool
    roles: frozenset[str]


class Hours(BaseModel):
    """Working hours in the agreement's zone: ISO weekdays (1 Monday), minutes since midnight, end exclusive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekdays: frozenset[Annotated[int, Field(ge=1, le=7)]] = frozenset({1, 2, 3, 4, 5})
    start_minute: Annotated[int, Field(ge=0, lt=1440)] = 8 * 60
    end_minute: Annotated[int, Field(gt=0, le=1440)] = 18 * 60


@dataclass(frozen=True, slots=True)
class Access:
    """The customer's own switch. `until_ms`: when "until" ends; `hours`: when "weekly" is on, by `zone`'s clock."""

    mode: AccessMode = AccessMode.ON
    until_ms: int | None = None
    hours: tuple[Hours, ...] = ()
    zone: str = "Europe/London"


ACCESS_ON: Final = Access()
"""How it stands where nobody has touched it."""


class CharacterClass(StrEnum):
    """What a customer can demand of new passwords: at least one character of each class named."""

    LOWER = "lower"
    UPPER = "upper"
    DIGIT = "digit"
    SYMBOL = "symbol"


class Terms(BaseModel):
    """What the customer agreed to: the outer limit of every request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operations: frozenset[Operation]
    mail_domains: tuple[str, ...] = ()
    zone: str = "Europe/London"
    hours: Hours | None = None
    """None: any hour. Outside them only engineers with the role "out-of-hours" may come in."""
    max_minutes: Annotated[int, Field(ge=5, le=7 * 24 * 60)] = 8 * 60
    ticket_required: bool = True
    consent_by_phone: bool = False
    only_approver_may_receive: bool = False
    """A secret may go to the approver who approved the grant when there is no other."""
    secret_lengths: dict[SecretKind, Annotated[int, Field(ge=4, le=64)]] = Field(default_factory=dict)
    """The least length of a new secret, by kind; the phone system's own least length counts where it is longer."""
    secret_classes: dict[SecretKind, frozenset[CharacterClass]] = Field(default_factory=dict)
    """Kinds of character of which a new secret holds at least one each."""
    approvals_needed: Annotated[int, Field(ge=1, le=10)] = 1
    """How many persons have to say yes to one request."""
    standing: frozenset[Operation] = frozenset()
    """What is permitted at once, without asking each time (the customer's standing approval)."""

    @model_validator(mode="after")
    def _standing_is_agreed(self) -> Terms:
        if beyond := self.standing - self.operations:
            raise ValueError(f"standing names what operations does not: {', '.join(sorted(beyond))}")
        return self

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no such time zone: {value}; expected one like Europe/London") from error
        return value

    @field_validator("mail_domains")
    @classmethod
    def _plain_domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for domain in value:
            if "@" in domain or "." not in domain or domain != domain.strip().lower():
                raise ValueError(f"{domain!r} is no mail domain; expected one like customer.example")
        return value


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of a customer's agreement."""

    customer_id: str
    version: int
    state: AgreementState
    terms: Terms


@dataclass(frozen=True, slots=True)
class PhoneSystem:
    """A customer's phone system, credential still sealed."""

    customer_id: str
    id: str
    name: str
    connector: str
    host: str
    port: int
    pin: str
    settings_json: str
    sealed_credential: bytes
    site_id: str | None
    asset: str
    ddi_range: str
    removed: bool


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants which operations where, why, from when to when."""

    customer_id: str
    id: str
    system_id: str
    engineer_id: str
    operations: frozenset[Operation]
    from_ms: int
    until_ms: int
    ticket: str
    reason: str
    state: RequestState
    digest: str
    submitted_ms: int
    canonical: str
    """The bytes that a yes is a yes to, as text (access/asked.py)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a yes produced. `version` grows with every change; `how` says how the yes came, in words."""

    customer_id: str
    id: str
    request_id: str
    system_id: str
    engineer_id: str
    operations: frozenset[Operation]
    from_ms: int
    until_ms: int
    state: GrantState
    version: int
    how: str
    approver_ids: tuple[str, ...]
    job_id: str | None = None
    """The work that the customer asked for, where the permission came of it."""
