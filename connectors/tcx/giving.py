"""Giving, changing and taking away a direct number: what has to be written, after everything that could be wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from connectors.errors import NotSupported, Refused
from connectors.guard import Allowed
from connectors.tcx.answers import Rule, TrunkNumber, TrunkNumbers, User
from connectors.tcx.link import Link, NotTaken, NotThere
from connectors.tcx.numbers import digits_of, e164, like
from connectors.tcx.requests import GUARD
from connectors.tcx.rules import InboundRules, leads_to

_AT_THE_PBX: Final = "Change it on the phone system's own web page (Inbound rules)."


async def numbering(
    link: Link, rules: InboundRules, user: User, own: Sequence[Rule], ddi: str | None, region: str
) -> list[Allowed]:
    """The requests after which the person has this number (E.164), or none; empty where that is so already.

    Refused where it is somebody else's, no trunk's, or one of several; NotSupported where the build cannot tell;
    InvalidValue for what is no number.
    """
    if ddi is not None:
        digits_of(ddi, region)
    if len(own) > 1:
        raise Refused(
            "this person has several direct numbers, and which of them is meant nobody can tell; nothing was written",
            next_step=_AT_THE_PBX,
        )
    rule = own[0] if own else None
    if ddi is None:
        return [] if rule is None else [GUARD.render("remove-rule", id=rule.Id)]
    if rule is not None and rules.number(rule) == ddi:
        return []
    if rule is not None and not re.fullmatch(r"\+?[0-9]+", (rule.Data or "").strip(), re.ASCII):
        raise Refused(
            "this person's inbound rule holds a pattern and no number; nothing was written", next_step=_AT_THE_PBX
        )
    await _is_free(rules, rule, ddi, region)
    trunk = await _trunk_number(link, ddi, region)
    if rule is not None:
        data = trunk.Number if trunk is not None else like(rule.Data or "", ddi, region)
        return [GUARD.render("set-rule", id=rule.Id, data=data)]
    if trunk is None or trunk.TrunkId is None:
        raise NotSupported(
            "this build of 3CX does not list its trunks' numbers, so that nobody without one can be given one",
            next_step=_AT_THE_PBX,
        )
    return [GUARD.render("add-rule", data=trunk.Number, trunk=trunk.TrunkId, extension=user.Number)]


async def _is_free(rules: InboundRules, own: Rule | None, ddi: str, region: str) -> None:
    for other in await rules.holding(digits_of(ddi, region)):
        if (own is None or other.Id != own.Id) and rules.number(other) == ddi:
            whose = leads_to(other)
            to = f"extension {whose}" if whose is not None and re.fullmatch(r"[0-9]{1,10}", whose) else "somewhere else"
            raise Refused(f"that number already leads to {to}; nothing was written", next_step=_AT_THE_PBX)


async def _trunk_number(link: Link, ddi: str, region: str) -> TrunkNumber | None:
    """The number as its trunk has it; None where this build lists none. Refused for one that no trunk has."""
    try:
        listed = await link.look(TrunkNumbers, "trunk-numbers", digits=digits_of(ddi, region))
    except (NotThere, NotTaken):
        return None
    for one in listed.value:
        if e164(one.Number, region) == ddi:
            return one
    raise Refused(
        "no trunk of this phone system has that number; nothing was written",
        next_step="Its provider's numbers stand on the phone system's web page (Voice & Chat, the trunk, DIDs).",
    )
