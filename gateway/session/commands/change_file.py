"""A CSV of changes: read whole before anything is done, every mistake named with its line.

The header names the columns: `user`, and any of `name`, `email`, `ddi`, `do`. `do` is one of `DOES`, set where it is
empty or missing. An empty cell leaves a field as it is; `-` takes an email or a direct number away.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.contract import Change, Operation, SecretKind
from connectors.errors import ConnectorError
from gateway.errors import FrameroomError, UsageError
from gateway.model import Terms
from gateway.session.commands.acts import checked
from gateway.session.commands.text import shown

MAX_BYTES: Final = 16 << 20
MAX_ROWS: Final = 100_000
COLUMNS: Final = ("user", "name", "email", "ddi", "do")
_FIELDS: Final = ("name", "email", "ddi")
_NAMED: Final = 20
_LONGEST_CELL: Final = 400

OPERATIONS: Final[Mapping[str, Operation]] = {
    "set": Operation.ALTER,
    "remove": Operation.REMOVE,
    **{f"reset-{kind.value}": kind.operation for kind in SecretKind},
}
DOES: Final = tuple(OPERATIONS)


@dataclass(frozen=True, slots=True)
class Line:
    """One change of the file; `number` is its line there."""

    number: int
    user: str
    do: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def operation(self) -> Operation:
        """What permission it needs."""
        return OPERATIONS[self.do]

    def change(self, terms: Terms | None) -> Change:
        """What a `set` writes (acts.checked)."""
        return checked(self.values, terms)


class ChangeFile:
    """A file without mistakes. It is kept as it came and parsed again at each pass, so that memory stays small."""

    def __init__(self, data: bytes, terms: Terms | None) -> None:
        """Check every line. UsageError that names the first mistakes and how many there are."""
        self._data, self.terms = data, terms
        self.digest = hashlib.sha256(data).hexdigest()
        self.total = 0
        self.operations: set[Operation] = set()
        self._check()

    def lines(self) -> Iterator[Line]:
        """Every change, in order."""
        reader, header = self._open()
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _line(reader.line_num, header, cells)

    def _open(self) -> tuple[Any, list[str]]:
        text = io.TextIOWrapper(io.BytesIO(self._data), encoding="utf-8-sig", newline="")
        first = self._data[: self._data.find(b"\n") + 1 or None]
        reader = csv.reader(text, strict=True, delimiter=";" if b";" in first and b"," not in first else ",")
        return reader, _header(next(reader, []))

    def _check(self) -> None:
        try:
            self._data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self._data.count(b"\n", 0, error.start) + 1
            raise UsageError(f"Line {line} is not UTF-8.", next_step="Save the file as “CSV UTF-8”.") from error
        problems: list[str] = []
        users: dict[str, int] = {}
        number = 1
        try:
            reader, header = self._open()
            for cells in reader:
                number = reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                self.total += 1
                if self.total > MAX_ROWS:
                    raise UsageError(f"The file has more than {MAX_ROWS:,} rows.", next_step="Split it.")
                problem = self._problem(number, header, cells, users)
                if problem:
                    problems.append(f"line {number}: {problem}")
        except csv.Error as error:
            raise UsageError(
                f"After line {number} the file is no CSV ({shown(str(error))[:60]}).",
                next_step="Is a quotation mark missing, or is it a spreadsheet's own format? Save it as CSV UTF-8.",
            ) from error
        if problems:
            more = f" The first {_NAMED}:" if len(problems) > _NAMED else ""
            listed = "\n  ".join(problems[:_NAMED])
            raise FileRefused(f"{len(problems)} of {self.total} rows cannot be taken.{more}", tuple(listed.split("\n")))
        if not self.total:
            raise UsageError("The file has no rows.", next_step=f"Its header is {','.join(COLUMNS)}, rows follow.")

    def _problem(self, number: int, header: list[str], cells: Sequence[str], users: dict[str, int]) -> str:
        """What is wrong with a row; empty when nothing is."""
        if len(cells) != len(header):
            return f"{len(cells)} cells where the header has {len(header)} (a comma in a name wants quotation marks)"
        if any(len(cell) > _LONGEST_CELL for cell in cells):
            return f"a cell is longer than {_LONGEST_CELL} characters"
        line = _line(number, header, cells)
        if not line.user:
            return "no user"
        if line.do not in OPERATIONS:
            near = difflib.get_close_matches(line.do, DOES, 1, 0.4)
            return f"{shown(line.do)[:20]} is nothing to do: {near[0] if near else ', '.join(DOES)}?"
        earlier = users.setdefault(line.user.casefold(), number)
        if earlier != number:
            return f"the same user as line {earlier}"
        if (line.do == "set") != bool(line.values):
            return "nothing to set" if line.do == "set" else f"{line.do} takes no name, email or ddi"
        try:
            line.change(self.terms)
        except (FrameroomError, ConnectorError) as error:
            return error.message
        self.operations.add(line.operation)
        return ""


class FileRefused(UsageError):
    """A file with mistakes; `problems` are the first of them, each with its line."""

    def __init__(self, message: str, problems: tuple[str, ...]) -> None:
        super().__init__(message, next_step="Nothing was done. Mend the file and send it again.")
        self.problems = problems


def _header(cells: Sequence[str]) -> list[str]:
    """The columns' names. UsageError for one that is unknown, twice there, or missing."""
    names = [cell.strip().casefold() for cell in cells]
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 1, 0.4)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"There is no column “{shown(name)[:30]}”.", next_step=f"{hint}The columns are {', '.join(COLUMNS)}."
            )
        if names.count(name) > 1:
            raise UsageError(f"The column {name} is there twice.")
    if "user" not in names:
        raise UsageError("The column user is missing.", next_step=f"The first line is a header: {','.join(COLUMNS)}.")
    if len(names) == 1:
        raise UsageError("There is nothing to do but users.", next_step=f"Other columns: {', '.join(COLUMNS[1:])}.")
    return names


def _line(number: int, header: Sequence[str], cells: Sequence[str]) -> Line:
    given = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    values = {n: given[n] for n in _FIELDS if given.get(n)}
    taken = {n: "" if value == "-" and n != "name" else value for n, value in values.items()}
    return Line(number, given.get("user", ""), given.get("do", "").casefold() or "set", taken)
