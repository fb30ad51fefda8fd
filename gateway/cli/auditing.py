"""`frameroom audit …`."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from audit.events import KINDS
from gateway.choices import OUTCOMES
from gateway.cli.calling import run
from gateway.cli.render import show, to_json
from gateway.cli.times import WHEN, local
from gateway.cli.words import FILE_TEXT, Group, argument, as_json, command, may, option
from gateway.harmless import shown as harmless

_WHY = "Stands in the log that is looked at."


def register(main: click.Group) -> None:
    """Add the commands."""
    audit = Group("audit", help="The log. Every look stands in it too.")
    main.add_command(audit)
    _register_readers(audit)
    command(
        audit, "tail", "The last entries of a customer's log, or of the operator's own.",
        "audit tail --customer 'Brook & Sons' --follow", _tail, may("customer"),
        option("count", type=click.IntRange(1, 1000), default=20, show_default=True),
        click.Option(["--follow", "-f"], is_flag=True, help="Go on with what comes; Ctrl-C ends it."),
        may("after", type=click.IntRange(-1), help="Everything after this index instead: where an earlier one ended."),
        option("format", type=click.Choice(["told", "json", "ocsf"]), default="told", show_default=True,
               help="json: a line of JSON each; ocsf: the same with nothing personal in it (docs/streams.md)."),
        option("why", default="looking at the log", show_default=True, help=_WHY),
    )  # fmt: skip
    command(
        audit, "streams", "Receivers outside that the log is streamed to, and how far each is known to have read.",
        "audit streams", _streams,
    )  # fmt: skip
    command(
        audit, "search", "Entries that fit every condition, in order. --after goes on where an answer stopped.",
        "audit search --customer 'Brook & Sons' --operation alter --since '7d ago' --why 'monthly check'", _search,
        option("why", help=_WHY), may("customer"), may("system"), may("engineer", help="A login."),
        may("operation", help="A name (alter) or an id (op_…)."), may("session"), may("ticket"),
        may("subject", help="A person: an id, name, address or number; of an engineer the login, without --customer."),
        click.Option(["--kind", "kinds"], multiple=True, type=click.Choice(sorted(KINDS)), metavar="KIND",
                     help="Like operation.done; may be repeated."),
        may("outcome", type=click.Choice(OUTCOMES)), may("since", type=WHEN), may("until", type=WHEN),
        option("after", type=click.IntRange(0), default=0, help="The last cursor that was shown."),
        option("limit", type=click.IntRange(1, 10_000), default=100, show_default=True),
    )  # fmt: skip
    command(
        audit, "report", "One file about a visit, a permission, or everything since a time: plain words, the entries "
        "with their proofs, the customer's own signatures. Its customer checks it with `python -m audit.verify`.",
        "audit report --session ses_1a2b3c4d --to visit.txt --why 'the customer asked'", _report,
        option("why", help=_WHY), may("session"), may("grant"), may("since", type=WHEN), may("customer"),
        click.Option(["--operator"], is_flag=True, help="With --since: the operator's own log."),
        may("to", type=click.Path(path_type=Path), metavar="FILE", help="Otherwise standard output."),
        may("held", multiple=True, type=FILE_TEXT, metavar="FILE",
            help="A checkpoint that the customer holds: the report then proves that the log extends it."),
        click.Option(["--recording"], is_flag=True, help="The recording too, with the key that opens it."),
    )  # fmt: skip
    command(
        audit, "verify", "Recompute everything and name the first fault; exit code 1 when there is one. --held also "
        "checks that the log extends a checkpoint that somebody kept, like the one in the mail after a visit.",
        "audit verify --customer 'Brook & Sons' --held mail-of-25-november.txt", _verify, may("customer"),
        may("held", multiple=True, type=FILE_TEXT, metavar="FILE", help="May be repeated."),
    )  # fmt: skip


def _report(
    session: str | None, grant: str | None, since: int | None, to: Path | None, held: tuple[str, ...], **given: Any
) -> None:
    """Of exactly one thing, to a file that was not there or to standard output."""
    given |= {"session": session, "grant": grant, "since_ms": since, "held": list(held)}
    if [session, grant, since].count(None) != 2:
        raise click.UsageError("a report is of one thing: --session, --grant or --since")
    if since is not None and given["customer"] is None and not given.pop("operator"):
        raise click.UsageError("--since wants --customer NAME, or --operator for the operator's own log")
    given.pop("operator", None)
    pieces = run(click.get_current_context(), "audit report", **given)
    data = "".join(piece["text"] for piece in pieces).encode()
    if to is None:
        click.echo(data, nl=False)
        return
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise click.UsageError(f"{to} is there already; nothing was written") from error
    show({"report": str(to), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}, as_json())


def _register_readers(audit: click.Group) -> None:
    reader = Group("reader", help="Tokens by which a customer reads their own log over HTTP (docs/verifying.md).")
    audit.add_command(reader)

    def call(name: str) -> Callable[..., None]:
        return lambda **given: show(run(click.get_current_context(), f"audit reader {name}", **given), as_json())

    command(
        reader, "add", "A new one, shown this once; who has it reads that customer's log.",
        "audit reader add 'Brook & Sons' --name 'their auditor'", call("add"), argument("customer"), option("name"),
    )  # fmt: skip
    command(reader, "list", "A customer's.", "audit reader list 'Brook & Sons'", call("list"), argument("customer"))
    command(
        reader, "remove", "It opens nothing any more.", "audit reader remove 'Brook & Sons' rdr_1a2b3c…",
        call("remove"), argument("customer"), argument("reader"),
    )  # fmt: skip


class _Lines:
    """A Stream of entries, shown a line each as they come."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    async def rows(self, rows: list[dict[str, Any]]) -> None:
        """More entries."""
        for row in rows:
            if self._as_json:
                click.echo(to_json(row))
                continue
            index = "-" if row["index"] is None else row["index"]
            line = f"{index:>6}  {local(row['time'])}  {row['kind']:<22} {row['actor']}  {row['told']}"
            click.echo(harmless(line))
        sys.stdout.flush()

    async def progress(self, told: dict[str, Any]) -> None:
        """Nothing to be shown of it."""


