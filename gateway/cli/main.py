"""`frameroom`: the operator's command line. It talks to a running `serve`, or opens the deployment itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import uvloop

from audit.sealing import SealingError
from audit.sequencer import LogBehind
from config import load as loading
from config.settings import Settings
from connectors.registry import rows as connector_rows
from gateway.cli import demo as demonstration
from gateway.cli.render import show
from gateway.errors import FrameroomError
from gateway.store import schema
from gateway.wiring.admin import Admin
from gateway.wiring.app import database_url, make_keys, migrate, parts
from gateway.wiring.control import ask, failure, login_of
from gateway.wiring.serve import serve_forever

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def settings_of(path: Path) -> Settings:
    """Load, or say everything that is wrong and exit 2."""
    try:
        return loading.load(path, os.environ)
    except loading.ConfigError as error:
        for problem in error.problems:
            click.echo(f"{path}: {problem}", err=True)
        sys.exit(2)


def run(context: click.Context, name: str, /, **given: Any) -> Any:
    """Do one command, in the serving process when there is one; exit with words on an error."""
    settings = settings_of(context.obj["config"])

    async def here() -> dict[str, Any]:
        answer = await ask(settings.storage.data_dir / "control.sock", name, given)
        if answer is not None:
            return answer
        try:
            async with parts(settings) as opened:
                return {"result": await Admin(opened).call(name, login_of(os.getuid()), given)}
        except (LogBehind, SealingError, OSError) as error:
            return {"error": str(error), "next": "", "exit": 1}
        except Exception as error:
            return failure(error)

    answer = uvloop.run(here())
    if "error" in answer:
        click.echo(f"frameroom: {answer['error']}", err=True)
        if answer["next"]:
            click.echo(answer["next"], err=True)
        sys.exit(answer["exit"])
    return answer["result"]


def shown(context: click.Context, name: str, /, **given: Any) -> None:
    """Do one command and show what it gave."""
    show(run(context, name, **given), context.obj["json"])


@click.group(context_settings=CONTEXT)
@click.option("--config", "-c", type=click.Path(path_type=Path), default=Path("frameroom.toml"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
@click.version_option(package_name="frameroom", version="0.1.0")
@click.pass_context
def main(context: click.Context, config: Path, as_json: bool) -> None:
    """Let your telecoms maintainer into your phone system without giving it your passwords."""
    context.obj = {"config": config, "json": as_json}


def group(name: str, words: str) -> click.Group:
    """A group of commands under `main`."""
    made = click.Group(name, help=words, context_settings=CONTEXT)
    main.add_command(made)
    return made


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
def init(folder: Path) -> None:
    """Make a deployment: keys, database, frameroom.toml. Overwrites nothing.

    Example: frameroom init /srv/frameroom
    """
    file = folder / "frameroom.toml"
    if file.exists() or (folder / "data").exists():
        click.echo(f"{folder} holds a deployment already; nothing was changed.", err=True)
        sys.exit(2)
    folder.mkdir(parents=True, exist_ok=True)
    make_keys(folder / "data" / "keys")
    file.write_text(loading.reference(), encoding="utf-8")
    migrate(settings_of(file))
    click.echo(f"Made {file}. Next: edit it, then `frameroom -c {file} serve`.")


@main.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run the gateway. SIGTERM ends it: visits end, with their last events written."""
    settings = settings_of(context.obj["config"])
    try:
        uvloop.run(serve_forever(settings, lambda app: click.echo(f"listening on port {app.door.port}", err=True)))
    except* (FrameroomError, LogBehind, SealingError, OSError) as errors:
        for error in errors.exceptions:
            click.echo(f"frameroom: {error}", err=True)
        sys.exit(1)


@main.command()
@click.option("--story", type=click.Choice(["1"]), help="Play a story by itself and exit 0 when every step held.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where to keep its files (default: a new one).")
@click.option("--state-file", type=click.Path(path_type=Path), help="Write addresses, accounts and keys as JSON.")
def demo(story: str | None, folder: Path | None, state_file: Path | None) -> None:
    """A gateway, a training phone system and a customer on loopback, with the commands to try."""
    sys.exit(uvloop.run(demonstration.run(story, folder, state_file)))


