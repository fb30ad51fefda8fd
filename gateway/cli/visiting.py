"""`frameroom session …` and `recording …`."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import IO, Any, Final

import click

from audit.recording.sanitise import plain
from gateway.choices import PURPOSES
from gateway.cli.calling import run, simple
from gateway.cli.permitting import limit
from gateway.cli.playing import Screen
from gateway.cli.render import to_json
from gateway.cli.times import OFFSET, WHEN, place_of
from gateway.cli.words import Group, argument, as_json, command, may, option
from gateway.errors import ConflictError
from gateway.harmless import shown as harmless
from gateway.lifecycle import SessionState

_PASSED_OVER: Final = {
    "not permitted": "were passed over: they show somebody who was erased, and a look takes two people "
    "(`frameroom recording propose`).",
    "gone": "are no more: their period is over, or their key was destroyed.",
    "damaged": "could not be read to their end: `frameroom audit verify` says what is wrong.",
}


def since(given: dict[str, Any]) -> dict[str, Any]:
    """--since as the call takes it."""
    return given | {"since_ms": given.pop("since")}


def narrow() -> tuple[click.Parameter, ...]:
    """The options that lists of visits are narrowed by."""
    return (
        may("customer"), may("system"), may("engineer", help="A login."),
        may("since", type=WHEN, help="A time, or like '2h ago'."), limit(),
    )  # fmt: skip


def register(main: click.Group) -> None:
    """Add the commands."""
    session = Group("session", help="Visits.")
    recording = Group("recording", help="What terminals showed. Every look stands in the customer's log.")
    for made in (session, recording):
        main.add_command(made)
    why = option("why", help="Stands in the customer's log.")
    simple(
        session, "list", "Newest first.", "session list --state open",
        may("state", type=click.Choice([state.value for state in SessionState])), *narrow(), call="session list",
        change=since,
    )  # fmt: skip
    simple(
        session, "show", "One: by whose permission, and each operation with its outcome. The look is logged.",
        "session show ses_77b1 --why 'complaint of 25 November'", argument("session"), why, call="session show",
    )  # fmt: skip
    simple(
        session, "kill", "End one now.", "session kill ses_77b1 --reason 'wrong customer'", argument("session"),
        option("reason", default="ended by the operator", show_default=True), call="session kill",
    )  # fmt: skip
    command(
        session, "watch", "Look at a live terminal until the visit ends; Ctrl-C stops looking. Nothing can be typed. "
        "The look is logged before anything is shown.", "session watch ses_77b1 --why 'training'", _watch,
        argument("session"), why,
    )  # fmt: skip
    simple(
        recording, "list", "Newest first.", "recording list --customer 'Brook & Sons' --since '7d ago'", *narrow(),
        call="recording list", change=since,
    )  # fmt: skip
    command(
        recording, "play", "Show one: in its own time on a terminal, all at once to a pipe. Sanitised.",
        "recording play ses_77b1 --why 'complaint of 25 November' --speed 4 --skip-idle 2", _play, argument("session"),
        why, option("speed", type=click.FloatRange(0.1, 100), default=1.0, show_default=True),
        click.Option(["--at", "--from", "from_us"], type=OFFSET, default=0, help="Begin at 90, 1m30s or 1:30."),
        may("skip-idle", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Wait no longer than this."),
        may("find", help="Only lines that hold these words, with their time."),
    )  # fmt: skip
    command(
        recording, "search", "Lines that hold some words, over all the recordings that you may see, newest first. Each "
        "recording that is looked through stands in its customer's log.",
        "recording search 'Grace Bell' --customer 'Brook & Sons' --since '30d ago' --why 'complaint of 25 November'",
        _search, argument("words"), why, *narrow(),
    )  # fmt: skip
    command(
        recording, "export", "Write one as asciicast v2. An existing file is left alone.",
        "recording export ses_77b1 visit.cast --why 'for the customer'", _export, argument("session"),
        argument("file", type=click.Path(path_type=Path)), why,
    )  # fmt: skip
    simple(
        recording, "propose", "Ask to look at a recording that shows somebody who was erased.",
        "recording propose ses_77b1 --purpose court", argument("session"),
        option("purpose", type=click.Choice(list(PURPOSES)), help="; ".join(f"{k}: {v}" for k, v in PURPOSES.items())),
        call="recording propose",
    )  # fmt: skip
    simple(
        recording, "permit", "The second person's yes to such a look, for a day.", "recording permit pro_5a0c1e7f",
        argument("proposal"), call="recording permit",
    )  # fmt: skip


class _Showing:
    """A Stream onto this terminal."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.any = False

    async def rows(self, rows: list[dict[str, Any]]) -> None:
        """More of the recording."""
        for row in rows:
            self.any = True
            if as_json():
                click.echo(to_json(row))
            elif "text" in row:
                await self._screen.show(row.get("at"), str(row["text"]))

    async def progress(self, told: dict[str, Any]) -> None:
        """Nothing to be shown of it."""


