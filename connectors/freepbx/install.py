"""What makes a FreePBX's machine ready (`transport.install`): the helper, under the account that FreePBX runs as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connectors.freepbx.connector import HELPER
from connectors.transport import install
from connectors.transport.install import Recipe

PLACE: Final = f"{install.FOLDER}/frameroom-helper.php"
BOOTSTRAP: Final = "/etc/freepbx.conf"

_FINDS: Final = """\
[ -f {bootstrap} ] || fail "there is no {bootstrap}: is this a FreePBX?"
FWCONSOLE=$(command -v fwconsole || true)
for one in /usr/sbin/fwconsole /var/lib/asterisk/bin/fwconsole; do
    if [ -z "$FWCONSOLE" ] && [ -x "$one" ]; then FWCONSOLE=$one; fi
done
[ -n "$FWCONSOLE" ] || fail "the program fwconsole is not found"
PHP=
ASTERISK=$(command -v asterisk || echo /usr/sbin/asterisk)
for one in /usr/bin/php /usr/local/bin/php; do
    if [ -z "$PHP" ] && "$one" -r 'exit((int) (PHP_VERSION_ID < 70400 || !extension_loaded("mbstring")));' 2>/dev/null
    then PHP=$one; fi
done
[ -n "$PHP" ] || fail "no PHP 7.4 or newer with mbstring is found: FreePBX 16 and 17 have one"
RUN_AS=$(stat -L -c %U /etc/asterisk/voicemail.conf 2>/dev/null || true)
[ "$RUN_AS" != root ] && id "$RUN_AS" >/dev/null 2>&1 || RUN_AS=asterisk
id "$RUN_AS" >/dev/null 2>&1 || fail "there is no account asterisk, as which FreePBX runs"
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an administrator says of their phone system. InvalidValue for what could not stand in a script.

    `public_key`: an OpenSSH line of the key that Frameroom will present; `numbers`: how inbound routes hold direct
    numbers; `origin`: the gateway's address, "" for any; `console`: what its prompt may be used for.
    """

    public_key: str
    numbers: str = "plus"
    country_code: str = "44"
    origin: str = ""
    reconfigure: bool = False
    console: str = "off"

    def __post_init__(self) -> None:
        install.plain((("the console", self.console, "off|look|act"), *install.numbering(self)))


def bound(started: str) -> str:
    """What the key is bound to, as authorized_keys takes it between quotes: the helper, and nothing else is done.

    `started`: what starts it. sshd gives this line to the account's shell; what was asked for comes as a variable.
    """
    refused = '{\\"error\\": \\"bound\\", \\"reason\\": \\"forced-command\\"}'
    asked = '[ \\"$SSH_ORIGINAL_COMMAND\\" = frameroom-helper ]'
    return f"{asked} || {{ echo '{refused}'; exit 3; }}; exec {started}"


def script(wanted: Wanted) -> str:
    """The whole of it, to be read before it is run."""
    started = f"$PHP {PLACE} --serve"
    as_owner = f"/usr/bin/sudo -n -u $RUN_AS {started}"
    recipe = Recipe(
        place=PLACE, helper=HELPER.read_text(encoding="utf-8"), finds=_FINDS.format(bootstrap=BOOTSTRAP),
        settings={
            "bootstrap": BOOTSTRAP, "fwconsole": ["$FWCONSOLE"], "asterisk": ["$ASTERISK"],
            "console": wanted.console, "numbers": wanted.numbers, "country_code": wanted.country_code,
        },
        # The script's own shell is not to look for what was asked for: sshd's is.
        command=bound(as_owner).replace("$SSH_ORIGINAL", "\\$SSH_ORIGINAL"), started=started, tried=as_owner,
        under="$PHP",
    )  # fmt: skip
    return install.script(recipe, wanted.public_key, wanted.origin, wanted.reconfigure)
