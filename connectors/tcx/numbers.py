"""Direct numbers as a 3CX keeps them: the way its trunk sends them, which is how an inbound rule compares them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import phonenumbers

from connectors.errors import InvalidValue
from connectors.transport.telephone import whole

_PLAIN: Final = re.compile(r"\+?[0-9]{3,20}", re.ASCII)
_Right = Callable[[phonenumbers.PhoneNumber], bool]


def _read(text: str, region: str, right: _Right) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if right(number) else None


def _parsed(kept: str, region: str) -> phonenumbers.PhoneNumber | None:
    """Trunks send national numbers, and international ones with and without their plus."""
    text = kept.strip()
    if not _PLAIN.fullmatch(text):
        return None
    valid, possible = phonenumbers.is_valid_number, whole
    if text.startswith("+"):
        return _read(text, region, possible)
    ways: list[tuple[str, _Right]] = [(text, valid), (f"+{text}", valid)]
    if text.startswith(str(phonenumbers.country_code_for_region(region))):
        ways = [*reversed(ways), (f"+{text}", possible)]
    elif text.startswith("0"):
        ways.append((text, possible))
    found = (_read(way, region, right) for way, right in ways)
    return next((number for number in found if number is not None), None)


def e164(kept: str, region: str) -> str:
    """+442079460123 of what a rule holds; a pattern ("*0123"), or what is no number there, as it stands."""
    number = _parsed(kept, region)
    if number is None:
        return kept.strip()
    return f"+{number.country_code}{phonenumbers.national_significant_number(number)}"


def digits_of(number: str, region: str) -> str:
    """What every way of writing a number (E.164) has in common: its national digits. InvalidValue when it is none."""
    parsed = _parsed(number, region) if number.startswith("+") else None
    digits = phonenumbers.national_significant_number(parsed) if parsed is not None else ""
    if not 3 <= len(digits) <= 20:
        raise InvalidValue("that is not a telephone number", next_step="Write it like +442079460123.")
    return str(digits)


def national_part(typed: str, region: str) -> str:
    """What a number, or the beginning of one, holds in every way of writing it; "" where that is next to nothing."""
    code = f"+{phonenumbers.country_code_for_region(region)}"
    digits = typed.removeprefix(code).lstrip("+0") if typed.startswith(("+", "0")) else typed
    return digits if 3 <= len(digits) <= 20 else ""


def like(kept: str, number: str, region: str) -> str:
    """`number` (E.164) written as `kept` is: with a plus, international without it, or national."""
    if kept.strip().startswith("+"):
        return number
    if e164(kept, region) == f"+{kept.strip()}":
        return number.removeprefix("+")
    parsed = phonenumbers.parse(number, region)
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return re.sub(r"[^0-9]", "", national)
