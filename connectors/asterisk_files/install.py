"""What makes an Asterisk's machine ready: one script for its administrator, run by them or, once, over their SSH.

It creates an account that can do nothing but start the helper, the helper itself, its configuration, and the one line
of sudoers with which the helper runs as the owner of Asterisk's files. Run again it changes what differs, and says so.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from dataclasses import dataclass
from typing import Final

import asyncssh

from connectors.asterisk_files.connector import HELPER
from connectors.asterisk_files.settings import LOGIN, AsteriskFilesSettings
from connectors.contract import Credential, Target
from connectors.errors import InvalidValue, Refused, Unreachable
from connectors.transport import ssh

PLACE: Final = "/usr/local/lib/frameroom/frameroom-helper"
CONFIGURATION: Final = "/etc/frameroom-helper.json"
_RUN_S: Final = 120
_LONGEST_TOLD: Final = 64 << 10
_NAME: Final = r"[A-Za-z0-9_.-]{1,79}"
_PATH: Final = r"/[A-Za-z0-9_./-]{1,200}"
_FROM: Final = r"[A-Za-z0-9_.:/,*?!-]{1,200}"
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
[ -f {etc}/pjsip.conf ] || fail "there is no {etc}/pjsip.conf: say where Asterisk's files are (--etc)"
[ -x /usr/bin/sudo ] || fail "sudo is not installed: install it first"
ASTERISK=$(command -v asterisk || true)
[ -n "$ASTERISK" ] || for one in /usr/sbin/asterisk /usr/local/sbin/asterisk; do [ -x "$one" ] && ASTERISK=$one; done
[ -n "$ASTERISK" ] || fail "the program asterisk is not found"
PYTHON=
for one in /usr/bin/python3 /usr/libexec/platform-python /usr/local/bin/python3; do
    if [ -z "$PYTHON" ] && "$one" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then PYTHON=$one; fi
done
[ -n "$PYTHON" ] || fail "no Python 3.6 or newer is found: install python3 first"
RUN_AS=$(stat -L -c %U {etc}/pjsip.conf)

if id {login} >/dev/null 2>&1; then echo "as it was: the account {login}"
else useradd --system --shell /bin/sh {login}; usermod -p '*' {login}; echo "made: the account {login}"; fi
FOLDER=$(getent passwd {login} | cut -d: -f6)
mkdir -p "$FOLDER/.ssh" /usr/local/lib/frameroom
chown root:root "$FOLDER" "$FOLDER/.ssh" /usr/local/lib/frameroom
chmod 755 "$FOLDER" "$FOLDER/.ssh" /usr/local/lib/frameroom

put {place} 755 <<'{end}'
{helper}{end}
if [ -f {configuration} ] && [ {keep} = 1 ]; then echo "kept: {configuration} (--reconfigure writes it anew)"
else put {configuration} 644 <<{end}
{settings}
{end}
fi
put "$FOLDER/.ssh/authorized_keys" 644 <<{end}
{origin}command="$PYTHON -I {place}",restrict {key} frameroom
{end}
cat > {place}.sudoers <<{end}
Defaults:{login} !requiretty
{login} ALL=($RUN_AS) NOPASSWD: $PYTHON -I {place} --serve
{end}
chmod 440 {place}.sudoers
visudo -cqf {place}.sudoers || fail "sudo does not take the rule in {place}.sudoers"
put /etc/sudoers.d/frameroom-helper 440 < {place}.sudoers
rm {place}.sudoers
if command -v restorecon >/dev/null 2>&1; then restorecon -R "$FOLDER" {place} {configuration} || true; fi

told=$(echo '{{"do": "hello", "n": 1}}' | su -s /bin/sh {login} -c \\
    "SSH_CONNECTION=x SSH_ORIGINAL_COMMAND=frameroom-helper $PYTHON -I {place}" 2>&1) || true
case "$told" in
*'"helper": "frameroom-helper"'*) echo "the helper answers, as $RUN_AS, under $PYTHON" ;;
*) fail "the helper does not answer: $told" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an administrator says of their phone system. InvalidValue for what could not stand in a script.

    `public_key`: an OpenSSH line of the key that Frameroom will present; `origin`: the gateway's address, "" for any.
    """

    public_key: str
    etc: str = "/etc/asterisk"
    contexts: tuple[str, ...] = ()
    inbound_context: str = ""
    voicemail_context: str = "default"
    numbers: str = "plus"
    country_code: str = "44"
    origin: str = ""
    reconfigure: bool = False
    console: str = "off"

    def __post_init__(self) -> None:
        for what, value, pattern in (
            ("the folder", self.etc, _PATH), ("the voicemail context", self.voicemail_context, _NAME),
            ("the inbound context", self.inbound_context or "none", _NAME),
            ("the country code", self.country_code, "[1-9][0-9]{0,2}"), ("the console", self.console, "off|look|act"),
            ("the way numbers are written", self.numbers, "plus|digits|national"),
            ("the gateway's address", self.origin or "none", _FROM),
            ("the public key", self.public_key, r"[a-z0-9@.-]{7,60} [A-Za-z0-9+/=]{40,2000}"),
            *(("a context", one, _NAME) for one in self.contexts),
        ):  # fmt: skip
            if not re.fullmatch(pattern, value) or ".." in value:
                raise InvalidValue(f"{what} is not of the usual form", next_step="Correct it and try again.")


def script(wanted: Wanted) -> str:
    """The whole of it, to be read before it is run."""
    helper = HELPER.read_text(encoding="utf-8")
    settings = {
        "etc": wanted.etc, "asterisk": ["$ASTERISK"], "run_as": "$RUN_AS", "python": "$PYTHON",
        "contexts": list(wanted.contexts), "voicemail_context": wanted.voicemail_context,
        "inbound_context": wanted.inbound_context, "numbers": wanted.numbers, "country_code": wanted.country_code,
        "console": wanted.console,
    }  # fmt: skip
    return _SCRIPT.format(
        etc=shlex.quote(wanted.etc), login=LOGIN, place=PLACE, configuration=CONFIGURATION, helper=helper, end=_END,
        settings=json.dumps(settings, indent=1), key=wanted.public_key, keep=0 if wanted.reconfigure else 1,
        origin=f'from="{wanted.origin}",' if wanted.origin else "",
    )  # fmt: skip


async def perform(host: str, port: int, pin: str, administrator: Credential, text: str) -> list[str]:
    """Run the script once with an administrator's own login, which is kept nowhere; what it told, line by line.

    Root, or an account that sudo asks no password of. Raises what transport.ssh raises, and Refused.
    """

    async def unseal() -> Credential:
        return administrator

    target = Target("install-helper", host, port, pin, AsteriskFilesSettings())
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
