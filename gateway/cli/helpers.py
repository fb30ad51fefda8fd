"""`frameroom system install-helper`: what an Asterisk with flat files needs on its own machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gateway.cli.render import show
from gateway.cli.words import FILE_TEXT, as_json, command, line_or_file, may, option
from gateway.errors import UsageError

_NEXT = "frameroom system add CUSTOMER --name NAME --connector asterisk-files --host {host} --pin PIN --login frameroom --key-file {key}"  # noqa: E501


def register(system: click.Group) -> None:
    """Add the command to `system`."""
    command(
        system, "install-helper",
        "Make an Asterisk with flat files ready: an account bound to the helper, the helper, its configuration. With "
        "--print the script is shown, for its administrator to read and run as root; otherwise it is run once over SSH "
        "with an administrator's own login, which is kept nowhere. Run again it upgrades.",
        "system install-helper --key-file head-office.key --context internal --inbound-context from-trunk --print",
        _install,
        option("key-file", type=click.Path(dir_okay=False, path_type=Path),
               help="The private key that Frameroom will present; made when there is none."),
        click.Option(["--print", "only_print"], is_flag=True, help="Show the script and do nothing over there."),
        may("host"), may("port", type=click.IntRange(1, 65535), default=22),
        may("pin", help="Its host key line, or a file with it, compared with what its own people read."),
        may("admin-login", default="root", help="root, or an account whose sudo asks no password."),
        may("admin-key-file", type=FILE_TEXT), may("admin-password-file", type=FILE_TEXT, help='"-": standard input.'),
        may("etc", default="/etc/asterisk", help="Where Asterisk's files are."),
        click.Option(["--context", "contexts"], multiple=True, help="Whose endpoints are people (once for each)."),
        may("inbound-context", default="", help="Where direct numbers are routed; without it they are not available."),
        may("voicemail-context", default="default"),
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


def _install(
    key_file: Path, only_print: bool, host: str | None, port: int, pin: str | None, admin_login: str,
    admin_key_file: str | None, admin_password_file: str | None, **said: Any,
) -> None:  # fmt: skip
    import asyncio

    from connectors.asterisk_files.install import Wanted, perform, script
    from connectors.contract import Credential
    from gateway.wiring.admin.systems import pin_of

    password = None if admin_password_file is None else admin_password_file.strip("\r\n")
    if not only_print and (host is None or pin is None or (password is None and admin_key_file is None)):
        raise UsageError("Give --print, or --host, --pin and one of --admin-key-file and --admin-password-file.")
    checked = pin_of(line_or_file(pin)) if pin is not None and not only_print else ""
    wanted = Wanted(
        _public_half(key_file), said["etc"], tuple(said["contexts"]), said["inbound_context"],
        said["voicemail_context"], said["numbers"], said["country_code"], said["from"], said["reconfigure"],
        said["console"],
    )  # fmt: skip
    text = script(wanted)
    if only_print:
        show({"script": text}, True) if as_json() else click.echo(text, nl=False)
        return
    administrator = Credential(admin_login, password, admin_key_file)
    told = asyncio.run(perform(host or "", port, checked, administrator, text))
    following = _NEXT.format(host=host, key=key_file)
    if as_json():
        show({"host": host, "did": told, "next": following}, True)
        return
    show([{"on": host, "told": line} for line in told], False)
    click.echo(f"Next: {following}", err=True)