def _watch(session: str, why: str) -> None:
    screen = Screen(sys.stdout.isatty())
    try:
        done = run(click.get_current_context(), "session watch", stream=_Showing(screen), session=session, why=why)
    except KeyboardInterrupt:
        screen.leave()
        click.echo("You have stopped looking; the visit goes on.", err=True)
        return
    screen.leave()
    click.echo(harmless(f"The visit has ended: {done['ended']}."), err=True)


def _play(session: str, why: str, speed: float, from_us: int, skip_idle: float | None, find: str | None) -> None:
    context = click.get_current_context()
    given: dict[str, Any] = {"session": session, "why": why, "find": find, "from_us": from_us}
    if as_json():
        click.echo(to_json(run(context, "recording play", **given)))
        return
    if find is not None:
        found = run(context, "recording play", **given)
        for piece in found:
            click.echo(f"{piece['at']:9.2f}  {harmless(plain(piece['text']))}")
        if not found:
            click.echo("nothing", err=True)
        return
    screen = Screen(sys.stdout.isatty(), speed=speed, longest_s=skip_idle, begins_s=from_us / 1_000_000)
    showing = _Showing(screen)
    try:
        run(context, "recording play", stream=showing, **given)
    finally:
        screen.leave()
    if not showing.any:
        click.echo(f"It shows nothing from {place_of(from_us / 1_000_000)} on.", err=True)


class _Found:
    """A Stream of lines that were found, shown as they come."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._terminal = sys.stderr.isatty()

    async def rows(self, rows: list[dict[str, Any]]) -> None:
        """More of them."""
        self.clear()
        if as_json():
            self.all += rows
            return
        for row in rows:
            about = f"{row['session']}  {place_of(row['at']):>10}  {row['customer']}, {row['system']}"
            click.echo(harmless(f"{about}: {plain(row['text'])}"))

    async def progress(self, told: dict[str, Any]) -> None:
        """One line, written over."""
        if self._terminal and not as_json():
            click.echo(f"\r\x1b[K{told['visits']} of {told['of']} recordings", nl=False, err=True)

    def clear(self) -> None:
        """Take the line of progress away."""
        if self._terminal and not as_json():
            click.echo("\r\x1b[K", nl=False, err=True)


def _search(since: int | None, **given: Any) -> None:
    found = _Found()
    told = run(click.get_current_context(), "recording search", stream=found, since_ms=since, **given)
    found.clear()
    if as_json():
        click.echo(to_json({"found": found.all, "searched": told}))
        return
    click.echo(f"{told['found']} lines in {told['of']} recordings.", err=True)
    if told["found"]:
        click.echo("`frameroom recording play SESSION --at PLACE --why …` shows the moment.", err=True)
    for what, words in _PASSED_OVER.items():
        if told[what]:
            click.echo(f"{told[what]} {words}", err=True)


class _IntoFile:
    """A Stream of asciicast lines into a file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    async def rows(self, rows: list[dict[str, Any]]) -> None:
        """More lines."""
        self._file.writelines(f"{row['line']}\n" for row in rows)

    async def progress(self, told: dict[str, Any]) -> None:
        """Nothing."""


def _export(session: str, file: Path, why: str) -> None:
    # Before anything is asked for: a look that shows nothing need not stand in the log.
    if file.exists() or file.is_symlink():
        raise ConflictError(f"{file} is there already; it was left alone", next_step="Give another name.")
    part = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    # Owner alone: it holds what a terminal showed.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as made:
        try:
            run(click.get_current_context(), "recording export", stream=_IntoFile(made), session=session, why=why)
            made.flush()
            os.fsync(made.fileno())
            try:
                os.link(part, file)
            except FileExistsError as error:
                raise ConflictError(f"{file} appeared meanwhile; it was left alone") from error
        finally:
            part.unlink()
    click.echo(harmless(f"Wrote {file}."), err=True)
