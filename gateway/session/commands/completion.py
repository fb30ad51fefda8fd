"""TAB: what can come next. All of it is known here already; no phone system is ever asked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from connectors.console import catalogue, diagnostics
from connectors.console import complete as complete_line
from connectors.contract import Operation, SecretKind
from gateway.harmless import CONTROL
from gateway.session.commands.caller import Caller
from gateway.session.commands.people import FIELDS
from gateway.session.commands.text import shown

_EVERYWHERE: Final = ("--json", "--system", "--yes")
_OPTIONS: Final = {
    "request": ("--for", "--ops", "--reason", "--ticket", "--wait"),
    "reset": ("--phones-will-drop",),
    "changes": ("--all",),
    "visit": ("--visit",),
}
_WITH_PERSON: Final = frozenset({"show", "set", "remove", "reset", "find"})
_WITH_SYSTEM: Final = frozenset({"use", "request", "console"})
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]*")


@dataclass(frozen=True, slots=True)
class Choice:
    """What would be put into the line, and how the list shows it. After one that `goes_on` comes no space."""

    text: str
    label: str
    goes_on: bool = False


def complete(commands: Collection[str], caller: Caller, line: str) -> tuple[str, list[str]]:
    """The line as far as it is clear, and the choices when it is not."""
    start = _start_of_last(line)
    before, last = line[:start], line[start:].lstrip("\"'")
    try:
        words = shlex.split(before)
    except ValueError:
        return line, []
    wanted = last.casefold()
    # What is put into the line goes to the terminal as it is: an extension that could steer it is not offered.
    fit = [c for c in _choices(commands, caller, words, last) if not CONTROL.search(c.text)]
    found = [c for c in fit if c.text.casefold().startswith(wanted)]
    found = found or [c for c in fit if c.label.casefold().find(wanted) >= 0]
    if not found:
        return line, []
    labels = [shown(choice.label) for choice in found]
    if len(found) == 1:
        return before + _quoted(found[0].text) + ("" if found[0].goes_on else " "), labels
    common = _common([choice.text.casefold() for choice in found])
    if len(common) > len(last) and common.startswith(wanted):
        common = found[0].text[: len(common)]
        return before + (common if _PLAIN.fullmatch(common) else f'"{common}'), labels
    return line, labels


def _start_of_last(line: str) -> int:
    """Where the unfinished last word begins, its opening quotation mark included."""
    start, quote = 0, ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == " ":
            start = at + 1
    return start


def _common(texts: Sequence[str]) -> str:
    """What all begin with: the first and the last in order differ as early as any two."""
    low, high = min(texts), max(texts)
    return low[: next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _same(texts: Iterable[str]) -> list[Choice]:
    return [Choice(text, text) for text in texts]


def _choices(commands: Collection[str], caller: Caller, words: Sequence[str], last: str) -> list[Choice]:
    if not words:
        return _same(sorted(commands))
    command, rest = words[0], words[1:]
    if words[-1] == "--system":
        return _same(caller.systems)
    if words[-1] == "--ops":
        return _operations(last)
    if last.startswith("-"):
        return _same(sorted((*_OPTIONS.get(command, ()), *_EVERYWHERE)))
    plain = [word for word in rest if not word.startswith("--")]
    match command:
        case "help":
            return _same(sorted(commands))
        case "diag":
            listed = diagnostics(caller.system.connector if caller.system is not None else "lab")
            return _same(complete_line(" ".join([*plain, last]), listed))
        case "console" if plain:
            listed = catalogue(caller.system.connector) if caller.system is not None else ()
            return _same(complete_line(" ".join([*plain[1:], last]), listed))
        case "visit" if not plain:
            return _same(("done", "start"))
        case "job" if not plain:
            return _same(("done", "take"))
        case "visit" if plain == ["start"]:
            return _same(caller.systems)
        case "set" if plain:
            used = {word.partition("=")[0] for word in plain}
            return [Choice(f"{name}=", f"{name}=", True) for name in FIELDS if name not in used]
        case "reset" if plain:
            return _same(kind.value for kind in SecretKind)
        case _ if command in _WITH_SYSTEM and not plain:
            return _same(caller.systems)
        case _ if command in _WITH_PERSON and not plain:
            return [Choice(extension, f"{extension} {name}") for extension, name in sorted(caller.people.items())]
        case _:
            return []


def _operations(last: str) -> list[Choice]:
    """Operations in a list with commas: what stands there is kept, and not offered again."""
    done, comma, _ = last.rpartition(",")
    used = set(done.split(","))
    return [Choice(f"{done}{comma}{o.value}", o.value, True) for o in Operation if o.value not in used]
