"""Reading the spreadsheet that a company already has: CSV in whatever way it was saved, or XLSX. Text in, text out.

A file gives tables (a CSV one, an XLSX one a sheet), a table gives records with the number that a spreadsheet
program shows beside them. Nothing is guessed silently: a cell that a program turned into a date, a formula whose
result was never saved, a number in scientific notation are said to be so, by row and column.
"""

from __future__ import annotations

import codecs
import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import python_calamine

from gateway.errors import InvalidError

MAX_UNPACKED: Final = 512 << 20
"""Bytes that an XLSX may unpack to: a small file must not become a large memory."""
MAX_CELL: Final = 32_768
_CHUNK: Final = 1 << 20
_HEADER_BYTES: Final = 64 << 10
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A formula with no result in the file, and a cell that shows an error: both would be read as if they were empty.
_LOST: Final = re.compile(
    rb'<c r="([A-Z]{1,3}[0-9]{1,7})"(?:[^>]* t="e"'
    rb'|(?![^>]* t="str")[^>]*><f[^>]*(?:/>|>[^<]*</f>)(?:<v ?/>|<v></v>)?</c>)'
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as text; `odd` says, in words, why the text cannot be trusted ("" when it can)."""

    text: str
    odd: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One row. `number` is what a spreadsheet program shows beside it (from 1)."""

    number: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: its name ("" for a CSV's only one) and its records, empty ones left out."""

    name: str
    records: Iterable[Record]
    notes: tuple[str, ...] = field(default=())
    """What was assumed in reading it, for a person to confirm."""


def sheets(path: Path) -> Iterator[Sheet]:
    """Every table of the file. InvalidError when it cannot be read as one, with what to do."""
    try:
        head = path.open("rb").read(_HEADER_BYTES)
    except OSError as error:
        raise InvalidError(f"{path} cannot be read ({error.strerror})") from error
    if head.startswith(b"PK\x03\x04"):
        yield from _workbook(path)
    elif head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InvalidError(
            f"{path.name} is an old .xls file, or one with a password on it",
            next_step="Save it as .xlsx without a password, or as CSV.",
        )
    elif not head.strip():
        raise InvalidError(f"{path.name} is empty")
    else:
        yield _delimited(path, head)


# --- CSV ---


def _delimited(path: Path, head: bytes) -> Sheet:
    encoding, notes = _encoding(path, head)
    line = head.decode(encoding, "ignore").lstrip("\ufeff\r\n ").split("\n", 1)[0]
    # Quoted text may hold anything: only what stands outside quotation marks tells the separator.
    bare = re.sub(r'"[^"]*"', "", line)
    separator = max(",;\t|", key=bare.count)
    if separator != ",":
        notes += (f"columns are separated by {'tabs' if separator == chr(9) else separator}",)
    return Sheet("", _csv_records(path, encoding, separator), notes)


def _encoding(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, () if name == "utf-8-sig" else ("it is UTF-16",)
    if b"\0" in head:
        # Text without a mark: of two bytes a letter, the empty one is the higher.
        return ("utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"), ("it is UTF-16",)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252", ("it is not UTF-8: read as Windows-1252; look at names with accents",)
    return "utf-8", ()


def _csv_records(path: Path, encoding: str, separator: str) -> Iterator[Record]:
    number = 0
    try:
        with path.open(encoding=encoding, newline="") as file:
            for number, row in enumerate(csv.reader(_lines(file), delimiter=separator, strict=True), 1):
                cells = tuple(_csv_cell(text) for text in row)
                if any(cell.text for cell in cells):
                    yield Record(number, cells)
    except UnicodeError as error:
        raise InvalidError(
            f"after row {number}: bytes that are no text in {encoding}", next_step="Save the file as UTF-8 CSV."
        ) from error
    except csv.Error as error:
        raise InvalidError(
            f"after row {number}: the file is no CSV there ({error})",
            next_step="A quotation mark may be missing; saving it from a spreadsheet program puts that right.",
        ) from error


def _lines(file: io.TextIOBase) -> Iterator[str]:
    for line in file:
        if "\0" in line:
            raise csv.Error("a NUL byte")
        yield line


def _csv_cell(raw: str) -> Cell:
    text = " ".join(raw.split("\xa0")).strip()
    if text.startswith("="):
        return Cell(text, "a formula, not its result")
    return _checked(text)


def _checked(text: str) -> Cell:
    if len(text) > MAX_CELL:
        return Cell(text[:40], f"longer than {MAX_CELL} characters")
    if re.fullmatch(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!)", text):
        return Cell(text, f"the error {text}")
    if re.fullmatch(r"\d(?:[.,]\d+)?[Ee]\+\d+", text):
        return Cell(text, f"a number that was rounded ({text}): format the column as text and enter it again")
    return Cell(text)


# --- XLSX ---


def _workbook(path: Path) -> Iterator[Sheet]:
    try:
        _look_inside(path)
        with python_calamine.load_workbook(path) as book:
            for about in book.sheets_metadata:
                if about.typ == python_calamine.SheetTypeEnum.WorkSheet:
                    yield Sheet(about.name, _sheet_records(book.get_sheet_by_name(about.name)))
    except (python_calamine.CalamineError, zipfile.BadZipFile, RuntimeError, OSError) as error:
        raise InvalidError(
            f"{path.name} cannot be read as a spreadsheet ({type(error).__name__})",
            next_step="Open it in a spreadsheet program and save it again as .xlsx, or as CSV.",
        ) from error


def _look_inside(path: Path) -> None:
    """Before anything is unpacked into memory: is it small enough, and was every formula calculated?"""
    with zipfile.ZipFile(path) as packed:
        if sum(item.file_size for item in packed.infolist()) > MAX_UNPACKED:
            raise InvalidError(f"{path.name} unpacks to more than {MAX_UNPACKED >> 20} MB", next_step="Split it.")
        for item in packed.infolist():
            if item.filename.startswith("xl/worksheets/") and item.filename.endswith(".xml"):
                with packed.open(item) as sheet:
                    _nothing_lost(sheet, Path(item.filename).stem)


def _nothing_lost(sheet: Any, name: str) -> None:
    carried, read = b"", 0
    while piece := sheet.read(_CHUNK):
        read += len(piece)
        if read > MAX_UNPACKED:
            raise InvalidError("the file unpacks to more than it says", next_step="Save it again.")
        carried += piece
        if found := _LOST.search(carried):
            raise InvalidError(
                f"{name}: cell {found[1].decode()} holds an error, or a formula whose result is not in the file",
                next_step="Open it in a spreadsheet program, put it right and save it: that writes the results.",
            )
        carried = carried[-4096:]


def _sheet_records(sheet: Any) -> Iterator[Record]:
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = tuple(_xlsx_cell(value) for value in row)
        if any(cell.text for cell in cells):
            yield Record(number, cells)


def _xlsx_cell(value: Any) -> Cell:
    match value:
        case bool():
            return Cell("yes" if value else "no")
        case float() if value.is_integer() and abs(value) < 1e15:
            return Cell(str(int(value)))
        case datetime.datetime() | datetime.date():
            return Cell(str(value), f"a date ({value:%d %b %Y}): format the column as text and enter it again")
        case datetime.time():
            return Cell(value.strftime("%H:%M"))
        case datetime.timedelta():
            minutes = int(value.total_seconds()) // 60
            return Cell(f"{minutes // 60:02d}:{minutes % 60:02d}")
        case _:
            return _checked(" ".join(str(value).split("\xa0")).strip())
