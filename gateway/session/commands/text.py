"""What engineers type becomes values, and values become what a terminal shows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.cells import cell_len

from connectors.contract import Person
from connectors.errors import InvalidValue
from gateway.errors import UsageError
from gateway.harmless import CONTROL as CONTROL
from gateway.harmless import shown as shown
from gateway.model import is_address
from gateway.numbers import as_read, as_typed, example


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


class Readable(str):
    """Text as people read it; a program gets `exact`."""

    exact: str


def readable(words: str, exact: str) -> Readable:
    """The two of them."""
    both = Readable(words)
    both.exact = exact
    return both


def person_row(person: Person, country: str | None) -> dict[str, Any]:
    """As it is shown to somebody who reads numbers as that country writes them; to a program (None) in E.164."""
    ddis = person.ddis if country is None or person.ddis is None else [as_read(one, country) for one in person.ddis]
    ddi = "not available" if ddis is None else ", ".join(ddis)
    return {"extension": person.extension, "name": person.name, "email": person.email or "", "ddi": ddi}


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


def read_field(name: str, value: str | None, country: str) -> str:
    """A field's text (field_of) as people of that country read it."""
    if value and name == "ddi":
        return ", ".join(as_read(one, country) for one in value.split(", "))
    return value or "nothing"


def moved(changes: Mapping[str, tuple[str | None, str | None]], country: str) -> Readable:
    """What changes, in words: "name from A to B; email from nothing to C"."""

    def words(shape: Callable[[str, str | None], str]) -> str:
        return "; ".join(f"{n} from {shape(n, old)} to {shape(n, new)}" for n, (old, new) in changes.items())

    return readable(words(lambda n, v: read_field(n, v, country)), words(lambda _, value: value or "nothing"))


def clock(at_ms: int, zone: str) -> Readable:
    """A moment (Unix ms) as the customer's clocks say it: "25 Nov 14:00 London". Its exact form has a year, and no
    zone to be looked up."""
    at = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    place = zone.rpartition("/")[2].replace("_", " ")
    return readable(at.strftime("%d %b %H:%M ") + place, at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def telephone(text: str, country: str) -> str:
    """+442079460123 from a number typed in that country. InvalidValue when it is none."""
    number = as_typed(text, country)
    if number is None:
        raise InvalidValue(
            f"{shown(text)[:40]} is not a telephone number", next_step=f"Write it like {example(country)}."
        )
    return number


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
