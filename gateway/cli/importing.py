"""`frameroom import FILE` and `frameroom system credential SYSTEM`.

The file is read here, as the person who calls: a credential file that they may not read stays unread. Its rows wait
in a private temporary database, so that a large file takes no more memory than a small one, and go to the deployment
a customer at a time.
"""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.choices import ROWS
from gateway.errors import InvalidError
from gateway.harmless import shown

if TYPE_CHECKING:
    from gateway.access.sheet_rows import SheetRow

Run = Callable[..., Any]
"""main.run: (context, command, **given) → what it gave."""
_BYTES: Final = 4 << 20
"""About as much as one call carries."""
_IDENTITY: Final = {"contact": "email", "approver": "email", "site": "site", "system": "system"}
_ORDER: Final = {kind: place for place, kind in enumerate(ROWS)}


def register(main: click.Group, run: Run) -> None:
    """Add the commands to `main`; `run` does one command of the deployment."""

    @main.command("import")
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--plan", is_flag=True, help="Show what each row would do, and write nothing.")
    @click.option("--kind", type=click.Choice(list(ROWS)), help="What the rows are, where the file does not say.")
    @click.option("--ignore-unknown", is_flag=True, help="Leave out columns and sheets that are not known.")
    @click.pass_context
    def import_file(context: click.Context, file: Path, plan: bool, kind: str | None, ignore_unknown: bool) -> None:
        """Take customers, sites, agreements, phone systems, contacts and approvers from a CSV or XLSX FILE.

        A result per row; what is right is written, what is refused says why. The same file again says "same".
        Exit code 1 when a row was refused.

        Example: frameroom import customers.xlsx --plan
        """
        from gateway.access.sheet_rows import read

        with closing(_Spool()) as spool:
            try:
                for row in read(file, kind, ignore_unknown, lambda note: click.echo(shown(note), err=True)):
                    spool.add(row, file.parent, plan)
            except InvalidError as error:
                click.echo(f"frameroom: {shown(error.message)}", err=True)
                click.echo(shown(error.next_step), err=True, nl=bool(error.next_step))
                sys.exit(error.exit_code)
            try:
                _send(context, run, spool, plan)
            finally:
                spool.show(context.obj["json"], plan)
            sys.exit(1 if spool.count("refused") else 0)

    systems = main.commands["system"]
    if isinstance(systems, click.Group):
        _register_credential(systems, run)


def _register_credential(systems: click.Group, run: Run) -> None:
    @systems.command("credential")
    @click.argument("system")
    @click.option("--login", required=True, help="The login on the phone system.")
    @click.option("--password-file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--key-file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--untried", is_flag=True, help="Seal it without trying it: it is not in place yet.")
    @click.pass_context
    def credential(
        context: click.Context, system: str, login: str, password_file: Path | None, key_file: Path | None,
        untried: bool,
    ) -> None:  # fmt: skip
        """Give a phone system its credential, or a new one. It is read from a file of mode 0600 and sealed, after the
        phone system was come in to with it.

        Example: frameroom system credential "Head office" --login frameroom --key-file head-office.key
        """
        try:
            password = _secret(password_file).strip() if password_file else None
            private_key = _secret(key_file) if key_file else None
        except InvalidError as error:
            raise click.UsageError(error.message) from error
        told = run(
            context, "system credential", system=system, login=login, password=password, private_key=private_key,
            untried=untried,
        )  # fmt: skip
        for wrong in told.get("not as it should be", ()):
            click.echo(f"not as it should be: {shown(wrong)}", err=True)
        click.echo(f"Sealed{', untried' if untried else ''}.", err=True)


