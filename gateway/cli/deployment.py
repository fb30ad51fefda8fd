"""`frameroom init`, `config …`, `db …`, `completion`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import get_completion_class

from gateway.cli.calling import settings_of
from gateway.cli.places import know_named
from gateway.cli.render import show, to_json
from gateway.cli.words import Group, argument, as_json, command, may
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
        main, "init",
        "Make a deployment: keys, database, frameroom.toml. Overwrites nothing. With --pkcs11-module and the others "
        "its master key is one that you have made in a token (docs/operating.md), and is never on a disk.",
        "init /srv/frameroom", _init,
        click.Argument(["folder"], type=click.Path(path_type=Path), default=Path(), required=False),
        may("pkcs11-module", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The token's module."),
        may("pkcs11-token", metavar="LABEL", help="Label of the token."),
        may("pkcs11-key", metavar="LABEL", help="Label of the AES-256 key in it; frameroom-master unless given."),
        may("pkcs11-pin-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="A file of mode 0600 that holds the user's PIN."),
    )  # fmt: skip
    command(
        main, "completion", "Print what makes TAB complete commands and options in a shell.",
        'completion bash >> ~/.bashrc\n\nOr at once:\n  eval "$(_FRAMEROOM_COMPLETE=bash_source frameroom)"',
        _completion, argument("shell", type=click.Choice(SHELLS)),
    )  # fmt: skip
    command(configs, "check", "Say everything that is wrong with it; the master key is tried.",
            "-c /srv/frameroom/frameroom.toml config check", _check)  # fmt: skip
    command(configs, "show", "What is in force, secrets withheld.", "config show", _show)
    command(configs, "schema", "The JSON Schema of the settings, for editors.", "config schema > schema.json", _schema)
    command(databases, "upgrade", "Bring it to the newest schema.", "db upgrade", _upgrade)
    command(databases, "status", "Which schema it has, and which is newest.", "db status", _status)


def _config() -> Path:
    path: Path = click.get_current_context().find_root().obj["config"]
    return path


def _first_text(module: Path | None, token: str | None, key: str | None, pin_file: Path | None) -> str:
    """A new deployment's frameroom.toml. UsageError when a token is named by halves."""
    from config import load as loading
    from config.settings import Keys

    text = loading.reference()
    if not (module or token or key or pin_file):
        return text
    if not (module and token and pin_file):
        raise UsageError("A token wants --pkcs11-module, --pkcs11-token and --pkcs11-pin-file together.")
    written = {
        "master": "pkcs11", "pkcs11_module": str(module.absolute()), "pkcs11_token": token,
        "pkcs11_key": key or Keys().pkcs11_key, "pkcs11_pin": f"file:{pin_file.absolute()}",
    }  # fmt: skip
    for name, value in written.items():
        text = loading.with_value(text, f"keys.{name}", value)
    return text


def _init(
    folder: Path, pkcs11_module: Path | None, pkcs11_token: str | None, pkcs11_key: str | None,
    pkcs11_pin_file: Path | None,
) -> None:  # fmt: skip
    file = folder / "frameroom.toml"
    if file.exists() or (folder / "data").exists():
        raise UsageError(f"{folder} holds a deployment already; nothing was changed.")
    from config import load as loading
    from gateway.wiring import telling
    from gateway.wiring.parts import make_keys, migrate

    telling.configure("warning")
    text = _first_text(pkcs11_module, pkcs11_token, pkcs11_key, pkcs11_pin_file)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    try:
        settings = loading.load(file, os.environ)
        make_keys(folder / "data" / "keys", settings.keys)
    except Exception:
        file.unlink()
        raise
    migrate(settings)
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


def _told_as_json() -> None:
    """What is wrong with the configuration, for a program; `settings_of` says it in words and ends."""
    from config import load as loading

    try:
        loading.load(_config(), os.environ)
    except loading.ConfigError as error:
        problems = [{"key": p.key, "line": p.line, "words": p.words} for p in error.problems]
        show({"config": str(_config()), "ok": False, "problems": problems}, True)


def _check() -> None:
    from gateway.session.door_keys import parse_ca_key
    from gateway.wiring.masters import check as check_master
    from gateway.wiring.streams import contexts

    if as_json():
        _told_as_json()
    settings = settings_of(_config())
    # What only they can tell who use it: certificates, keys, kinds of event.
    contexts(settings)
    for line in settings.ssh.user_ca_keys:
        parse_ca_key(line)
    know_named(_config())
    told = check_master(settings.storage.data_dir / "keys", settings.keys)
    if as_json():
        show({"config": str(_config()), "ok": True, "remarks": told}, True)
    else:
        click.echo("\n".join(["It is in order.", *(f"Note: {remark}." for remark in told)]))


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
    from gateway.wiring.parts import database_url

    try:
        return schema.status(settings.storage.owner_url or database_url(settings))
    except ProgrammingError as error:
        raise UnavailableError(
            "the role of storage.database_url may not see which schema there is",
            next_step="Set storage.owner_url, as for `frameroom db upgrade`.",
        ) from error


def _upgrade() -> None:
    from gateway.wiring import telling
    from gateway.wiring.parts import migrate

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
