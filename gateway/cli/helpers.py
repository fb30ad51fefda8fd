"""`frameroom system install-helper`: what a phone system that is reached through a helper needs on its own machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.calling import run
from gateway.cli.render import show
from gateway.cli.words import FILE_TEXT, as_json, command, line_or_file, may, option
from gateway.errors import UsageError

if TYPE_CHECKING:
    from connectors.contract import Credential

_NEXT = "frameroom system add CUSTOMER --name NAME --connector {connector} --host {host} --pin PIN --login frameroom --key-file {key}"  # noqa: E501


def register(system: click.Group) -> None:
    """Add the command to `system`."""
    command(
        system, "install-helper",
        "Make a phone system ready that is reached through a helper, an Asterisk with flat files or a FreePBX: an "
        "account bound to the helper, the helper, its configuration. With "
        "--print the script is shown, for its administrator to read and run as root; otherwise it is run once over SSH "
        "with an administrator's own login, whose key or password is kept nowhere; that it was used stands in the log. "
        "Run again it upgrades.",
        "system install-helper --key-file head-office.key --context internal --inbound-context from-trunk --print",
        _install,
        may("connector", type=click.Choice(["asterisk-files", "freepbx"]), default="asterisk-files"),
        option("key-file", type=click.Path(dir_okay=False, path_type=Path),
               help="The private key that Frameroom will present; made when there is none."),
        click.Option(["--print", "only_print"], is_flag=True, help="Show the script and do nothing over there."),
        may("host"), may("port", type=click.IntRange(1, 65535), default=22),
        may("pin", help="Its host key line, or a file with it, compared with what its own people read."),
        may("admin-login", default="root", help="root, or an account whose sudo asks no password."),
        may("admin-key-file", type=FILE_TEXT), may("admin-password-file", type=FILE_TEXT, help='"-": standard input.'),
        may("etc", help="asterisk-files: where Asterisk's files are (/etc/asterisk)."),
        click.Option(["--context", "contexts"], multiple=True,
                     help="asterisk-files: whose endpoints are people (once for each)."),
        may("inbound-context",
            help="asterisk-files: where direct numbers are routed; without it they are not available."),
        may("voicemail-context", help="asterisk-files: where a mailbox without a context is (default)."),
        may("numbers", type=click.Choice(["plus", "digits", "national"]), default="plus", help="How they stand there."),
        may("country-code", default="44"),
        may("from", default="", help="The gateway's address, as that machine sees it: no other may use the key."),
        may("console", type=click.Choice(["off", "look", "act"]), default="off",
            help="What Asterisk's own prompt may be used for, of a fixed list, where an agreement names it too."),
        click.Option(["--reconfigure"], is_flag=True, help="Write the helper's configuration anew too."),
    )  # fmt: skip


def _public_half(file: Path) -> str:
    """Of the key in the file, which is made (Ed25519, mode 0600) when it is not there."""
    import asyncssh

    if not file.exists():
        made = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(made)
        click.echo(f"Made the key {file}.", err=True)
    try:
        key = asyncssh.import_private_key(file.read_bytes())
    except (ValueError, asyncssh.Error) as error:
        raise UsageError(f"{file} holds no private key that can be read; one with a passphrase cannot be.") from error
    return " ".join(key.export_public_key().decode().split()[:2])


def _own(connector: str, said: dict[str, Any]) -> dict[str, Any]:
    """What was said of files and contexts. UsageError where the connector knows them by itself."""
    own = {name: said[name] for name in ("etc", "contexts", "inbound_context", "voicemail_context") if said[name]}
    if own and connector == "freepbx":
        word = next(iter(own)).replace("_", "-").removesuffix("s")
        raise UsageError(f"--{word} is for asterisk-files: a FreePBX knows its own files and contexts.")
    return own


def _script(connector: str, said: dict[str, Any], public_key: str) -> str:
    numbers, country, origin, again = (said[name] for name in ("numbers", "country_code", "from", "reconfigure"))
    if connector == "freepbx":
        from connectors.freepbx import install as freepbx

        return freepbx.script(freepbx.Wanted(public_key, numbers, country, origin, again, said["console"]))
    from connectors.asterisk_files import install as files

    own: dict[str, Any] = _own(connector, said)
    own |= {"contexts": tuple(said["contexts"]), "console": said["console"]}
    wanted = files.Wanted(
        public_key, numbers=numbers, country_code=country, origin=origin, reconfigure=again, **own
    )  # fmt: skip
    return files.script(wanted)


def _performed(
    connector: str, host: str, port: int, pin: str, administrator: Credential, public: str, text: str
) -> list[str]:  # fmt: skip
    """Run it; before it goes, that it goes stands in the log, and afterwards what came of it."""
    import asyncio
    import hashlib

    import asyncssh

    from connectors.errors import ConnectorError
    from connectors.transport.install import perform

    key, outcome = asyncssh.import_public_key(public).get_fingerprint(), "not known"
    about: dict[str, Any] = {"connector": connector, "host": host, "port": port, "key": key}
    context, digest = click.get_current_context(), hashlib.sha256(text.encode()).hexdigest()
    run(context, "system helper-sent", login=administrator.login, script=digest, **about)
    try:
        told = asyncio.run(perform(host, port, pin, administrator, text))
        outcome = "done"
    except ConnectorError as error:
        outcome = type(error).__name__
        raise
    finally:
        run(context, "system helper-ran", outcome=outcome, **about)
    return told


def _install(
    connector: str, key_file: Path, only_print: bool, host: str | None, port: int, pin: str | None, admin_login: str,
    admin_key_file: str | None, admin_password_file: str | None, **said: Any,
) -> None:  # fmt: skip
    from connectors.contract import Credential
    from gateway.wiring.admin.systems import pin_of

    _own(connector, said)  # before a key is made
    password = None if admin_password_file is None else admin_password_file.strip("\r\n")
    if not only_print and (host is None or pin is None or (password is None and admin_key_file is None)):
        raise UsageError("Give --print, or --host, --pin and one of --admin-key-file and --admin-password-file.")
    checked = pin_of(line_or_file(pin)) if pin is not None and not only_print else ""
    public = _public_half(key_file)
    text = _script(connector, said, public)
    if only_print:
        show({"script": text}, True) if as_json() else click.echo(text, nl=False)
        return
    administrator = Credential(admin_login, password, admin_key_file)
    told = _performed(connector, host or "", port, checked, administrator, public, text)
    following = _NEXT.format(connector=connector, host=host, key=key_file)
    if as_json():
        show({"host": host, "did": told, "next": following}, True)
        return
    show([{"on": host, "told": line} for line in told], False)
    click.echo(f"Next: {following}", err=True)
