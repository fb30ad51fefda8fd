"""What is kept of the phone system's answers: named fields, and nothing else. Nothing here does I/O.

An answer is JSON in which `errcode` 0 means done; everything else means that it was not, whatever HTTP says. A key
that is not named here is dropped while it is parsed, before any object is made of it. The answer to a write is kept
for its outcome alone: its code, and which of the fields that we sent it names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Refused,
)
from connectors.transport.text import whole

HEAD: Final = frozenset({"errcode", "total_number", "data"})
PEOPLE: Final = HEAD | {"id", "number", "caller_id_name", "email_addr"}
LINES: Final = {
    "sip_phone": "SIP telephone", "fxs_phone": "analogue telephone", "linkus_desktop": "Linkus on a computer",
    "linkus_mobile": "Linkus on a mobile", "linkus_web": "Linkus in a browser",
}  # fmt: skip
ONLINE: Final = PEOPLE | {"online_status", "status", "status_list"} | LINES.keys()
ROUTES: Final = HEAD | {"id"}
ROUTE_NUMBERS: Final = HEAD | {
    "id", "did_option", "did_pattern_list", "did_pattern", "did_pattern_to_ext_list", "def_dest", "def_dest_value",
    "did", "did_number", "ext_num", "ext_number", "extension", "ext_id",
}  # fmt: skip
SYSTEM: Final = HEAD | {"model_name", "firmware_version"}
TOKENS: Final = frozenset(
    {"errcode", "access_token", "access_token_expire_time", "refresh_token", "refresh_token_expire_time"}
)
OUTCOME: Final = frozenset({"errcode", "invalid_param_list", "duplicate_field_list", "field"})

_SENT: Final = {
    "first_name": "the first name", "last_name": "the last name", "email_addr": "the address",
    "user_password": "the password", "reg_password": "the password", "id": "the id",
    "organization_list": "the organisation",
}  # fmt: skip
TOKEN_LIFE_MS: Final = 1_800_000
_NO_API: Final = (
    "there is no Yeastar P-Series OpenAPI at this address (the S-Series and its API v2 are refused: its answers hold "
    "passwords)"
)
ENABLE: Final = "Switch it on at the phone system: Integrations > API; see docs/connectors/yeastar.md."
_MOST_TEXT: Final = 1024


class Code(IntEnum):
    """What an `errcode` means, as far as it is known.

    FAILED and BAD_VALUE stand in the vendor's "Response Result"; the others were seen in other people's public
    programs for this phone system, for the page "Error Code and Error Message" could not be read.
    """

    FAILED = -1
    INTERNAL = -2
    NO_INTERFACE = 10001
    EXPIRED = 10004
    BAD_VALUE = 40002
    TAKEN = 40003
    TOO_MANY_TOKENS = 60002
    ADDRESS = 70087


def parsed(data: bytes, kept: frozenset[str]) -> dict[str, Any]:
    """The object that an answer is, without any key that is not `kept`. ProtocolViolation for anything else."""
    found: object = None

    def wanted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        return made if made.keys() <= kept else {key: value for key, value in made.items() if key in kept}

    try:
        # Bytes that are none of the promised encoding are shown as such: one name must not hide everybody.
        found = json.loads(data.decode("utf-8", "replace"), object_pairs_hook=wanted)
    except (ValueError, RecursionError):
        # Raised below: the parser's own error holds the whole answer.
        found = None
    if not isinstance(found, dict):
        raise ProtocolViolation("the phone system's answer is none that its protocol knows")
    return found


def code_of(answer: dict[str, Any]) -> int:
    """The answer's `errcode`. ProtocolViolation where there is none."""
    code = answer.get("errcode")
    if type(code) is not int or abs(code) > 999_999:
        raise ProtocolViolation("the phone system's answer says neither yes nor no")
    return code


def fields_of(answer: dict[str, Any]) -> tuple[str, ...]:
    """Which of the fields that we sent a refusal names."""
    named = []
    for key in ("invalid_param_list", "duplicate_field_list"):
        entries = answer.get(key)
        for entry in entries if isinstance(entries, list) else ():
            field = entry.get("field") if isinstance(entry, dict) else entry
            if isinstance(field, str) and field in _SENT:
                named.append(field)
    return tuple(dict.fromkeys(named))


class Expired(Refused):
    """The token is not taken any more: nothing was done."""


