"""`system check`: reach, identity, credential, and what that credential could read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from connectors.contract import CheckLine
from connectors.errors import Refused
from connectors.tcx.answers import Rules, Status, TrunkNumbers, Users
from connectors.tcx.link import Link, NotThere
from connectors.transport.identity import SYSTEM, fingerprint_of

_COULD: Final = (
    "our client could read passwords, by requests that do not name their fields, or by Users/Pbx.ExportExtensions, "
    "Users({Id})/Pbx.GetPhoneSecret and Users({Id})/Pbx.GenerateProvLink: none of these is on the list of what can be "
    "sent"
)


def _identity(pin: str, server_name: str | None) -> str:
    if pin.strip() == SYSTEM:
        return f"its certificate is {server_name}'s, as the authorities of this machine say"
    if fingerprint_of(pin) is not None or server_name is None:
        return "its certificate is the pinned one"
    return f"its certificate is {server_name}'s, as the pinned authority says"


async def check_lines(link: Link, pin: str, server_name: str | None) -> Sequence[CheckLine]:
    """In this order; a connection that is there has been through the first three."""
    return (
        CheckLine("reach", True, "it answers"),
        CheckLine("identity", True, _identity(pin, server_name)),
        CheckLine("credential", True, "it takes our client and its key"),
        await _version(link),
        await _people(link),
        await _numbers(link),
        CheckLine("secrets", True, f"{_COULD}; new ones are made and mailed by 3CX itself"),
    )


async def _version(link: Link) -> CheckLine:
    try:
        version = (await link.look(Status, "status")).Version or ""
    except (Refused, NotThere):
        return CheckLine(
            "version", False, "our client may not ask for it: give it the role System Owner or System Admin"
        )
    found = re.match(r"[0-9]{1,4}(?:\.[0-9]{1,6}){0,4}", version)
    if found is None:
        return CheckLine("version", False, "it does not say which")
    ok = int(found[0].partition(".")[0]) >= 20
    return CheckLine("version", ok, f"3CX {found[0]}" + ("" if ok else ": this needs version 20"))


async def _people(link: Link) -> CheckLine:
    try:
        page = await link.look(Users, "users", skip=0, top=1)
    except Refused:
        return CheckLine("people", False, "our client may not see them: look at its department and role")
    count = page.count if page.count is not None else len(page.value)
    return CheckLine("people", True, f"{count} are shown, those of every department that our client may see")


async def _numbers(link: Link) -> CheckLine:
    try:
        await link.look(Rules, "rules", skip=0)
    except Refused:
        return CheckLine("numbers", False, "our client may not see inbound rules: no direct number is shown or changed")
    try:
        await link.look(TrunkNumbers, "trunk-numbers", digits="000")
    except (Refused, NotThere):
        return CheckLine(
            "numbers", True, "they are shown, changed and taken away; this build does not list its trunks' numbers, so "
            "that nobody without one can be given one"
        )  # fmt: skip
    return CheckLine("numbers", True, "they are shown, given, changed and taken away")
