"""`system check`: reach, identity, credential, what the client could read, and what is not shown."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import CheckLine
from connectors.transport.identity import SYSTEM as SYSTEM_CAS
from connectors.transport.identity import fingerprint_of
from connectors.yeastar import answers
from connectors.yeastar.capabilities import NO_DDI_AT_ALL, WHY
from connectors.yeastar.link import Link
from connectors.yeastar.numbers import DirectNumbers
from connectors.yeastar.requests import GUARD
from connectors.yeastar.settings import YeastarSettings


def _identity(pin: str, settings: YeastarSettings) -> str:
    if pin.strip() == SYSTEM_CAS:
        return "its certificate is vouched for by this system's authorities"
    if fingerprint_of(pin) is None and settings.server_name is not None:
        return "its certificate is vouched for by the pinned authority"
    return "its certificate is the pinned one"


async def check_lines(
    link: Link, settings: YeastarSettings, pin: str, numbers: DirectNumbers | None
) -> Sequence[CheckLine]:
    """Each thing that is looked at, in plain words."""
    system = await link.ask(GUARD.render("system"), answers.SYSTEM)
    return (
        CheckLine("reach", True, f"it answers: {answers.model(system)}"),
        CheckLine("identity", True, _identity(pin, settings)),
        CheckLine("credential", True, "it gave us a token for our Client ID"),
        await _found(link),
        _numbers(numbers),
        CheckLine("secrets", True, WHY),
    )


async def _found(link: Link) -> CheckLine:
    """Whoever is listed has to be found by number: everything that is done about one person begins with that."""
    listed = await link.ask(GUARD.render("people", page=1, size=10), answers.PEOPLE)
    total, rows = answers.total_of(listed), answers.people(listed)
    if not rows:
        return CheckLine("people", True, "there are no extensions")
    searched = await link.ask(GUARD.render("search", number=rows[0].number, page=1, size=100), answers.PEOPLE)
    if rows[0].id not in [row.id for row in answers.people(searched)]:
        return CheckLine(
            "people", False, f"{total} extensions are listed, and a search for a number does not find them"
        )
    return CheckLine("people", True, f"{total} extensions, listed and found by number")


def _numbers(numbers: DirectNumbers | None) -> CheckLine:
    if numbers is None:
        return CheckLine("direct numbers", True, NO_DDI_AT_ALL)
    if numbers.unread:
        return CheckLine(
            "direct numbers", True,
            f"{numbers.unread} of {numbers.routes} inbound routes match by pattern or range, or could not be read: of "
            "who has no other number it is not known",
        )  # fmt: skip
    return CheckLine("direct numbers", True, f"{numbers.routes} inbound routes were read")
