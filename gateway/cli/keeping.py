"""Running it and keeping it: `serve`, `drain`, `backup`, `restore`, `log accept-loss`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from gateway.cli.render import show
from gateway.cli.words import Group
from gateway.errors import FrameroomError, StateError, UnavailableError
from gateway.harmless import shown

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.wiring.restore import Restored

Run = Callable[..., Any]
"""main.run: (context, command, **given) → what it gave."""
SettingsOf = Callable[[Path], "Settings"]
_TOLD_EVERY_S: Final = 0.5
_DRAIN_ASKED_EVERY_S: Final = 1.0


def fail(error: BaseException) -> NoReturn:
    """Say what went wrong, never with a traceback, and exit."""
    from gateway.wiring.ending import in_words

    for words in in_words(error):
        click.echo(f"frameroom: {words}", err=True)
    sys.exit(error.exit_code if isinstance(error, FrameroomError) else 1)


def serve(settings: Settings) -> None:
    """Serve until it is stopped or drained; what ends it otherwise is said in a line each, exit code 1."""
    import uvloop

    from gateway.wiring.serve import serve_forever

    try:
        uvloop.run(serve_forever(settings, lambda app: click.echo(f"listening on port {app.door.port}", err=True)))
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseException as error:
        fail(error)


@contextmanager
def _progress(size: Callable[[], int]) -> Iterator[None]:
    """On a terminal: how many bytes so far, while it lasts."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_TOLD_EVERY_S):
            click.echo(f"\r{size() / 1e6:,.1f} MB", err=True, nl=False)
        click.echo("\r\x1b[K", err=True, nl=False)

    thread = threading.Thread(target=tell, name="progress")
    if sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _drain(settings: Settings) -> None:
    """Ask, and say who is left whenever that changes, until serve is gone."""
    import asyncio

    from gateway.wiring.asking import ask

    async def asked() -> dict[str, Any] | None:
        try:
            return await ask(settings.storage.data_dir / "control.sock", "drain", {})
        except UnavailableError:  # it ended while it was asked
            return None

    answer = asyncio.run(asked())
    if answer is None:
        fail(StateError("nothing is running here that could be drained"))
    told: set[str] | None = None
    while answer is not None and "result" in answer:
        left = {f"{one['engineer']} in {one['system']}" for one in answer["result"]["left"]}
        if left != told:
            many = len(answer["result"]["left"])
            words = f"{many} left: {', '.join(sorted(left))}" if many else "No visit is open; ending."
            click.echo(shown(words), err=True)
            told = left
        time.sleep(_DRAIN_ASKED_EVERY_S)
        answer = asyncio.run(asked())
    if answer is not None:
        fail(UnavailableError(str(answer["error"])))
    click.echo("Drained: it has ended.", err=True)


def register(main: click.Group, run: Run, settings_of: SettingsOf) -> None:
    """Add the commands to `main`. `run` does one command of a deployment, `settings_of` reads a configuration."""

    @main.command("serve")
    @click.option("--drain", is_flag=True, help="Do not start one: let the one that runs finish its visits and end.")
    @click.pass_context
    def serve_command(context: click.Context, drain: bool) -> None:
        """Run the gateway. SIGTERM ends it now: visits end, with their last events written.

        Example: frameroom -c /srv/frameroom/frameroom.toml serve
        """
        if drain:
            _drain(settings_of(context.obj["config"]))
        else:
            serve(settings_of(context.obj["config"]))

    @main.command("drain")
    @click.pass_context
    def drain_command(context: click.Context) -> None:
        """Let the gateway that runs finish its visits, take no new ones, and end.

        Says who is left on the way. SIGTERM to the gateway still ends it at once.

        Example: frameroom drain
        """
        _drain(settings_of(context.obj["config"]))

    _register_backup(main, run, settings_of)
    _register_restore(main, settings_of)
    logs = Group("log", help="The log beside its object store.")
    main.add_command(logs)
    _register_accept(logs, settings_of)
    _register_rotate(logs, settings_of)


def _register_backup(main: click.Group, run: Run, settings_of: SettingsOf) -> None:
    @main.command("backup")
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--to", "to", multiple=True, required=True, metavar="age1…", help="Recipient; may be repeated.")
    @click.option("--without-keys", "what", flag_value="without", help="Database and objects: may be kept for long.")
    @click.option("--keys-only", "what", flag_value="keys", help="Keyring and keys: to be kept 30 days at most.")
    @click.pass_context
    def backup(context: click.Context, file: Path, to: tuple[str, ...], what: str | None) -> None:
        """Write database, objects, keyring and keys to FILE, sealed to an age recipient; also while serve runs.

        The identity that opens it belongs on another machine: `age-keygen -o identity.txt` there shows its recipient.

        Example: frameroom backup monday.age --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
        """
        from gateway.wiring import backup as backing_up

        config = context.obj["config"]
        settings_of(config)
        file = file.absolute()
        if what == "keys":
            wanted = list(backing_up.KEYS)
        else:
            wanted = [p for p in backing_up.PARTS if what is None or p not in backing_up.KEYS]
        with _progress(lambda: _size(backing_up.partial(file))):
            made = run(
                context, "backup", file=str(file), to=list(to), parts=wanted, config=config.read_text(encoding="utf-8")
            )
        show(made, context.obj["json"])