def _tail(follow: bool, format: str, **given: Any) -> None:
    context = click.get_current_context()
    given |= {"follow": follow, "form": "ocsf" if format == "ocsf" else "told"}
    if not follow and format == "told":
        show(run(context, "audit tail", **given), as_json())
        return
    try:
        run(context, "audit tail", stream=_Lines(format != "told" or as_json()), **given)
    except KeyboardInterrupt:
        # The ordinary end of following.
        sys.exit(0)


def _streams() -> None:
    found = run(click.get_current_context(), "audit streams")
    show(found, as_json())
    if not found and not as_json():
        click.echo("No receiver is named: streams.receivers in the configuration (docs/streams.md).", err=True)


def _search(since: int | None, until: int | None, kinds: tuple[str, ...], **given: Any) -> None:
    given |= {"since_ms": since, "until_ms": until, "kinds": list(kinds)}
    found = run(click.get_current_context(), "audit search", **given)
    show(found, as_json())
    if len(found) == given["limit"] and not as_json():
        click.echo(f"There may be more: --after {found[-1]['cursor']}", err=True)


class _Progress:
    """A Stream that tells on a terminal how far it came."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self.told = False

    async def rows(self, rows: list[dict[str, Any]]) -> None:
        """There are none."""

    async def progress(self, told: dict[str, Any]) -> None:
        """One line, written over."""
        if self._terminal:
            words = f"{told['logs']} of {told['of']} logs, {told['entries']} entries, {told['faults']} faults"
            click.echo(f"\r\x1b[K{words}", nl=False, err=True)
            self.told = True


def _verify(customer: str | None, held: tuple[str, ...]) -> None:
    progress = _Progress()
    try:
        report = run(click.get_current_context(), "audit verify", stream=progress, customer=customer, held=list(held))
    finally:
        if progress.told:
            click.echo("\r\x1b[K", nl=False, err=True)
    show(report, as_json())
    sys.exit(0 if report["ok"] else 1)
