"""`frameroom keys`: the master key, and moving every key to another one while the gateway serves."""

from __future__ import annotations

import sys
from typing import Any

import click

from gateway.cli.calling import run, shown
from gateway.cli.render import show
from gateway.cli.words import Group, as_json, command


class _Progress:
    """On a terminal: how far it came, on one line."""

    def __init__(self) -> None:
        self._told = False

    async def rows(self, rows: list[dict[str, Any]]) -> None:
        """There are none."""

    async def progress(self, told: dict[str, Any]) -> None:
        """Say it in the place of what was said before."""
        if sys.stderr.isatty():
            of = f" of {told['of']:,}" if "of" in told else ""
            click.echo(f"\r{told['done']:,}{of} keys", err=True, nl=False)
            self._told = True

    def end(self) -> None:
        """Leave the line."""
        if self._told:
            click.echo("\r\x1b[K", err=True, nl=False)


def register(main: click.Group) -> None:
    """Add the commands."""
    keys = Group("keys", help="The master key, under which every other key is wrapped.")
    main.add_command(keys)
    command(keys, "status", "The master keys, where they are, and how many keys each wraps.", "keys status", _status)
    command(
        keys, "check", "Open every key. Exit code 1 unless each opens, and under the current master key.",
        "keys check && frameroom keys retire", _check,
    )  # fmt: skip
    command(
        keys, "rewrap",
        "Move every key to the master key that [keys] in frameroom.toml wants, while the gateway serves. Where that is "
        "a file, a new one is made. Cut short, the same command goes on where it stopped. Afterwards make a backup of "
        "the keys, then `frameroom keys retire`.",
        "keys rewrap", _rewrap,
    )  # fmt: skip
    command(
        keys, "retire",
        "Take old master keys away, for good. Refused while anything is wrapped under one. A file is overwritten and "
        "removed; in a token, delete the key yourself afterwards. Backups that were made before still need it.",
        "keys retire", _retire,
    )  # fmt: skip


def _status() -> None:
    shown(click.get_current_context(), "keys status")


def _asked(name: str, **given: Any) -> Any:
    progress = _Progress()
    try:
        return run(click.get_current_context(), name, stream=progress, **given)
    finally:
        progress.end()


def _check() -> None:
    found = _asked("keys check")
    show(found, as_json())
    if found["ok"]:
        return
    if found["under other master keys"]:
        click.echo("Some are wrapped under another master key: `frameroom keys rewrap` moves them.", err=True)
    if found["damaged"]:
        click.echo("Damaged: put those files of data/keyring back from a backup of the keys.", err=True)
    sys.exit(1)


def _rewrap() -> None:
    config = click.get_current_context().find_root().obj["config"].absolute()
    done = _asked("keys rewrap", config=str(config))
    show(done, as_json())
    if done["damaged"]:
        click.echo("Damaged, and left as they are: put those files of data/keyring back from a backup.", err=True)
        sys.exit(1)
    click.echo("Next: `frameroom keys check`, a backup of the keys, `frameroom keys retire`.", err=True)


def _retire() -> None:
    shown(click.get_current_context(), "keys retire")