@main.command()
@click.pass_context
def connectors(context: click.Context) -> None:
    """The phone systems that can be reached, how secrets are kept, and how each was proven."""
    show(connector_rows(), context.obj["json"])


configs = group("config", "The configuration file.")


@configs.command("check")
@click.pass_context
def config_check(context: click.Context) -> None:
    """Say everything that is wrong with it."""
    settings_of(context.obj["config"])
    click.echo("It is in order.")


@configs.command("show")
@click.pass_context
def config_show(context: click.Context) -> None:
    """What is in force, secrets withheld."""
    click.echo(json.dumps(loading.redacted(settings_of(context.obj["config"])), indent=2))


@configs.command("schema")
def config_schema() -> None:
    """The JSON Schema of the settings."""
    click.echo(json.dumps(Settings.model_json_schema(), indent=2))


databases = group("db", "The database's schema.")


@databases.command("upgrade")
@click.pass_context
def db_upgrade(context: click.Context) -> None:
    """Bring it to the newest schema."""
    migrate(settings_of(context.obj["config"]))
    click.echo("It is at the newest schema.")


@databases.command("status")
@click.pass_context
def db_status(context: click.Context) -> None:
    """Which schema it has, and which is newest."""
    has, newest = schema.status(database_url(settings_of(context.obj["config"])))
    show({"has": has, "newest": newest}, context.obj["json"])


def simple(
    parent: click.Group, name: str, words: str, *params: click.Parameter, call: str | None = None,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda given: given,
) -> None:  # fmt: skip
    """A command that is one call of Admin with its options."""
    called = call or f"{parent.name} {name}"

    def act(**given: Any) -> None:
        shown(click.get_current_context(), called, **change(given))

    parent.add_command(click.Command(name, callback=act, params=list(params), help=words))


def _arg(name: str) -> click.Argument:
    return click.Argument([name])


def _opt(name: str, **rest: Any) -> click.Option:
    return click.Option([f"--{name}"], **({"required": True} | rest))


def _key(given: dict[str, Any]) -> dict[str, Any]:
    text = given["key"]
    return given | {"key": Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text}


engineer = group("engineer", "Engineers: their keys and second factors.")
simple(
    engineer, "add", "Add one. Example: frameroom engineer add ana --name 'Ana Silva' --email ana@company.example",
    _arg("login"), _opt("name"), _opt("email"), _opt("role", multiple=True, required=False),
    change=lambda g: {"login": g["login"], "name": g["name"], "email": g["email"], "roles": list(g["role"])},
)  # fmt: skip
simple(engineer, "list", "All of them.")
simple(engineer, "key", "Give one a public key (a line, or a .pub file).", _arg("login"), _arg("key"), change=_key)
simple(engineer, "totp", "A new one-time-code secret, shown this once.", _arg("login"))
simple(engineer, "codes", "Ten new backup codes, shown this once.", _arg("login"))
simple(
    engineer, "disable", "Switch one off; ends their visits.", _arg("login"), call="engineer enable",
    change=lambda g: g | {"enabled": False},
)  # fmt: skip
simple(
    engineer, "enable", "Switch one on again.", _arg("login"), change=lambda g: g | {"enabled": True}
)  # fmt: skip

customer = group("customer", "Customers and their list of engineers.")
simple(customer, "add", "Add one.", _arg("name"))
simple(customer, "list", "All of them.")
simple(
    customer, "engineer", "Name an engineer on the customer's list, or strike them off with --veto.",
    _arg("customer"), _arg("login"), click.Option(["--veto"], is_flag=True),
)  # fmt: skip

contact = group("contact", "Who is told of visits.")
simple(
    contact, "add", "Add one.", _arg("customer"), _opt("name"), _opt("email"), _opt("position", default=""),
    _opt("phone", default=""),
    _opt("notices", type=click.Choice(["each", "changes", "none"]), default="each"),
)  # fmt: skip
simple(contact, "list", "A customer's.", _arg("customer"))

approver = group("approver", "Whose yes counts.")
simple(approver, "add", "Add one.", _arg("customer"), _opt("name"), _opt("email"), _opt("phone", default=""))
simple(approver, "list", "A customer's.", _arg("customer"))

