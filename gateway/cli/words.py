"""What every command has in common: help with an example, `--json` in any place, errors in words, text from files."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from gateway.harmless import shown

CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_LARGEST_FILE: Final = 1 << 20


def complain(answer: Mapping[str, Any]) -> None:
    """Say what went wrong and what to do next, on standard error; nothing in it can move a terminal."""
    lines = str(answer["error"]).split("\n")
    click.echo(f"frameroom: {shown(lines[0])}", err=True)
    for line in (*lines[1:], *(f"  {match}" for match in answer.get("matches", ()))):
        click.echo(shown(line), err=True)
    if answer.get("next"):
        click.echo(shown(str(answer["next"])), err=True)


def as_json() -> bool:
    """True when this call wants JSON."""
    return bool(click.get_current_context().find_root().obj["json"])


def _wants_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.find_root().ensure_object(dict)["json"] = True


def _with_json(params: list[click.Parameter]) -> None:
    if not any("--json" in param.opts for param in params):
        params.append(
            click.Option(
                ["--json"], is_flag=True, expose_value=False, callback=_wants_json, help="JSON instead of tables."
            )
        )


class Command(click.Command):
    """A command that takes `--json` after its name too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"context_settings": CONTEXT} | kwargs))
        _with_json(self.params)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **({"context_settings": CONTEXT} | kwargs))
        _with_json(self.params)


class Main(Group):
    """The whole: whatever goes wrong below is said in words, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # whoever read our output has seen enough: click ends it quietly
            sys.exit(_said(error))


def _said(error: Exception) -> int:
    """Say an error in words; the exit code. What it takes to tell errors apart is imported when there is one."""
    from config.load import ConfigError
    from gateway.wiring.asking import failure

    if isinstance(error, ConfigError):
        for problem in error.problems:
            click.echo(f"frameroom: {shown(str(problem))}", err=True)
        return 2
    answer = failure(error)
    complain(answer)
    return int(answer["exit"])


class Chosen(click.ParamType[str]):
    """One of a set that is read out of what is not imported before it is needed: for help, for TAB, for a value."""

    name = "choice"

    def __init__(self, known: Callable[[], Iterable[str]]) -> None:
        self._known = known

    @property
    def _choice(self) -> click.Choice[str]:
        return click.Choice(list(self._known()))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click.Choice."""
        return self._choice.convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """As click.Choice."""
        return self._choice.get_metavar(param, ctx)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """As click.Choice."""
        return self._choice.get_missing_message(param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """As click.Choice."""
        return self._choice.shell_complete(ctx, param, incomplete)


class FileText(click.ParamType[str]):
    """The text of a file, "-" for standard input. Secrets come this way alone: command lines are seen by others."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Or a usage error that names the file."""
        try:
            data = sys.stdin.buffer.read(_LARGEST_FILE + 1) if value == "-" else _bytes_of(Path(value))
            if len(data) > _LARGEST_FILE:
                self.fail(f"{value} is too large", param, ctx)
            return data.decode("utf-8-sig")
        except OSError as error:
            self.fail(f"{value} cannot be read ({error.strerror})", param, ctx)
        except ValueError:  # not UTF-8, or a path with a NUL in it
            self.fail(f"{value!r} is not a file of text", param, ctx)


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE + 1)


FILE_TEXT: Final = FileText()


def line_or_file(value: str) -> str:
    """A public key or pin as given: the line itself, or what stands in the file of that name."""
    try:
        is_file = Path(value).is_file()
    except (OSError, ValueError):  # far too long for a name, or with a NUL in it: then it is no file
        is_file = False
    return FILE_TEXT.convert(value, None, click.get_current_context()) if is_file else value


def argument(name: str, **rest: Any) -> click.Argument:
    """A required argument."""
    return click.Argument([name], **rest)


def option(name: str, **rest: Any) -> click.Option:
    """An option, required unless it has a default or says otherwise."""
    return click.Option([f"--{name}"], **({"required": "default" not in rest} | rest))


def may(name: str, **rest: Any) -> click.Option:
    """An option that can be left out."""
    return option(name, **({"required": False} | rest))


def command(
    parent: click.Group, name: str, words: str, example: str, callback: Callable[..., Any], *params: click.Parameter
) -> None:
    """Add a command: what it does in words, an example of it, and what it runs."""
    text = f"{words}\n\n\b\nExample:\n  frameroom {example}"
    parent.add_command(
        Command(name, callback=callback, params=list(params), help=text, short_help=words.split(". ")[0])
    )
