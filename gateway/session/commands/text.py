"""What engineers type becomes values, and values become what a terminal shows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import phonenumbers
from rich.cells import cell_len

from connectors.contract import Person
from connectors.errors import InvalidValue
from gateway.errors import UsageError
from gateway.harmless import CONTROL as CONTROL
from gateway.harmless import shown as shown
from gateway.model import is_address


def wrapped(text: str, width: int) -> str:
    """Text in lines of at most `width` cells, cut between words; each keeps the indent of the first."""
    lines = []
    for given in text.split("\n"):
        first, *words = given.lstrip(" ").split(" ")
        indent = " " * (len(given) - len(given.lstrip(" ")))
        line = indent + first
        for word in words:
            if cell_len(f"{line} {word}") > width:
                lines.append(line)
                line = indent + word
            else:
                line += f" {word}"
        lines.append(line)
    return "\n".join(lines)


def person_row(person: Person) -> dict[str, Any]:
    """As it is shown."""
    ddis = "not available" if person.ddis is None else ", ".join(person.ddis)
    return {"extension": person.extension, "name": person.name, "email": person.email or "", "ddi": ddis}


def sealed_person(person: Person) -> dict[str, Any]:
    """As it is sealed into an event."""
    return asdict(person) | {"ddis": list(person.ddis) if person.ddis is not None else None}


def person_from(sealed: Mapping[str, Any]) -> Person:
    """The inverse of `sealed_person`."""
    ddis = sealed["ddis"]
    return Person(
        sealed["id"], sealed["extension"], sealed["name"], sealed["email"], None if ddis is None else tuple(ddis)
    )


def field_of(person: Person, name: str) -> str | None:
    """One field of a person as text; None where there is nothing."""
    return (", ".join(person.ddis or ()) or None) if name == "ddi" else getattr(person, name)


def moved(changes: Mapping[str, tuple[str | None, str | None]]) -> str:
    """What changes, in words: "name from A to B; email from nothing to C"."""
    return "; ".join(f"{name} from {old or 'nothing'} to {new or 'nothing'}" for name, (old, new) in changes.items())


class Moment(str):
    """A moment as people read it; a program gets `iso`, which has a year and no zone to be looked up."""

    iso: str


def clock(at_ms: int, zone: str) -> Moment:
    """A moment (Unix ms) as the customer's clocks say it: "25 Nov 14:00 London"."""
    at = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    place = zone.rpartition("/")[2].replace("_", " ")
    moment = Moment(at.strftime("%d %b %H:%M ") + place)
    moment.iso = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment


def e164(text: str) -> str:
    """+442079460123 from a number however typed. InvalidValue when it is none."""
    try:
        number = phonenumbers.parse(text, "GB")
    except phonenumbers.NumberParseException as error:
        raise InvalidValue(f"{shown(text)[:40]} is not a telephone number", next_step=_NUMBER_LIKE) from error
    if re.search("[A-Za-z]", text) or not phonenumbers.is_possible_number(number):
        raise InvalidValue(f"{shown(text)[:40]} is not a telephone number", next_step=_NUMBER_LIKE)
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


_NUMBER_LIKE: Final = "Write it like 020 7946 0123 or +442079460123."


def as_number(text: str) -> str | None:
    """+442079460123 of what looks like a telephone number, or the beginning of one (020 7946), however typed; None for
    anything else, and what begins in the middle of a number comes out as none that there is."""
    if not re.fullmatch(r"[+0-9 ()./-]{7,}", text):
        return None
    try:
        return str(phonenumbers.format_number(phonenumbers.parse(text, "GB"), phonenumbers.PhoneNumberFormat.E164))
    except phonenumbers.NumberParseException:
        return None


def mail_address(text: str) -> str:
    """A mail address, as typed. InvalidValue when it is none."""
    if not is_address(text):
        raise InvalidValue(f"{shown(text)[:60]} is no mail address", next_step="It looks like kate@customer.example.")
    return text


def person_name(text: str) -> str:
    """A person's name, as typed. InvalidValue when it is empty or holds what no name holds."""
    if not text.strip() or CONTROL.search(text):
        raise InvalidValue("a name cannot be empty or hold control characters", next_step='Write it like "Grace Bell".')
    return text


def duration(text: str) -> int:
    """Minutes of 2h, 90m, 1h30m. UsageError when it is none."""
    match = re.fullmatch(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?", text)
    if not match or not text:
        raise UsageError(f"{shown(text)[:20]} is no duration", next_step="Write it like 2h, 90m or 1h30m.")
    return int(match[1] or 0) * 60 + int(match[2] or 0)


def options(
    words: Sequence[str], valued: Mapping[str, str] | None = None, switches: Collection[str] = ()
) -> tuple[list[str], dict[str, str], set[str]]:
    """Split words into plain ones, options with their values (defaults given) and switches, named without dashes.

    What follows `--` is plain. UsageError for an option that is not known, naming the nearest one.
    """
    values, given, plain, rest = dict(valued or {}), set[str](), list[str](), list(words)
    while rest:
        word = rest.pop(0)
        name = word.removeprefix("--")
        if word == "--":
            return plain + rest, values, given
        if not word.startswith("--"):
            plain.append(word)
        elif name in switches:
            given.add(name)
        elif name in values and rest:
            values[name] = rest.pop(0)
        elif name in values:
            raise UsageError(f"--{name} needs a value.")
        else:
            known = [f"--{n}" for n in (*values, *switches)]
            near = difflib.get_close_matches(word, known, 1, 0.5) or known
            step = f"There is {', '.join(near)}." if near else "This command takes no options of its own."
            raise UsageError(f"{shown(word)[:30]} is not an option here.", next_step=step)
    return plain, values, given
