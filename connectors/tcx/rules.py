"""Inbound rules: which direct number leads to whom.

A filter by where a rule leads keeps an answer as small as what was asked for. A build that does not take such a filter
is asked for all rules, page by page, and what was not asked for is dropped as it comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from connectors.errors import InvalidValue, ProtocolViolation
from connectors.tcx.answers import Destination, Rule, Rules
from connectors.tcx.link import Link, NotTaken
from connectors.tcx.numbers import e164
from connectors.tcx.requests import EXTENSION, MOST_NUMBERS, MOST_RULES

_BY_DID: Final = "BasedOnDID"
_MOST_RULES: Final = 200_000
_REMEMBERED: Final = 1_000
"""Numbers that were read, of one connection."""


def leads_to(rule: Rule) -> str | None:
    """The extension whose direct number this rule holds; None for any other rule."""
    there = rule.OfficeHoursDestination
    if rule.Condition != _BY_DID or there is None or there.To != "Extension" or not (rule.Data or "").strip():
        return None
    return there.Number


def _names(there: Destination | None, extension: str) -> bool:
    return there is not None and there.Number == extension


class InboundRules:
    """Those of one phone system."""

    def __init__(self, link: Link, region: str) -> None:
        self._link, self._region = link, region
        self._filters = True
        self._read: dict[str, str] = {}

    def number(self, rule: Rule) -> str:
        """Its direct number: E.164 where it parses. Reading one takes as long as asking for it; who is shown is mostly
        shown again."""
        kept = rule.Data or ""
        if (found := self._read.get(kept)) is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            found = self._read[kept] = e164(kept, self._region)
        return found

    async def of(self, extensions: Sequence[str]) -> Mapping[str, list[Rule]]:
        """The rules that hold these people's numbers, by extension."""
        wanted, found = set(extensions), defaultdict[str, list[Rule]](list)
        for name, values in _questions(sorted(wanted)):
            async for page in self._pages(name, values):
                for rule in page:
                    whose = leads_to(rule)
                    if whose is not None and whose in wanted:
                        found[whose].append(rule)
            if not self._filters:
                break  # that were all rules, whatever was asked
        return found

    async def naming(self, extension: str) -> list[Rule]:
        """Every rule that leads to this extension, at whatever time."""
        found = list[Rule]()
        async for rule in self._all("rules-naming", extension=extension):
            there = (rule.OfficeHoursDestination, rule.OutOfOfficeHoursDestination, rule.HolidaysDestination)
            if any(_names(one, extension) for one in there):
                found.append(rule)
        return found

    async def holding(self, digits: str, enough: int = MOST_RULES) -> list[Rule]:
        """Rules whose number holds these digits, the first of them."""
        found = list[Rule]()
        async for rule in self._all("rules-holding", digits=digits):
            if digits in (rule.Data or ""):
                found.append(rule)
            if len(found) >= enough:
                break
        return found

    async def _all(self, name: str, **values: object) -> AsyncIterator[Rule]:
        async for page in self._pages(name, values):
            for rule in page:
                yield rule

    async def _pages(self, name: str, values: Mapping[str, object]) -> AsyncIterator[list[Rule]]:
        skip = 0
        while skip <= _MOST_RULES:
            page = await self._page(name, values, skip)
            yield page
            if len(page) < MOST_RULES:
                return
            skip += len(page)
        raise ProtocolViolation("the phone system has more inbound rules than can be looked through")

    async def _page(self, name: str, values: Mapping[str, object], skip: int) -> list[Rule]:
        if self._filters:
            try:
                return self._whole(await self._link.look(Rules, name, skip=skip, **values))
            except NotTaken:
                # Only at the beginning can one way be left for the other without telling a rule twice.
                if skip:
                    raise
        page = self._whole(await self._link.look(Rules, "rules", skip=skip))
        self._filters = False
        return page

    @staticmethod
    def _whole(page: Rules) -> list[Rule]:
        if len(page.value) > MOST_RULES:
            raise ProtocolViolation("the phone system's answer is larger than was asked for")
        return page.value


def _questions(extensions: Sequence[str]) -> list[tuple[str, dict[str, object]]]:
    """What to ask for the rules that lead to these, in order: requests by name, with their values. Many neighbours are
    asked for as what is between the first and the last of them, as text, which digits are compared as anywhere."""
    if len(extensions) == 1:
        return [("rules-of", {"numbers": (extensions[0],)})] if _is_sendable(extensions[0]) else []
    digits = [one for one in extensions if one.isascii() and one.isdigit()]
    others = [one for one in extensions if one not in set(digits)] if len(digits) < len(extensions) else []
    questions: list[tuple[str, dict[str, object]]] = []
    if len(digits) > MOST_NUMBERS:
        questions.append(("rules-between", {"low": digits[0], "high": digits[-1]}))
    else:
        others = [*digits, *others]
    sendable = [one for one in others if _is_sendable(one)]
    for at in range(0, len(sendable), MOST_NUMBERS):
        questions.append(("rules-of", {"numbers": tuple(sendable[at : at + MOST_NUMBERS])}))
    return questions


def _is_sendable(extension: str) -> bool:
    try:
        EXTENSION("the extension", extension)
    except InvalidValue:
        return False
    return True