def _register_restore(main: click.Group, settings_of: SettingsOf) -> None:
    @main.command("restore")
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
    @click.option("--identity", type=click.Path(path_type=Path), required=True, help="age identity file.")
    @click.option("--keys", type=click.Path(path_type=Path, exists=True), help="The backup of the keys, if apart.")
    @click.option("--database", metavar="URL", help="Owner's URL of an empty PostgreSQL database, or `sqlite`.")
    @click.pass_context
    def restore_command(
        context: click.Context, file: Path, folder: Path, identity: Path, keys: Path | None, database: str | None
    ) -> None:
        """Make a deployment in FOLDER out of a backup, on a machine that has none, and verify its log.

        All or nothing: a wrong identity or a damaged file leaves nothing behind.

        Example: frameroom restore monday.age /srv/frameroom --identity identity.txt
        """
        from config.load import ConfigError
        from gateway.wiring import telling
        from gateway.wiring.restore import Restored, Wanted, restore

        telling.configure("warning")
        done = Restored()
        files = (file,) if keys is None else (file, keys)
        try:
            with _progress(lambda: done.size):
                restore(Wanted(files, identity, folder, database), done)
        except (FrameroomError, ConfigError) as error:
            fail(error)
        show(_verified(folder, done, settings_of), context.obj["json"])


def _verified(folder: Path, done: Restored, settings_of: SettingsOf) -> dict[str, Any]:
    import asyncio

    from gateway.wiring.admin import Admin
    from gateway.wiring.asking import own_login
    from gateway.wiring.parts import parts

    settings = settings_of(folder / "frameroom.toml")

    async def verify() -> dict[str, Any]:
        async with parts(settings) as opened:
            told: dict[str, Any] = await Admin(opened).call("audit verify", own_login(), {})
            return told

    try:
        report = asyncio.run(verify())
    except Exception as error:
        click.echo(f"Restored to {folder}, as it was backed up; but it cannot be opened:", err=True)
        fail(error)
    made = datetime.fromtimestamp(done.head.made_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if done.head else ""
    click.echo(
        f"Restored to {folder}, as of {made}. Read {folder / 'frameroom.toml'} before you start it: database_url, "
        "addresses, and files that secrets stand in are this machine's matter.",
        err=True,
    )
    if not report["ok"]:
        click.echo("The log does not verify, as it stands in the backup:", err=True)
        for fault in report["faults"]:
            click.echo(f"  {fault}", err=True)
        sys.exit(1)
    return {"folder": str(folder), "as of": made, "files": done.files, "entries": report["entries"], "log": "verified"}


def _register_rotate(logs: click.Group, settings_of: SettingsOf) -> None:
    @logs.command("rotate-key")
    @click.pass_context
    def rotate(context: click.Context) -> None:
        """Sign the log with a new key from now on; the old one signs it over. Nothing may serve meanwhile.

        Whoever pinned the old key follows the handover, which every report carries; approvers are told. It is not
        for a key that was stolen: its thief could hand it over too. Make a backup of the keys afterwards.

        Example: frameroom log rotate-key
        """
        import asyncio

        from gateway.wiring import keeping, telling

        telling.configure("warning")
        settings = settings_of(context.obj["config"])
        try:
            done = asyncio.run(keeping.rotate_key(settings))
        except Exception as error:
            fail(error)
        show(done, context.obj["json"])


def _register_accept(logs: click.Group, settings_of: SettingsOf) -> None:
    @logs.command("accept-loss")
    @click.option("--yes", is_flag=True, help="Do it. Without it, only say what is lost.")
    @click.pass_context
    def accept(context: click.Context, yes: bool) -> None:
        """Go on with a database that is older than its object store, when there is no newer one.

        Which entries are lost is written into every log that it concerns, the checkpoint that named them is kept, and
        whoever holds it sees that this log does not extend it. Permissions and one-time links are ended.

        Example: frameroom log accept-loss --yes
        """
        import asyncio

        from gateway.wiring import keeping, telling
        from gateway.wiring.asking import own_login

        telling.configure("warning")
        settings = settings_of(context.obj["config"])
        try:
            losses = asyncio.run(keeping.accept_loss(settings, own_login(), yes))
        except Exception as error:
            fail(error)
        show(losses, context.obj["json"])
        if not yes:
            click.echo("Nothing was changed. With --yes it goes on without these entries.", err=True)
            sys.exit(1)
