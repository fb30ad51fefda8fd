"""What our account can do and what it could read, asked of Asterisk itself without anything being read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.asterisk_ami.actions import GUARD
from connectors.asterisk_ami.answers import Count, Events, Words
from connectors.asterisk_ami.capabilities import FULL_CONTROL
from connectors.asterisk_ami.link import Link
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import CheckLine
from connectors.transport.identity import identity_line

_NEEDED: Final = ("GetConfig", "UpdateConfig", "ListCategories", "VoicemailUsersList", "VoicemailUserStatus")
_READS: Final = ("GetConfig", "GetConfigJSON", "Getvar", "ShowDialPlan", "Command", "PJSIPShowAuths", "DBGet")
"""Actions that answer with passwords, or can be made to."""
_TOO_MUCH: Final = {
    "Command": "command", "Originate": "originate", "AGI": "agi", "UserEvent": "user", "Redirect": "call",
    "QueueAdd": "agent", "DialplanExtensionAdd": "dialplan",
}  # fmt: skip
"""An action of each class that nothing here needs, where the classes that are needed do not have it too."""


async def check_lines(link: Link, settings: AsteriskAmiSettings) -> Sequence[CheckLine]:
    """Each thing that is looked at, in plain words."""
    can = (await link.ask(GUARD.render("commands"), Words)).names
    missing = [name for name in _NEEDED if name not in can]
    more = sorted({kind for name, kind in _TOO_MUCH.items() if name in can})
    could = [name for name in _READS if name in can]
    rights = "as documented" if not missing else f"missing: {', '.join(missing)}"
    beyond = f"; more than is needed: {', '.join(more)} (take it away in manager.conf)" if more else ""
    return (
        CheckLine("reach", True, "Asterisk's manager interface answers"),
        identity_line(pinned=settings.tls == "pinned"),
        CheckLine("credential", True, "it takes our account"),
        CheckLine("rights", not missing and not more, rights + beyond),
        CheckLine("secrets", True, f"{FULL_CONTROL}. It could read passwords by {', '.join(could)}"),
        await _mailboxes(link, settings),
        await _wizards(link),
    )


async def _mailboxes(link: Link, settings: AsteriskAmiSettings) -> CheckLine:
    count = 0

    def keep(_: object) -> None:
        nonlocal count
        count += 1

    answer = await link.ask(
        GUARD.render("mailboxes"), lambda number: Events(number, b"VoicemailUserEntry", frozenset(), keep)
    )
    if answer.refused is not None or not count:
        return CheckLine(
            "mailboxes", False, "none is shown: voicemail is in a database, or off; no address is seen here, and so "
            "nobody gets a new password by mail but through an approver"
        )  # fmt: skip
    words = {
        "kept": "their lines are never written: neither PINs nor addresses change here",
        "rebuilt": "a PIN reset writes the whole line: ANY OPTION THAT ASTERISK DOES NOT SHOW IS LOST",
        "spooldir": "addresses change here, PINs do not: A MAILBOX WHOSE PIN IS NOT IN THE SPOOL WOULD LOSE IT",
    }
    return CheckLine("mailboxes", True, f"{count} are shown; {words[settings.voicemail]}")


async def _wizards(link: Link) -> CheckLine:
    answer = await link.ask(GUARD.render("wizards"), Count)
    if answer.refused is not None or not answer.count:
        return CheckLine("not seen", True, "pjsip_wizard.conf has no sections")
    return CheckLine(
        "not seen", True, f"{answer.count} sections of pjsip_wizard.conf: whoever is in one of them is not shown here"
    )
