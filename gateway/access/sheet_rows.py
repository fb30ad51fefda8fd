"""From a spreadsheet's records to rows of a known kind: which kind, which column, and what cannot be told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.access import columns
from gateway.access.columns import KINDS
from gateway.access.spreadsheet import Record, Sheet, sheets
from gateway.errors import InvalidError

_KIND_HEADERS: Final = ("kind", "row kind", "record type")
_TITLE_ROWS: Final = 10
"""How many rows a title may take before the header."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of the file. `place` is how a person finds it; `refusal` is why it cannot be taken ("" when it can)."""

    place: str
    kind: str
    cells: dict[str, str] = field(default_factory=dict)
    refusal: str = ""


def read(path: Path, kind: str | None, ignore: bool, say: Callable[[str], None]) -> Iterator[SheetRow]:
    """Every row of the file; `kind`: what the rows are when nothing in the file says so.

    `ignore` leaves out columns and sheets that are not known, which are refused otherwise (InvalidError, all of
    them at once). `say` hears what was assumed.
    """
    found = 0
    for sheet in sheets(path):
        for note in sheet.notes:
            say(f"{path.name}: {note}.")
        records = iter(sheet.records)
        header, records = _header(records)
        if header is None:
            continue
        found += 1
        label = f"{sheet.name} " if sheet.name else ""
        names = [cell.text for cell in header.cells]
        columns.no_secrets(names)
        told = _kind(sheet, path, kind, names)
        if told is None and not ignore:
            raise InvalidError(
                f"{label or path.name + ' '}does not say what its rows are",
                next_step=f"Add a column kind ({', '.join(KINDS)}), say --kind KIND, or --ignore-unknown.",
            )
        if told is None:
            say(f"{label}was left out: nothing says what its rows are.")
            continue
        kinds = tuple(KINDS) if told == "" else (told,)
        _known(names, kinds, label, ignore, say)
        reader = _Reader(label, names, told)
        for record in records:
            yield reader.row(record)
    if not found:
        raise InvalidError(f"{path.name} holds no rows")


def _header(records: Iterator[Record]) -> tuple[Record | None, Iterator[Record]]:
    """The first row that looks like a header: most of its cells are columns of some kind."""
    looked: list[Record] = []
    for record in itertools.islice(records, _TITLE_ROWS):
        looked.append(record)
        names = [cell.text for cell in record.cells if cell.text]
        known = sum(n.casefold() in _KIND_HEADERS or any(columns.matching(kind, n) for kind in KINDS) for n in names)
        if known * 2 >= len(names):
            return record, records
    # None looks like one: the first is taken, so that its columns can be named.
    return (looked[0], itertools.chain(looked[1:], records)) if looked else (None, records)


def _kind(sheet: Sheet, path: Path, given: str | None, names: Sequence[str]) -> str | None:
    """ "" where each row says it itself."""
    if any(name.casefold() in _KIND_HEADERS for name in names):
        return ""
    return given or columns.kind_of(sheet.name or path.stem) or columns.told_by(names)


def _known(names: Sequence[str], kinds: Sequence[str], label: str, ignore: bool, say: Callable[[str], None]) -> None:
    """InvalidError for columns that are not known, or that are there twice."""
    stray = [
        n for n in names
        if n and n.casefold() not in _KIND_HEADERS and not any(columns.matching(kind, n) for kind in kinds)
    ]  # fmt: skip
    told = ", ".join(columns.unknown(name, kinds) for name in stray)
    if stray and not ignore:
        raise InvalidError(
            f"{label}these columns are not known: {told}; nothing was read",
            next_step="Give them the names that docs/import.md lists, or leave them out with --ignore-unknown.",
        )
    if stray:
        say(f"{label}columns left out: {told}.")
    for kind in kinds:
        here = [c.name for n in names if n and (c := columns.matching(kind, n)) is not None]
        twice = sorted({name for name in here if here.count(name) > 1})
        if twice and len(kinds) == 1:
            raise InvalidError(f"{label}two columns mean {', '.join(twice)}; nothing was read")


class _Reader:
    """Turns records into rows under one header."""

    def __init__(self, label: str, names: Sequence[str], kind: str) -> None:
        self._label, self._names, self._kind = label, names, kind
        self._place = next((i for i, name in enumerate(names) if name.casefold() in _KIND_HEADERS), None)
        self._columns = {known: [columns.matching(known, name) if name else None for name in names] for known in KINDS}

    def row(self, record: Record) -> SheetRow:
        """One record as a row."""
        place = f"{self._label}{record.number}"
        kind = self._kind
        if self._place is not None:
            word = record.cells[self._place].text if self._place < len(record.cells) else ""
            kind = columns.kind_of(word) or ""
            if not kind:
                return SheetRow(place, "", {}, f"kind: {word or 'nothing'} is none of {', '.join(KINDS)}")
        cells: dict[str, str] = {}
        wrong: list[str] = []
        for index, cell in enumerate(record.cells):
            if not cell.text or index == self._place:
                continue
            if index >= len(self._names) or not self._names[index]:
                wrong.append(f'"{cell.text[:40]}" stands under no header')
                continue
            column = self._columns[kind][index]
            if column is not None:
                cells[column.name] = cell.text
                if cell.odd:
                    wrong.append(f"{column.name}: {cell.odd}")
            elif self._kind == "" and any(self._columns[known][index] for known in KINDS):
                wrong.append(f"a {kind} has no {self._names[index]}")
        return SheetRow(place, kind, cells, "; ".join(wrong))
