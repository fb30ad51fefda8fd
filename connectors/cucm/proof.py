"""What our account could do, and what of it we do: the lines of `system check`."""

from __future__ import annotations

from typing import Final

from connectors.contract import CheckLine
from connectors.cucm.answers import Row, mailboxes, users
from connectors.cucm.link import Link
from connectors.cucm.requests import GUARD, since
from connectors.cucm.settings import CucmSettings
from connectors.errors import ConnectorError

_COULD: Final = (
    "THIS ACCOUNT EQUALS FULL CONTROL OF THE PHONE SYSTEM: over AXL it could read and write all of its configuration, "
    "digest credentials in clear among it; no request that this connector can make asks for one"
)
_MOST_MAILBOXES: Final = 100_000
"""None is asked for; one that is sent all the same is dropped."""
_PINS: Final = {
    "none": "a voicemail PIN is not reset: the settings say `voicemail: none`",
    "synchronised": "a voicemail PIN is reset as the user's PIN: PIN synchronisation has to be on in this cluster",
}


async def check_lines(link: Link, settings: CucmSettings) -> tuple[CheckLine, ...]:
    """Each line is something that was tried, but for what the account could do: that is Cisco's own word."""
    lines = [
        CheckLine("reach", True, f"the phone system answers: release {link.release}, spoken to as AXL {link.version}"),
        CheckLine("identity", True, "its certificate is the one that is trusted"),
        CheckLine("credential", True, "our account is taken"),
        CheckLine("secrets", True, _COULD),
        await _people(link),
        _directory(link),
    ]
    lines.append(
        await _mailboxes(link)
        if settings.voicemail == "unity"
        else CheckLine("voicemail", True, _PINS[settings.voicemail])
    )
    return tuple(lines)


async def _people(link: Link) -> CheckLine:
    rows = list[Row]()
    try:
        await link.ask(GUARD.render("users", axl=link.version, skip=0, first=1), users(rows.append, 1))
    except ConnectorError as error:
        return CheckLine("people", False, f"{error.message}: the account may not look at end users")
    return CheckLine("people", True, "end users are shown" if rows else "there is no end user")


def _directory(link: Link) -> CheckLine:
    if since(link.version, "10.0"):
        return CheckLine("directory", True, "people who come from LDAP are known, and not changed here")
    return CheckLine(
        "directory",
        True,
        "AXL of this version does not say who comes from LDAP: the phone system has to refuse changes",
    )


async def _mailboxes(link: Link) -> CheckLine:
    try:
        await link.ask_unity(GUARD.render("mailboxes"), mailboxes(lambda _: None, _MOST_MAILBOXES))
    except ConnectorError as error:
        return CheckLine("voicemail", False, f"Unity Connection: {error.message}")
    return CheckLine("voicemail", True, "Unity Connection takes our account")