def _secret(path: Path) -> str:
    """The text of a credential file. InvalidError when it cannot be read, or when others could read it."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InvalidError(f"{path} can be read by others: chmod 600 it")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InvalidError(f"{path} cannot be read ({type(error).__name__})") from error


class _Spool:
    """The rows and their results, in a private temporary file of SQLite's that nobody else can open."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "create table row (n integer primary key, place, kind, rank, customer, wanted, name, body, "
            "result default '', words default '')"
        )
        self._db.execute("create table known (wanted, kind, name, place, primary key (wanted, kind, name))")
        # One transaction for good: nothing here outlives the command.
        self._db.execute("begin")

    def close(self) -> None:
        """Gone, file and all."""
        self._db.close()

    def add(self, row: SheetRow, folder: Path, plan: bool) -> None:
        """Keep a row. One that is refused already, or that an earlier row was about, is only shown."""
        customer = row.cells.get("customer", "")
        name = row.cells.get(_IDENTITY.get(row.kind, ""), "")
        wanted, refusal, credential = customer.casefold(), row.refusal, None
        if not refusal and not customer:
            refusal = "customer: every row names one"
        if not refusal and row.kind == "system" and row.cells.get("credential file"):
            credential, refusal = self._credential(row, folder, plan)
        if not refusal:
            refusal = self._twice(wanted, row.kind, name.casefold(), row.place)
        body = "" if refusal else json.dumps({"kind": row.kind, "cells": row.cells, "credential": credential})
        self._db.execute(
            "insert into row (place, kind, rank, customer, wanted, name, body, result, words) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row.place, row.kind, _ORDER.get(row.kind, 0), customer, wanted, name, body, "refused" if refusal else "",
             refusal),
        )  # fmt: skip

    def _twice(self, wanted: str, kind: str, name: str, place: str) -> str:
        found = self._db.execute(
            "select place from known where wanted = ? and kind = ? and name = ?", (wanted, kind, name)
        ).fetchone()
        if found is not None:
            return f"row {found[0]} is about the same {kind}"
        self._db.execute("insert into known values (?,?,?,?)", (wanted, kind, name, place))
        return ""

    @staticmethod
    def _credential(row: SheetRow, folder: Path, plan: bool) -> tuple[dict[str, str] | None, str]:
        """(credential, refusal); for a plan the file is read too, and nothing of it is handed on."""
        try:
            text = _secret(folder / Path(row.cells["credential file"]).expanduser())
        except InvalidError as error:
            return None, f"credential file: {error.message}"
        if not row.cells.get("login"):
            return None, "login: the credential file belongs to one"
        if not text.strip():
            return None, "credential file: it is empty"
        name = "private_key" if text.lstrip().startswith("-----BEGIN") else "password"
        value = text if name == "private_key" else text.strip()
        return {"login": row.cells["login"], name: "" if plan else value}, ""

    def calls(self) -> Iterator[list[dict[str, Any]]]:
        """What is sent at once: some customers, each with its rows and their numbers here.

        A customer's rows stay together up to TOGETHER; each later part repeats the customer's own row, so that a
        plan knows of it.
        """
        from gateway.access.importing import TOGETHER

        query = "select n, customer, body, wanted, kind from row where body != '' order by wanted, rank, n"
        call: list[dict[str, Any]] = []
        size = rows = 0
        for _, found in groupby(self._db.execute(query), key=lambda row: row[3]):
            first: list[tuple[Any, ...]] = []
            part: list[tuple[Any, ...]] = []
            for row in found:
                if part and (len(part) >= TOGETHER or size + len(row[2]) > _BYTES):
                    yield [*call, _group(part)]
                    call, size, rows, part = [], 0, 0, [(None, *r[1:]) for r in first]
                if row[4] == "customer":
                    first.append(row)
                part.append(row)
                size += len(row[2])
            call.append(_group(part))
            rows += len(part)
            if rows >= TOGETHER or size >= _BYTES:
                yield call
                call, size, rows = [], 0, 0
        if call:
            yield call

    def settle(self, group: dict[str, Any], results: list[dict[str, str]]) -> None:
        """Keep the results of one customer's rows."""
        for n, result in zip(group["numbers"], results, strict=True):
            if n is not None:
                self._db.execute(
                    "update row set result = ?, words = ? where n = ?", (result["result"], result["words"], n)
                )

    def count(self, result: str = "%") -> int:
        """How many rows there are, or have this result."""
        return int(self._db.execute("select count(*) from row where result like ?", (result,)).fetchone()[0])

    def show(self, as_json: bool, plan: bool) -> None:
        """A result per row, in the order of the file, and what they add up to."""
        rows = self._db.execute("select place, kind, customer, name, result, words from row order by n")
        names = ("row", "kind", "customer", "name", "result", "words")
        if as_json:
            click.echo("[", nl=False)
            for number, row in enumerate(rows):
                click.echo(("," if number else "") + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
            click.echo("]")
        else:
            for row in rows:
                place, kind, customer, name, result, words = (shown(str(value)) for value in row)
                what = " / ".join(filter(None, (customer, name)))
                click.echo(
                    f"{place:>6}  {kind:<9}  {result or 'not reached':<8}  {what}{'  ' + words if words else ''}"
                )
        totals = self._db.execute("select result, count(*) from row group by result order by result").fetchall()
        told = ", ".join(f"{count:,} {result or 'not reached'}" for result, count in totals) or "The file has no rows"
        click.echo(f"{told}.{' Nothing was written.' if plan else ''}", err=True)


def _group(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {"customer": rows[0][1], "numbers": [r[0] for r in rows], "rows": [json.loads(r[2]) for r in rows]}


def _send(context: click.Context, run: Run, spool: _Spool, plan: bool) -> None:
    """Have every row planned or written."""
    total, done = spool.count(), 0
    for call in spool.calls():
        given = [{"customer": group["customer"], "rows": group["rows"]} for group in call]
        for group, results in zip(call, run(context, "import rows", customers=given, plan=plan), strict=True):
            spool.settle(group, results)
            done += len(results)
        if sys.stderr.isatty():
            click.echo(f"\r{done:,} of {total:,} rows", err=True, nl=done >= total)
