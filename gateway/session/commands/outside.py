"""Visits that Frameroom is not in between at: visit, visit start, visit done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.contract import Operation
from gateway.access.outside import LONGEST, OutsideVisits, SignedInBy, words_of
from gateway.errors import AmbiguousError, NotFoundError, NotPermittedError, UsageError
from gateway.lifecycle import OutsideState
from gateway.model import Grant, PhoneSystem
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import Desk
from gateway.session.commands.text import clock, options

_MORE = (
    f"For work on the customer's premises, or with a phone system's own programs. Frameroom is not in between and "
    f"records nothing of it; the customer reads so, and reads what you say was done (at most {LONGEST:,} characters; "
    "`visit done -` takes it from standard input). It goes on when you disconnect."
)
_HOW_TO_TELL = 'When it is over: visit done "WHAT WAS DONE"'


class Outside:
    """visit."""

    def __init__(self, desk: Desk, outside: OutsideVisits) -> None:
        self._desk, self._outside = desk, outside

    def commands(self) -> list[Command]:
        """For help."""
        return [
            Command(
                "visit", self.visit, 'visit | visit start [SYSTEM] | visit done "WORDS"|- [--visit ID]',
                "work that Frameroom is not in between at: begin it, end it by saying what was done",
                'visit start "Head office" · visit done "Changed the line card of extension 2001"', _MORE,
            )
        ]  # fmt: skip

    async def visit(self, caller: Caller) -> None:
        """List, begin, or tell of one."""
        what, *rest = [*caller.words, ""]
        if not caller.words:
            await self._list(caller)
        elif what == "start":
            await self._start(caller, rest[:-1])
        elif what == "done":
            await self._done(caller, rest[:-1])
        else:
            raise UsageError(
                'Say visit start [SYSTEM], visit done "WHAT WAS DONE", or visit alone.',
                next_step="`help visit` has an example.",
            )

    async def reminder(self, engineer_id: str) -> str:
        """What the engineer still has to tell, in a line; "" for nothing."""
        rows = await self._outside.not_told(engineer_id)
        if not rows:
            return ""
        places = ", ".join(dict.fromkeys(f"{row.customer}/{row.system}" for row in rows))
        going = [row for row in rows if row.state == OutsideState.OPEN]
        if len(going) == len(rows):
            return f"You are visiting {places} (not recorded here). {_HOW_TO_TELL}"
        return (
            f'The customer still waits to read what was done: {places}. Say it: visit done "WHAT WAS DONE". '
            "`visit` lists them."
        )

    # --- the list ---

    async def _list(self, caller: Caller) -> None:
        rows = await self._outside.not_told(caller.identity.engineer_id)
        zones = await self._desk.zones({row.customer_id for row in rows})
        caller.out(
            [
                {
                    "visit": row.id, "customer": row.customer, "system": row.system,
                    "since": clock(row.started_ms, zones[row.customer_id]),
                    "ended": "" if row.ended_ms is None else clock(row.ended_ms, zones[row.customer_id]),
                    "because": row.reason,
                    "state": "going on" if row.state == OutsideState.OPEN else "to be told: what was done?",
                }
                for row in rows
            ],
            "You are on no visit, and nothing is left to be told.",
        )  # fmt: skip

    # --- beginning ---

    async def _start(self, caller: Caller, words: Sequence[str]) -> None:
        plain, _, _ = options(words)
        if plain:
            await self._desk.choose(caller, " ".join(plain))
        grant, system = await self._grant(caller)
        who = caller.identity
        by = SignedInBy(who.engineer_id, who.factor, who.fingerprint, who.address)
        row = await self._outside.start(by, system, grant)
        caller.until_ms = grant.until_ms
        zone = await self._desk.zone(system.customer_id)
        caller.out(
            [{"visit": row.id, "system": system.name, "until": clock(grant.until_ms, zone), "recorded": "not here"}]
        )
        caller.say(f"The customer is told that you are there, and that it is not recorded here. {_HOW_TO_TELL}")

    async def _grant(self, caller: Caller) -> tuple[Grant, PhoneSystem]:
        """The permission that names a visit: for the phone system chosen, else the only one there is."""
        engineer = caller.identity.engineer_id
        grants = await self._desk.permission.open_grants(engineer)
        naming = [grant for grant in grants if Operation.VISIT in grant.operations]
        if caller.system is None:
            ids = {grant.system_id for grant in naming}
            places = await self._desk.places.places_for(engineer, only=ids) if ids else []
            if len(places) > 1:
                names = tuple(f"{place.customer}/{place.system.name}" for place in places)
                raise AmbiguousError("You may visit several:", names, next_step="Say which: visit start SYSTEM")
            if not places:
                raise NotPermittedError(
                    "No customer has given you permission for a visit.",
                    next_step='Ask: request SYSTEM --ops visit --for 2h --reason "…"',
                )
            caller.enter(places[0].customer, places[0].system, None)
        system = caller.system
        if system is None:
            raise UsageError("Say which phone system: visit start SYSTEM.")
        here = [grant for grant in naming if grant.system_id == system.id]
        # Without one, policy says which question is answered no.
        here = here or [grant for grant in grants if grant.system_id == system.id]
        if not here:
            decision = await self._desk.permission.explain(engineer, system, Operation.VISIT, None)
            raise NotPermittedError(decision.words, next_step="`grants` shows what you may do now.")
        return here[0], system

    # --- what was done ---

    async def _done(self, caller: Caller, words: Sequence[str]) -> None:
        plain, given, _ = options(words, {"visit": ""})
        row = await self._meant(caller, given["visit"])
        text = " ".join(plain)
        if plain == ["-"]:
            text = await _received(caller)
        elif not plain and caller.interactive:
            text = await caller.channel.read_line("What was done? ") or ""
        told = await self._outside.done(row, words_of(text))
        caller.out([{"visit": row.id, "system": row.system, "state": told.row.state, "after the end": told.late}])
        caller.say(
            "It had ended before; the customer is told what you say was done."
            if told.late
            else "The visit is over, and the customer is told what you say was done."
        )

    async def _meant(self, caller: Caller, given: str) -> Any:
        """The visit that is told of: by id, on the phone system chosen, or the only one."""
        rows = await self._outside.not_told(caller.identity.engineer_id)
        if not rows:
            raise NotFoundError("You are on no visit, and nothing is left to be told.")
        found = rows
        if given:
            found = [row for row in rows if row.id == given] or [
                row for row in rows if len(given) >= _PREFIX and row.id.startswith(given)
            ]
            if not found:
                raise NotFoundError("There is no such visit to be told of.", next_step="`visit` lists them.")
        elif caller.system is not None and len(rows) > 1:
            found = [row for row in rows if row.system_id == caller.system.id] or rows
        if len(found) > 1:
            lines = tuple(f"{row.id}  {row.customer}/{row.system}" for row in found)
            raise AmbiguousError("Several visits are to be told of:", lines, next_step="Say which with --visit ID.")
        (row,) = found
        if not given and caller.system is not None and row.system_id != caller.system.id:
            raise UsageError(
                f"The visit to be told of was to {row.customer}/{row.system}, and not here.",
                next_step=f"If that is meant: visit done … --visit {row.id}",
            )
        return row


_PREFIX = 8


async def _received(caller: Caller) -> str:
    """Standard input to its end. UsageError as soon as it is too long to be taken."""
    pieces, length = list[str](), 0
    async for piece in caller.channel.read_all():
        pieces.append(piece)
        length += len(piece)
        if length > 4 * LONGEST:
            raise UsageError(
                f"What was done is told in at most {LONGEST:,} characters.",
                next_step="Nothing was kept; say it shorter.",
            )
    return "".join(pieces)