agreement = group("agreement", "What a customer agreed to.")
simple(
    agreement, "set", "A new version from a JSON file of terms; closed until confirmed.", _arg("customer"),
    click.Argument(["file"], type=click.File("r")),
    change=lambda g: {"customer": g["customer"], "terms": json.load(g["file"])},
)  # fmt: skip
simple(agreement, "confirm", "Record that the customer confirmed it.", _arg("customer"), _opt("by"), _opt("how"))

system = group("system", "Phone systems.")
simple(
    system, "add", "Add one. The credential is read from files and sealed.", _arg("customer"), _opt("name"),
    _opt("connector"), _opt("host"), _opt("port", type=int), _opt("pin"), _opt("login"),
    _opt("password-file", type=click.File("r"), required=False),
    _opt("key-file", type=click.File("r"), required=False), _opt("settings", default="{}"), _opt("site", default=""),
    _opt("asset", default=""),
    change=lambda g: {k: v for k, v in g.items() if not k.endswith("_file")} | {
        "password": g["password_file"].read().strip() if g["password_file"] else None,
        "private_key": g["key_file"].read() if g["key_file"] else None,
    },
)  # fmt: skip
simple(system, "list", "All of them.")
simple(system, "check", "Reach, identity, credential, and what it could read.", _arg("system"))

request = group("request", "What engineers ask for.")
simple(request, "list", "Newest first.")
simple(
    request, "record-consent", "Enter a yes given by telephone: labelled so for good, and mailed to all approvers.",
    _arg("request"), click.Option(["--by"], required=True, help="the approver who said yes"),
    click.Option(["--recorded-by"], required=True, help="who of you took the call"),
    click.Option(["--words"], default="", help="what was said"),
    click.Option(["--at-ms"], type=int, help="when, Unix ms (default: now)"),
)  # fmt: skip

grant = group("grant", "Permissions.")
simple(grant, "list", "Newest first.")
simple(grant, "revoke", "End one now; live visits end within a second.", _arg("grant"), _opt("reason"))

session = group("session", "Visits.")
simple(session, "list", "Newest first.")
simple(session, "kill", "End one now.", _arg("session"), _opt("reason", default="ended by the operator"))

recording = group("recording", "What terminals showed. Every look is logged.")


@recording.command("play")
@click.argument("session")
@click.option("--why", required=True, help="Stands in the log.")
@click.option("--find", help="Only lines that hold these words.")
@click.pass_context
def recording_play(context: click.Context, session: str, why: str, find: str | None) -> None:
    """Show it, sanitised."""
    pieces = run(context, "recording play", session=session, why=why, find=find)
    if context.obj["json"]:
        click.echo(json.dumps(pieces, ensure_ascii=False))
        return
    for piece in pieces:
        click.echo(f"{piece['at']:9.2f}  {piece['text']}" if find else piece["text"], nl=bool(find))


@recording.command("export")
@click.argument("session")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--why", required=True, help="Stands in the log.")
@click.pass_context
def recording_export(context: click.Context, session: str, file: Path, why: str) -> None:
    """Write it as asciicast v2."""
    file.write_text(run(context, "recording export", session=session, why=why)["asciicast"], encoding="utf-8")
    click.echo(f"Wrote {file}.", err=True)


audits = group("audit", "The log.")
simple(
    audits, "tail", "The last entries of a customer's log, or of the operator's.",
    click.Option(["--customer"]), click.Option(["--count"], type=click.IntRange(1, 1000), default=20),
    click.Option(["--why"], default="looking at the log"),
)  # fmt: skip


@audits.command("verify")
@click.pass_context
def audit_verify(context: click.Context) -> None:
    """Recompute everything and name the first fault; exit 1 when there is one."""
    report = run(context, "audit verify")
    show(report, context.obj["json"])
    sys.exit(0 if report["ok"] else 1)


@main.command()
@click.argument("engineer")
@click.argument("system")
@click.argument("operation")
@click.option("--at-ms", type=int, help="As it would be at this time (Unix ms).")
@click.pass_context
def explain(context: click.Context, engineer: str, system: str, operation: str, at_ms: int | None) -> None:
    """May ENGINEER do OPERATION on SYSTEM, and why (not)."""
    shown(context, "explain", engineer=engineer, system=system, operation=operation, at_ms=at_ms)


if __name__ == "__main__":
    main()
