"""What makes a phone system's machine ready for a helper: one script for its administrator, run by them or over SSH.

It creates an account that can do nothing but start the helper, the helper itself, its configuration, and the one line
of sudoers with which the helper runs under the account that the phone system's files are of. Run again it changes what
differs, and says so. A family says what it needs in a `Recipe`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncssh

from connectors.base import NoSettings
from connectors.contract import Credential, Target
from connectors.errors import InvalidValue, Refused, Unreachable
from connectors.transport import ssh
from connectors.transport.helper import LOGIN

CONFIGURATION: Final = "/etc/frameroom-helper.json"
FOLDER: Final = "/usr/local/lib/frameroom"
_RUN_S: Final = 120
_LONGEST_TOLD: Final = 64 << 10
_FROM: Final = r"[A-Za-z0-9_.:/,*?!-]{1,200}"
_KEY: Final = r"[a-z0-9@.-]{7,60} [A-Za-z0-9+/=]{40,2000}"
_END: Final = "END-OF-FRAMEROOM-HELPER"

_SCRIPT: Final = """#!/bin/sh
# Makes this phone system ready for Frameroom. Run as root; run again, it changes only what differs.
set -eu
umask 022
fail() {{ echo "frameroom: $1" >&2; exit 1; }}
put() {{ # PATH MODE: standard input goes there, if it differs
    cat > "$1.frameroom-new"
    chmod "$2" "$1.frameroom-new"
    if [ -f "$1" ] && [ "$(cat "$1.frameroom-new")" = "$(cat "$1")" ]; then
        rm "$1.frameroom-new"; chown root:root "$1"; chmod "$2" "$1"; echo "as it was: $1"
    else
        mv -f "$1.frameroom-new" "$1"; echo "written: $1"
    fi
}}
[ "$(id -u)" = 0 ] || fail "this must be run as root"
[ -x /usr/bin/sudo ] || fail "sudo is not installed: install it first"
{finds}
if id {login} >/dev/null 2>&1; then echo "as it was: the account {login}"
else useradd --system --shell /bin/sh {login}; usermod -p '*' {login}; echo "made: the account {login}"; fi
FOLDER=$(getent passwd {login} | cut -d: -f6)
mkdir -p "$FOLDER/.ssh" {folder}
chown root:root "$FOLDER" "$FOLDER/.ssh" {folder}
chmod 755 "$FOLDER" "$FOLDER/.ssh" {folder}

put {place} 755 <<'{end}'
{helper}{end}
if [ -f {configuration} ] && [ {keep} = 1 ]; then echo "kept: {configuration} (--reconfigure writes it anew)"
else put {configuration} 644 <<{end}
{settings}
{end}
fi
{makes}put "$FOLDER/.ssh/authorized_keys" 644 <<{end}
{origin}command="{command}",restrict {key} frameroom
{end}
cat > {place}.sudoers <<{end}
Defaults:{login} !requiretty
{login} ALL=($RUN_AS) NOPASSWD: {started}
{end}
chmod 440 {place}.sudoers
visudo -cqf {place}.sudoers || fail "sudo does not take the rule in {place}.sudoers"
put /etc/sudoers.d/frameroom-helper 440 < {place}.sudoers
rm {place}.sudoers
if command -v restorecon >/dev/null 2>&1; then restorecon -R "$FOLDER" {place} {configuration} || true; fi

told=$(echo '{{"do": "hello", "n": 1}}' | su -s /bin/sh {login} -c \\
    "{tried}" 2>&1) || true
case "$told" in
*'"helper":'*'"frameroom-helper"'*) echo "the helper answers, as $RUN_AS, under {under}" ;;
*) fail "the helper does not answer: $told" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one family's script has of its own. Texts are of a shell; none may hold what somebody typed unchecked.

    `place`: where the helper goes. `finds`: sets RUN_AS and whatever the others use, or fails in words. `settings`:
    the helper's configuration. `command`: what the key is bound to. `started`: the one command that sudo lets our
    account run, as RUN_AS. `tried`: the same from our account, to see that it answers. `under`: what runs it. `makes`:
    what else has to be there, in whole lines.
    """

    place: str
    helper: str
    finds: str
    settings: Mapping[str, Any]
    command: str
    started: str
    tried: str
    under: str
    makes: str = ""


def script(recipe: Recipe, public_key: str, origin: str, reconfigure: bool) -> str:
    """The whole of it, to be read before it is run.

    `public_key`: an OpenSSH line of the key that Frameroom will present; `origin`: the gateway's address, "" for any.
    InvalidValue for what could not stand in a script.
    """
    plain((("the gateway's address", origin or "none", _FROM), ("the public key", public_key, _KEY)))
    return _SCRIPT.format(
        login=LOGIN, folder=FOLDER, configuration=CONFIGURATION, end=_END, place=recipe.place, helper=recipe.helper,
        finds=recipe.finds, settings=json.dumps(recipe.settings, indent=1), command=recipe.command,
        started=recipe.started, tried=recipe.tried, under=recipe.under, key=public_key, keep=0 if reconfigure else 1,
        makes=recipe.makes, origin=f'from="{origin}",' if origin else "",
    )  # fmt: skip


class Numbered(Protocol):
    """What is said of how a phone system writes direct numbers."""

    @property
    def numbers(self) -> str:
        """`plus`, `digits` or `national`."""

    @property
    def country_code(self) -> str:
        """Without plus."""


def numbering(said: Numbered) -> tuple[tuple[str, str, str], ...]:
    """For `plain`."""
    return (
        ("the country code", said.country_code, "[1-9][0-9]{0,2}"),
        ("the way numbers are written", said.numbers, "plus|digits|national"),
    )


def plain(said: Iterable[tuple[str, str, str]]) -> None:
    """InvalidValue, in its own words, for the first value that is not of its pattern."""
    for what, value, pattern in said:
        if not re.fullmatch(pattern, value) or ".." in value:
            raise InvalidValue(f"{what} is not of the usual form", next_step="Correct it and try again.")


async def perform(host: str, port: int, pin: str, administrator: Credential, text: str) -> list[str]:
    """Run the script once with an administrator's own login, which is kept nowhere; what it told, line by line.

    Root, or an account that sudo asks no password of. Raises what transport.ssh raises, and Refused.
    """

    async def unseal() -> Credential:
        return administrator

    target = Target("install-helper", host, port, pin, NoSettings())
    connection = await ssh.connect(target, unseal, administrator.login)
    command = "sh -s" if administrator.login == "root" else "sudo -n sh -s"
    try:
        async with asyncio.timeout(_RUN_S):
            process = await connection.create_process(command, stderr=asyncssh.STDOUT, errors="replace")
            process.stdin.write(text)
            process.stdin.write_eof()
            told = ""
            while len(told) < _LONGEST_TOLD and (part := await process.stdout.read(8192)):
                told += part
            await process.wait_closed()
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise Unreachable(
            "the connection was lost before the script had ended",
            next_step="Run the command again: what is done already is not done twice.",
        ) from error
    finally:
        connection.abort()
    lines = told.splitlines()
    if process.exit_status != 0:
        words = lines[-1].removeprefix("frameroom: ")[:300] if lines else "it said nothing"
        raise Refused(f"the script did not go well: {words}", next_step="Put that right and run the command again.")
    return lines
