"""What makes an Asterisk's machine ready (`transport.install`): the helper, under the owner of Asterisk's files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from connectors.asterisk_files.connector import HELPER
from connectors.transport import install
from connectors.transport.install import Recipe

PLACE: Final = f"{install.FOLDER}/frameroom-helper"
_NAME: Final = r"[A-Za-z0-9_.-]{1,79}"
_PATH: Final = r"/[A-Za-z0-9_./-]{1,200}"

_FINDS: Final = """\
[ -f {etc}/pjsip.conf ] || fail "there is no {etc}/pjsip.conf: say where Asterisk's files are (--etc)"
ASTERISK=$(command -v asterisk || true)
[ -n "$ASTERISK" ] || for one in /usr/sbin/asterisk /usr/local/sbin/asterisk; do [ -x "$one" ] && ASTERISK=$one; done
[ -n "$ASTERISK" ] || fail "the program asterisk is not found"
PYTHON=
for one in /usr/bin/python3 /usr/libexec/platform-python /usr/local/bin/python3; do
    if [ -z "$PYTHON" ] && "$one" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then PYTHON=$one; fi
done
[ -n "$PYTHON" ] || fail "no Python 3.6 or newer is found: install python3 first"
RUN_AS=$(stat -L -c %U {etc}/pjsip.conf)
"""
CACHE: Final = "/var/cache/frameroom"
"""Where the helper keeps, between two visits, what it tells of people."""
_MAKES: Final = f"""\
mkdir -p {CACHE}
chown "$RUN_AS" {CACHE}
chmod 700 {CACHE}
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
        install.plain((
            ("the folder", self.etc, _PATH), ("the voicemail context", self.voicemail_context, _NAME),
            ("the inbound context", self.inbound_context or "none", _NAME),
            ("the console", self.console, "off|look|act"), *install.numbering(self),
            *(("a context", one, _NAME) for one in self.contexts),
        ))  # fmt: skip


def script(wanted: Wanted) -> str:
    """The whole of it, to be read before it is run."""
    settings = {
        "etc": wanted.etc, "asterisk": ["$ASTERISK"], "run_as": "$RUN_AS", "python": "$PYTHON",
        "contexts": list(wanted.contexts), "voicemail_context": wanted.voicemail_context,
        "inbound_context": wanted.inbound_context, "numbers": wanted.numbers, "country_code": wanted.country_code,
        "console": wanted.console,
    }  # fmt: skip
    command = f"$PYTHON -I {PLACE}"
    recipe = Recipe(
        place=PLACE, helper=HELPER.read_text(encoding="utf-8"), finds=_FINDS.format(etc=shlex.quote(wanted.etc)),
        settings=settings, command=command, started=f"{command} --serve",
        tried=f"SSH_CONNECTION=x SSH_ORIGINAL_COMMAND=frameroom-helper {command}", under="$PYTHON",
        makes=_MAKES,
    )  # fmt: skip
    return install.script(recipe, wanted.public_key, wanted.origin, wanted.reconfigure)
