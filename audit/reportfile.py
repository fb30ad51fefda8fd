"""A visit report as a file: words for people, then a line, then JSON for `audit.verify`. Pure; standard library alone.

The words are made from the JSON (`words`), so that a verifier makes them again and compares; by the sentences of the
version that the report names (audit/words.py), for those of today may be others. What a person must not
take on trust stands in the JSON as it was hashed: entries as text, personal fields as the canonical text that the
commitment was made over, hashes and signatures in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit.told import harmless, line
from audit.words import FIRST, MAKERS, NEWEST

FORMAT: Final = "frameroom-report@v1"
MARK: Final = "=== For the verifier. Nothing below this line is meant to be read. ===\n"
_LARGEST: Final = 1 << 31


class ReportError(ValueError):
    """What was given is no report, or a part of it has not the form that it should have."""


class NewerReportError(ReportError):
    """The report has words of a version that this verifier does not know yet."""


@dataclass(frozen=True, slots=True)
class Clear:
    """A personal field in clear: the salt and the canonical text that its commitment was made over."""

    salt: bytes
    text: str

    def commitment(self) -> str:
        """Hex SHA256(salt ‖ text)."""
        return hashlib.sha256(self.salt + self.text.encode()).hexdigest()

    def value(self) -> Any:
        """What it says."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its place, its bytes, the path from it to the root, its personal fields, and why others are not
    there ("(erased on …)")."""

    index: int
    entry: bytes
    path: tuple[bytes, ...]
    clear: Mapping[str, Clear] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """What it says. ReportError when that is no entry."""
        try:
            found = json.loads(self.entry)
        except ValueError as error:
            raise ReportError(f"entry {self.index} is no entry") from error
        if not isinstance(found, dict):
            raise ReportError(f"entry {self.index} is no entry")
        return found

    def personal(self) -> dict[str, Any]:
        """Its personal fields, or why one is not there. ReportError."""
        try:
            return {name: one.value() for name, one in self.clear.items()} | dict(self.gone)
        except ValueError as error:
            raise ReportError(f"a personal field of entry {self.index} is not JSON") from error

    def told(self) -> str:
        """It in today's words, on one line. A report's own are made by its version."""
        return line(self.body(), self.personal())


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording: the sealed segments of a session, and the key that opens them (b"" when it was destroyed)."""

    session: str
    key: bytes
    segments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A checkpoint that was sent before, and the proof that the report's own extends it."""

    checkpoint: str
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """`about`: what was asked for ({"session": id}, {"grant": id}, {"since": Unix ms}). `version`: of its words."""

    origin: str
    made_ms: int
    about: Mapping[str, Any]
    checkpoint: str
    entries: tuple[Entry, ...]
    handovers: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()
    recordings: tuple[Recorded, ...] = ()
    version: int = NEWEST

    def words(self) -> str:
        """The part that people read."""
        told = ((entry.index, entry.body(), entry.personal()) for entry in self.entries)
        return MAKERS[self.version](self.about, self.origin, self.made_ms, told)

    def text(self) -> str:
        """The file."""
        entries = ",\n".join(json.dumps(_entry_out(entry), ensure_ascii=False) for entry in self.entries)
        head = {
            "format": FORMAT, "words": {"version": self.version}, "origin": self.origin, "made_ms": self.made_ms,
            "about": dict(self.about),
            "checkpoint": self.checkpoint, "handovers": list(self.handovers),
            "held": [{"checkpoint": one.checkpoint, "proof": _b64(one.proof)} for one in self.held],
            "recordings": [
                {"session": one.session, "key": _b64([one.key])[0], "segments": _b64(one.segments)}
                for one in self.recordings
            ],
        }  # fmt: skip
        shown = json.dumps(head, ensure_ascii=False, indent=1)
        return f'{self.words()}{MARK}{shown[:-2]},\n "entries": [\n{entries}\n]}}\n'


def _entry_out(entry: Entry) -> dict[str, Any]:
    return {
        "index": entry.index, "entry": entry.entry.decode(), "path": _b64(entry.path),
        "clear": {name: {"salt": one.salt.hex(), "text": one.text} for name, one in entry.clear.items()},
        "gone": dict(entry.gone),
    }  # fmt: skip


def _b64(items: Any) -> list[str]:
    return [base64.b64encode(item).decode() for item in items]


def _bytes(items: Any) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(item, validate=True) for item in items)


def _entry_in(given: Mapping[str, Any]) -> Entry:
    clear = {str(name): Clear(bytes.fromhex(one["salt"]), _text(one["text"])) for name, one in given["clear"].items()}
    gone = {str(name): _text(why) for name, why in given["gone"].items()}
    return Entry(_number(given["index"]), _text(given["entry"]).encode(), _bytes(given["path"]), clear, gone)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ReportError("text was expected in the report")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ReportError("a number was expected in the report")
    return value


def _version(given: Mapping[str, Any]) -> int:
    """Of the words. A report from before they had one has the first."""
    version = _number(given["words"]["version"]) if "words" in given else FIRST
    if version > NEWEST:
        raise NewerReportError(
            f"the words of the report are of version {version}, and this verifier knows {NEWEST} and before: a newer "
            "copy of the folder audit/ is needed"
        )
    if version not in MAKERS:
        raise ReportError(f"there are no words of version {version}")
    return version


def parse(text: str) -> tuple[Report, str]:
    """The report, and the words that stand above it. ReportError."""
    words, mark, rest = text.partition(MARK)
    if not mark or len(text) > _LARGEST:
        raise ReportError("this is no report: the line that divides words from proofs is not there")
    try:
        given = json.loads(rest)
        if given["format"] != FORMAT:
            raise ReportError(f"a report of another format ({harmless(str(given['format']))}); this reads {FORMAT}")
        version = _version(given)
        recordings = tuple(
            Recorded(_text(one["session"]), _bytes([one["key"]])[0], _bytes(one["segments"]))
            for one in given["recordings"]
        )
        report = Report(
            _text(given["origin"]), _number(given["made_ms"]), dict(given["about"]), _text(given["checkpoint"]),
            tuple(_entry_in(one) for one in given["entries"]), tuple(_text(note) for note in given["handovers"]),
            tuple(Held(_text(one["checkpoint"]), _bytes(one["proof"])) for one in given["held"]), recordings,
            version,
        )  # fmt: skip
    except ReportError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ReportError(f"the report is damaged: {type(error).__name__} where its parts are read") from error
    return report, words