def refusal(code: int, *, writes: bool, fields: Sequence[str] = ()) -> ConnectorError:
    """What an `errcode` means, in words; never the phone system's own."""
    done = "; nothing was written" if writes else ""
    match code:
        case Code.EXPIRED:
            return Expired(f"the phone system's token has run out{done}")
        case Code.NO_INTERFACE:
            return NotSupported(f"this phone system does not know that request{done}", next_step=ENABLE)
        case Code.ADDRESS:
            return Refused(
                f"the phone system takes no API requests from our address{done}",
                next_step="Permit the gateway's address at the phone system: Integrations > API.",
            )
        case Code.TOO_MANY_TOKENS:
            return RateLimited(
                f"the phone system has given out as many tokens as it gives (8){done}",
                retry_after_ms=TOKEN_LIFE_MS,
                next_step="Others use this Client ID too: give Frameroom one of its own, or wait half an hour.",
            )
        case Code.INTERNAL if writes:
            return OutcomeUnknown("the phone system has an error of its own: whether it wrote is not known")
        case Code.TAKEN:
            what = " and ".join(dict.fromkeys(_SENT[f] for f in fields)) or "a value"
            return Refused(
                f"the phone system has {what} elsewhere already, and holds it once only{done}",
                next_step="Look for who has it with `find`.",
            )
        case Code.BAD_VALUE if "organization_list" in fields:
            return Refused(
                f"the phone system's organisations are on, and then it takes no change without the person's{done}",
                next_step="Change it at the phone system: the request that would tell them is never sent.",
            )
        case Code.BAD_VALUE:
            what = " and ".join(dict.fromkeys(_SENT[f] for f in fields)) or "a value"
            return Refused(f"the phone system does not take {what} (code {code}){done}")
    return Refused(f"the phone system said no (code {code}){done}")


def no_sign_in(code: int) -> ConnectorError:
    """Why no token was given. Never tried again: five refusals, and the phone system blocks our address."""
    if code in (Code.NO_INTERFACE, Code.TOO_MANY_TOKENS, Code.ADDRESS, Code.INTERNAL):
        return refusal(code, writes=False)
    return CredentialRefused(
        "the phone system refused our Client ID or Client Secret",
        next_step="Do not try again before it is right: after five refusals the phone system blocks our address "
        "(Security > Security Rules > Blocked IPs). The operator stores it with `frameroom system credential`.",
    )


def wrong_status(status: int, retry_after_ms: int | None, *, writes: bool) -> ConnectorError:
    """What an answer means that is not 200, whatever its body says."""
    if status == 429:
        return RateLimited("the phone system asks us to slow down", retry_after_ms=retry_after_ms or 60_000)
    if writes and status >= 500:
        return OutcomeUnknown("the phone system has an error of its own: whether it wrote is not known")
    if status == 404:
        return NotSupported(_NO_API, next_step=ENABLE)
    return Refused(f"the phone system said no (HTTP {status})")


@dataclass(frozen=True, slots=True)
class Row:
    """One extension as lists have it: `online` are the kinds of telephone that are connected now."""

    id: int
    number: str
    name: str
    email: str | None
    online: tuple[str, ...] = ()


_NONSENSE: Final = "the phone system described a person in a way that makes no sense"


def _text(raw: object) -> str:
    if raw is None:
        return ""
    if not isinstance(raw, str) or len(raw) > _MOST_TEXT:
        raise ProtocolViolation(_NONSENSE)
    return whole(raw)


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows = answer.get("data")
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProtocolViolation("the phone system sent other than was asked for")
    return rows


def total_of(answer: dict[str, Any]) -> int:
    """How many there are in all, of a list that is asked for in pages."""
    total = answer.get("total_number")
    if type(total) is not int or not 0 <= total <= 1_000_000:
        raise ProtocolViolation("the phone system does not say how many there are")
    return total


def people(answer: dict[str, Any]) -> list[Row]:
    """The extensions of one page."""
    return [_row(raw) for raw in _rows(answer)]


def _row(raw: dict[str, Any]) -> Row:
    number = raw.get("number")
    if type(raw.get("id")) is not int or not 0 < raw["id"] < 1 << 31:
        raise ProtocolViolation(_NONSENSE)
    if not isinstance(number, str) or not re.fullmatch(r"[0-9]{1,8}", number, re.ASCII):
        raise ProtocolViolation(_NONSENSE)
    online = raw.get("online_status")
    on = tuple(_online(online)) if isinstance(online, dict) else ()
    return Row(raw["id"], number, _text(raw.get("caller_id_name")), _text(raw.get("email_addr")) or None, on)


def _online(raw: dict[str, Any]) -> list[str]:
    found = []
    for key, words in LINES.items():
        one = raw.get(key)
        if not isinstance(one, dict):
            continue
        several = one.get("status_list")
        states = [s.get("status") for s in several if isinstance(s, dict)] if isinstance(several, list) else []
        found += [words] * sum(state == 1 for state in (states or [one.get("status")]))
    return found


def route_ids(answer: dict[str, Any]) -> tuple[int, ...]:
    """The inbound routes of one page."""
    ids = tuple(row.get("id") for row in _rows(answer))
    if not all(type(one) is int and 0 < one < 1 << 31 for one in ids):
        raise ProtocolViolation("the phone system described an inbound route in a way that makes no sense")
    return ids  # type: ignore[return-value]


def routes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Inbound routes with their numbers."""
    return _rows(answer)


def model(answer: dict[str, Any]) -> str:
    """Model and firmware, fit to be shown."""
    data = answer.get("data")
    found = [data.get(key) for key in ("model_name", "firmware_version")] if isinstance(data, dict) else []
    fit = [one for one in found if isinstance(one, str) and re.fullmatch(r"[A-Za-z0-9 ._-]{1,60}", one)]
    return ", firmware ".join(fit) if len(fit) == 2 else "it does not say which"
