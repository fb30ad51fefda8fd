"""How a command reaches the deployment: through the serving process when there is one, else by opening it itself.

A command that a gateway answers imports little (asking.py, the configuration); what a gateway is made of is imported
where none answers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.render import show
from gateway.cli.words import as_json, command, complain
from gateway.harmless import shown as harmless

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.wiring.asking import Row, Stream


def settings_of(path: Path) -> Settings:
    """Load, or say everything that is wrong and exit 2."""
    from config import load as loading

    try:
        return loading.load(path, os.environ)
    except loading.ConfigError as error:
        for problem in error.problems:
            of_the_whole = problem.key == str(path)
            click.echo(harmless(str(problem) if of_the_whole else f"{path}: {problem}"), err=True)
        sys.exit(2)


def run(context: click.Context, name: str, /, *, stream: Stream | None = None, **given: Any) -> Any:
    """Do one command; exit with words on an error. `stream` gets what it tells on the way."""
    import asyncio

    from gateway.wiring.asking import ask, failure

    settings = settings_of(context.find_root().obj["config"])

    async def here() -> Row:
        try:
            answer = await ask(settings.storage.data_dir / "control.sock", name, given, stream)
            return answer if answer is not None else await _opened(settings, name, given, stream)
        except BrokenPipeError:
            raise  # whoever read our output has seen enough
        except Exception as error:
            return failure(error)

    answer = asyncio.run(here())
    if "error" in answer:
        complain(answer)
        sys.exit(answer["exit"])
    return answer["result"]


async def _opened(settings: Settings, name: str, given: Row, stream: Stream | None) -> Row:
    """The same where nothing serves."""
    from gateway.wiring import telling
    from gateway.wiring.admin import Admin
    from gateway.wiring.asking import own_login
    from gateway.wiring.parts import parts

    telling.configure("warning")
    async with parts(settings) as opened:
        return {"result": await Admin(opened).call(name, own_login(), given, stream)}


def shown(context: click.Context, name: str, /, **given: Any) -> None:
    """Do one command and show what it gave."""
    show(run(context, name, **given), as_json())


def simple(
    parent: click.Group, name: str, words: str, example: str, *params: click.Parameter, call: str,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda given: given,
) -> None:  # fmt: skip
    """A command that is one call of Admin (`call`, "grant revoke") with its options, changed where they must be."""

    def act(**given: Any) -> None:
        shown(click.get_current_context(), call, **change(given))

    command(parent, name, words, example, act, *params)
