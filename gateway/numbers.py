"""Telephone numbers: +442079460001 inside, and as people in the customer's country write and read them."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import TZPATH

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from connectors.transport.telephone import whole

HOME: Final = "GB"
"""The country of a customer who has named no zone yet."""
NOWHERE: Final = "ZZ"
"""What stands for one where a zone tells of none (UTC): numbers are read, and must be typed, with their country."""
_DIALLED: Final = re.compile(r"[+0-9 ()./-]{7,}")
_SOME: Final = (
    "AT Europe/Vienna|BE Europe/Brussels|BG Europe/Sofia|CH Europe/Zurich|CY Asia/Nicosia|CZ Europe/Prague|"
    "DE Europe/Berlin|DK Europe/Copenhagen|EE Europe/Tallinn|ES Europe/Madrid|FI Europe/Helsinki|FR Europe/Paris|"
    "GB Europe/London|GR Europe/Athens|HR Europe/Zagreb|HU Europe/Budapest|IE Europe/Dublin|IT Europe/Rome|"
    "LT Europe/Vilnius|LU Europe/Luxembourg|LV Europe/Riga|MT Europe/Malta|NL Europe/Amsterdam|NO Europe/Oslo|"
    "PL Europe/Warsaw|PT Europe/Lisbon|RO Europe/Bucharest|SE Europe/Stockholm|SI Europe/Ljubljana|"
    "SK Europe/Bratislava"
)
"""Where this machine's zones come without their table."""


def country_of(zone: str | None) -> str:
    """The country (GB, DE) whose clocks a zone tells; NOWHERE where that cannot be told. HOME without a zone."""
    return _countries().get(zone, NOWHERE) if zone else HOME


@cache
def _countries() -> dict[str, str]:
    for folder in TZPATH:
        table = Path(folder, "zone.tab")
        if table.is_file():
            lines = (line.split("\t") for line in table.read_text("utf-8").splitlines() if not line.startswith("#"))
            return {cells[2]: cells[0] for cells in lines if len(cells) > 2}
    return {zone: country for country, _, zone in (one.partition(" ") for one in _SOME.split("|"))}


@lru_cache(4096)
def as_read(number: str, country: str) -> str:
    """020 7946 0001 of +442079460001 in its own country, +44 20 7946 0001 in others. What is no whole number in E.164
    stays as it is, and so does what would be another number if it were typed as it is read."""
    if not number.startswith("+"):
        return number
    try:
        parsed = phonenumbers.parse(number, None)
        if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
            return number
        # Countries that share a code dial each other as at home: Jersey from London, Toronto from New York.
        home = parsed.country_code == phonenumbers.country_code_for_region(country)
        form = PhoneNumberFormat.NATIONAL if home else PhoneNumberFormat.INTERNATIONAL
        read = str(phonenumbers.format_number(parsed, form))
        return read if _e164(phonenumbers.parse(read, country)) == number else number
    except NumberParseException:
        return number


def as_typed(text: str, country: str) -> str | None:
    """+442079460001 of a number typed in a country, however it is typed; None where it is none."""
    return None if re.search("[A-Za-z]", text) else found_in(text, country)


def found_in(text: str, country: str) -> str | None:
    """The same of the number in a text ("Sales 020 7946 0001")."""
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException:
        return None
    return _e164(number) if whole(number) else None


def as_begun(text: str, country: str) -> str | None:
    """+442079460001 of what looks like a telephone number, or the beginning of one (020 7946), typed in a country
    however it is typed; None for anything else, and what begins in the middle of a number comes out as none there is.
    """
    if not _DIALLED.fullmatch(text):
        return None
    try:
        return _e164(phonenumbers.parse(text, country))
    except NumberParseException:
        return None


@cache
def example(country: str) -> str:
    """How a number is written in a country and with it: "030 123456 or +4930123456"."""
    if country == NOWHERE:
        return "+442079460123, with its country: the zone of the agreement tells of none"
    found = None if country == HOME else phonenumbers.example_number(country)
    number = "+442079460123" if found is None else _e164(found)
    return f"{as_read(number, country)} or {number}"


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))
