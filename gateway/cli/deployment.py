"""`frameroom init`, `config …`, `db …`, `completion`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import get_completion_class

from gateway.cli.calling import settings_of
from gateway.cli.render import show, to_json
from gateway.cli.words import Group, argument, as_json, command
from gateway.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from config.settings import Settings

SHELLS: Final = ("bash", "zsh", "fish")


def register(main: click.Group) -> None:
    """Add the commands."""
    configs = Group("config", help="The configuration file.")
    databases = Group("db", help="The database's schema.")
    for made in (configs, databases):
        main.add_command(made)
    command(
        main, "init", "Make a deployment: keys, database, frameroom.toml. Overwrites nothing.",
        "init /srv/frameroom", _init,
        click.Argument(["folder"], type=click.Path(path_type=Path), default=Path(), required=False),
    )  # fmt: skip
    command(
        main, "completion", "Print what makes TAB complete commands and options in a shell.",
        'completion bash >> ~/.bashrc\n\nOr at once:\n  eval "$(_FRAMEROOM_COMPLETE=bash_source frameroom)"',
        _completion, argument("shell", type=click.Choice(SHELLS)),
    )  # fmt: skip
    command(configs, "check", "Say everything that is wrong with it.", "-c /srv/frameroom/frameroom.toml config check",
            _check)  # fmt: skip
    command(configs, "show", "What is in force, secrets withheld.", "config show", _show)
    command(configs, "schema", "The JSON Schema of the settings, for editors.", "config schema > schema.json", _schema)
    command(databases, "upgrade", "Bring it to the newest schema.", "db upgrade", _upgrade)
    command(databases, "status", "Which schema it has, and which is newest.", "db status", _status)


def _config() -> Path:
    path: Path = click.get_current_context().find_root().obj["config"]
    return path


def _init(folder: Path) -> None:
    file = folder / "frameroom.toml"
    if file.exists() or (folder / "data").exists():
        raise UsageError(f"{folder} holds a deployment already; nothing was changed.")
    from config import load as loading
    from gateway.wiring import telling
    from gateway.wiring.app import make_keys, migrate

    telling.configure("warning")
    folder.mkdir(parents=True, exist_ok=True)
    make_keys(folder / "data" / "keys")
    file.write_text(loading.reference(), encoding="utf-8")
    migrate(settings_of(file))
    if as_json():
        show({"config": str(file)}, True)
    else:
        click.echo(f"Made {file}. Next: edit it, then `frameroom -c {file} serve`.")


def _completion(shell: str) -> None:
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = click.get_current_context().find_root()
    click.echo(made(root.command, {}, "frameroom", "_FRAMEROOM_COMPLETE").source())


def _check() -> None:
    from gateway.wiring.streams import contexts

    # What only they can tell who use it: certificates, kinds of event.
    contexts(settings_of(_config()))
    if as_json():
        show({"config": str(_config()), "ok": True}, True)
    else:
        click.echo("It is in order.")


def _show() -> None:
    from config import load as loading

    told = loading.redacted(settings_of(_config()))
    if as_json():
        click.echo(to_json(told))
        return
    for section, values in told.items():
        click.echo(f"[{section}]")
        for name, value in values.items():
            click.echo(f"{name} = {to_json(value)}" if value is not None else f"# {name} =")
        click.echo()


def _schema() -> None:
    from config import load as loading

    click.echo(to_json(loading.json_schema()))


def _schemas(settings: Settings) -> tuple[str | None, str | None]:
    """(what it has, newest): asked as the database's owner, like the upgrade."""
    from sqlalchemy.exc import ProgrammingError

    from gateway.store import schema
    from gateway.wiring.app import database_url

    try:
        return schema.status(settings.storage.owner_url or database_url(settings))
    except ProgrammingError as error:
        raise UnavailableError(
            "the role of storage.database_url may not see which schema there is",
            next_step="Set storage.owner_url, as for `frameroom db upgrade`.",
        ) from error


def _upgrade() -> None:
    from gateway.wiring import telling
    from gateway.wiring.app import migrate

    telling.configure("warning")
    settings = settings_of(_config())
    migrate(settings)
    has, newest = _schemas(settings)
    if as_json():
        show({"has": has, "newest": newest}, True)
    else:
        click.echo("It is at the newest schema.")


def _status() -> None:
    has, newest = _schemas(settings_of(_config()))
    show({"has": has or "none", "newest": newest}, as_json())
    if has != newest:
        click.echo("`frameroom db upgrade` brings it there; take a backup first.", err=True)
