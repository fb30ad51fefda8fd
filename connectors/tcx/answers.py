"""What is kept of a 3CX's answers: the fields named here; every other key is dropped where the JSON is read.

The answer to a change is not read at all. What does not fit is a ProtocolViolation of fixed words: pydantic's own
error would quote the answer.

Source: 3CX's OpenAPI file, schemas Pbx.User, Pbx.InboundRule, Pbx.DidNumber, Pbx.SystemStatus.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.errors import ProtocolViolation

MAX_ANSWER: Final = 4 << 20
"""Bytes of one answer: 500 inbound rules are about 400 KiB."""

_Id = Annotated[int, Field(ge=0, le=2_147_483_647, strict=True)]
_Text = Annotated[str, Field(max_length=2_000)]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Token(_Kept):
    """RFC 6749, section 5.1. `expires_in` is seconds, or before 20.0.9 minutes."""

    access_token: Annotated[str, Field(pattern=r"^[!-~]{1,8000}$", repr=False)]
    expires_in: Annotated[int, Field(ge=0)] = 0


class User(_Kept):
    """One extension of a person."""

    Id: _Id
    Number: Annotated[str, Field(min_length=1, max_length=64)]
    FirstName: _Text | None = None
    LastName: _Text | None = None
    EmailAddress: _Text | None = None


class Users(_Kept):
    """A page of them; `count` of all, where it was asked for."""

    value: list[User]
    count: Annotated[int | None, Field(alias="@odata.count", ge=0)] = None


class Registered(_Kept):
    """Whether anything of this person's is registered: 3CX tells no more without telling passwords."""

    Id: _Id
    IsRegistered: bool | None = None


class Destination(_Kept):
    """Where a rule leads."""

    Number: _Text | None = None
    To: _Text | None = None


class Rule(_Kept):
    """An inbound rule: `Data` is the number of one that is BasedOnDID."""

    Id: _Id
    RuleName: _Text | None = None
    Data: _Text | None = None
    Condition: _Text | None = None
    OfficeHoursDestination: Destination | None = None
    OutOfOfficeHoursDestination: Destination | None = None
    HolidaysDestination: Destination | None = None


class Rules(_Kept):
    """A page of them."""

    value: list[Rule]


class TrunkNumber(_Kept):
    """A number that a trunk has, as 3CX spells it."""

    Number: Annotated[str, Field(min_length=1, max_length=64)]
    TrunkId: _Id | None = None


class TrunkNumbers(_Kept):
    """Some of them."""

    value: list[TrunkNumber]


class Status(_Kept):
    """The phone system itself."""

    Version: Annotated[str, Field(max_length=40)] | None = None


A = TypeVar("A", bound=_Kept)


def read(model: type[A], data: bytes) -> A:
    """What is kept of an answer. ProtocolViolation for one that is none."""
    made: A | None = None
    try:
        made = model.model_validate_json(data)
    except (ValidationError, RecursionError):
        made = None
    if made is None:
        raise ProtocolViolation("the phone system's answer makes no sense")
    return made
