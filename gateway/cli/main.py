"""`frameroom`: the operator's command line. It talks to a running `serve`, or opens the deployment itself.

Each part has a file: people, asking, places (phone systems), permitting, visiting, auditing, deployment, keeping,
importing, outside (visits that are not recorded here).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli import (
    asking,
    auditing,
    deployment,
    erasing,
    importing,
    keeping,
    master_keys,
    months,
    outside,
    people,
    permitting,
    places,
    recovering,
    retention,
    subjects,
    visiting,
)
from gateway.cli.calling import run, settings_of
from gateway.cli.words import Main


@click.group(cls=Main)
@click.option("--config", "-c", type=click.Path(path_type=Path), default=Path("frameroom.toml"), show_default=True)
@click.version_option(package_name="frameroom", version="0.1.0")
@click.pass_context
def main(context: click.Context, config: Path) -> None:
    """Let your telecoms maintainer into your phone system without giving it your passwords.

    Exit codes: 0 done, 1 failed, 2 the words of the command are off, 3 not permitted. TAB completion: `frameroom
    completion --help`.

    Example: frameroom -c /srv/frameroom/frameroom.toml system list
    """
    given = context.ensure_object(dict)
    given["config"] = config
    given.setdefault("json", False)


@main.command()
@click.option(
    "--story", type=click.Choice(["1", "2", "3"]), help="Play a story by itself and exit 0 when every step held."
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where to keep its files (default: a new one).")
@click.option("--state-file", type=click.Path(path_type=Path), help="Write addresses, accounts and keys as JSON.")
def demo(story: str | None, folder: Path | None, state_file: Path | None) -> None:
    """A gateway, a training phone system and a customer on loopback, with the commands to try.

    Example: frameroom demo --story 1
    """
    import uvloop

    from gateway.cli.demo import run as play
    from gateway.wiring import telling

    telling.configure("warning")
    sys.exit(uvloop.run(play(story, folder, state_file)))


_PARTS = (
    deployment, people, months, asking, places, permitting, visiting, outside, auditing, erasing, subjects, retention,
    recovering, master_keys,
)  # fmt: skip
for part in _PARTS:
    part.register(main)
importing.register(main, run)
keeping.register(main, run, settings_of)

if __name__ == "__main__":
    main(prog_name="frameroom")
