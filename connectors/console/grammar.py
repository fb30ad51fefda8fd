"""The guarded console's grammar: what an engineer types is parsed, what is sent is rendered again from the parse.

Abbreviations, which Asterisk's own prompt takes, are refused: `pjsip show a` must not become what nobody reviewed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connectors.contract import DiagCommand
from connectors.errors import InvalidValue
from connectors.guard import Check
from connectors.operations import Operation


class Class(StrEnum):
    """The two classes of command, which are granted apart."""

    LOOK = "look"
    ACT = "act"

    @property
    def operation(self) -> Operation:
        """What an agreement has to name for it."""
        return Operation(f"console-{self.value}")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a command where the engineer's own word goes.

    `name`: as help shows it; `pattern`: what the word has to be, whole; `choices`: where only these may stand there.
    """

    name: str
    pattern: str = ""
    choices: tuple[str, ...] = ()
    example: str = ""

    def takes(self, word: str) -> bool:
        """Whether a word may stand here."""
        return word in self.choices if self.choices else re.fullmatch(self.pattern, word) is not None

    def shown(self) -> str:
        """As help shows it."""
        return "|".join(self.choices) if self.choices else self.name

    def sample(self) -> str:
        """A word that may stand here."""
        return self.choices[0] if self.choices else self.example


# Never a leading dash, of which a program could make an option, and nothing that a prompt gives a meaning of its own.
NAME: Final = Slot("NAME", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", example="alice.wong")
NUMBER: Final = Slot("NUMBER", r"[0-9]{1,8}", example="2001")


@dataclass(frozen=True, slots=True)
class Entry:
    """A reviewed command: fixed words, and slots; what it does, in plain words.

    `withheld`: fields of its output that are never shown, besides those that look like secrets anyhow (`output`);
    `shown`: where there are any, the only fields of its output (" NAME : value") whose value is shown;
    `safe`: why nothing else in its output is a secret; `source`: whence that is known. `extra`: off until the customer
    switches it on for a phone system.
    """

    kind: Class
    words: tuple[str | Slot, ...]
    shows: str
    safe: str
    source: str
    withheld: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    extra: bool = False

    @property
    def name(self) -> str:
        """The stable name, in events and agreements: "pjsip-show-endpoint-x"."""
        return "-".join("x" if isinstance(word, Slot) else word.strip("-") for word in self.words)

    def usage(self) -> str:
        """As help prints it."""
        return " ".join(word.shown() if isinstance(word, Slot) else word for word in self.words)

    def sample(self) -> str:
        """A line that it takes."""
        return " ".join(word.sample() if isinstance(word, Slot) else word for word in self.words)

    def rendered(self, given: Sequence[str]) -> tuple[str, ...] | None:
        """Its own words, with those of `given` in its slots; None where they do not fit."""
        if len(given) != len(self.words):
            return None
        made = []
        for wanted, word in zip(self.words, given, strict=True):
            if isinstance(wanted, Slot):
                if not wanted.takes(word):
                    return None
                made.append(word)
            elif word != wanted:
                return None
            else:
                made.append(wanted)
        return tuple(made)


Catalogue = tuple[Entry, ...]
_LONGEST_COMMAND: Final = 200


def _plain(line: str) -> bool:
    return len(line) <= _LONGEST_COMMAND and line.isascii() and line.isprintable()


def find(line: str, catalogue: Iterable[Entry]) -> tuple[Entry, DiagCommand] | None:
    """The entry that a line is of, and the command that it means; None when it is of none."""
    if not _plain(line):
        return None
    given = line.split(" ")
    for entry in catalogue:
        if (made := entry.rendered(given)) is not None:
            return entry, DiagCommand(made, entry.name, acts=entry.kind is Class.ACT)
    return None


def parse(line: str, catalogue: Sequence[Entry]) -> DiagCommand:
    """The command that a line means. InvalidValue, naming the nearest that is allowed, when it means none."""
    return understood(line, catalogue)[1]


def understood(
    line: str, catalogue: Sequence[Entry], help_with: str = "`diag` without words"
) -> tuple[Entry, DiagCommand]:
    """As `parse`, with the entry. `help_with`: what shows the whole list to whoever typed it."""
    found = find(line, catalogue)
    if found is not None:
        return found
    near = difflib.get_close_matches(line[:_LONGEST_COMMAND], [entry.usage() for entry in catalogue], 1, 0.4)
    hint = f"Did you mean `{near[0]}`? " if near else ""
    raise InvalidValue(
        "that is not on the list of this phone system's commands", next_step=f"{hint}{help_with} shows the list."
    )


def _next(before: Sequence[str], catalogue: Iterable[Entry]) -> Iterator[str]:
    for entry in catalogue:
        if len(entry.words) > len(before) and all(
            wanted.takes(given) if isinstance(wanted, Slot) else given == wanted
            for wanted, given in zip(entry.words, before, strict=False)
        ):
            word = entry.words[len(before)]
            yield from word.choices if isinstance(word, Slot) else (word,)


def complete(prefix: str, catalogue: Iterable[Entry]) -> tuple[str, ...]:
    """Words that can come next at the end of `prefix`, sorted. Local: nothing is asked of the phone system."""
    *before, last = prefix.split(" ")
    return tuple(sorted({word for word in _next(before, catalogue) if word.startswith(last)}))


def only(catalogue: Sequence[Entry], kind: Class) -> Check:
    """A guard's check: exactly what an entry of that class renders to, so that no connector can send another line."""
    mine = tuple(entry for entry in catalogue if entry.kind is kind)

    def check(name: str, value: object) -> None:
        if not isinstance(value, str) or (found := find(value, mine)) is None or found[1].render() != value:
            raise InvalidValue(f"{name} is not on the list of {kind.value} commands")

    return check
