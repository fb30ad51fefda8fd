"""Asking the customer: request, requests, grants."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from connectors.contract import Operation
from gateway import notify
from gateway.errors import FrameroomError, NotPermittedError, UsageError
from gateway.lifecycle import RequestState
from gateway.model import Grant, Request
from gateway.session.answers import Answer, Answers
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import Desk
from gateway.session.commands.text import clock, duration, options

_LINE_EVERY_S: Final = 60
_LOOK_EVERY_S: Final = 5
"""How often a waiting engineer's line looks who was asked meanwhile."""


class Asking:
    """request, requests, grants."""

    def __init__(self, desk: Desk, answers: Answers) -> None:
        self._desk, self._answers = desk, answers

    def commands(self) -> list[Command]:
        """In the order in which help lists them."""
        return [
            Command(
                "request", self.request,
                'request SYSTEM --ops find,view,… --for 2h --ticket T --reason "…" [--wait]',
                "ask the customer for permission; --wait tells the answer and goes in",
                'request "Head office" --ops view,reset-voicemail --for 1h --ticket T-7 --reason "Locked out" --wait',
                f"Operations: {', '.join(o.value for o in Operation)}.",
            ),
            Command("requests", self.requests, "requests", "what you asked for, and the answers", "requests"),
            Command("grants", self.grants, "grants", "what you may do now, and until when", "grants"),
        ]  # fmt: skip

    async def request(self, caller: Caller) -> None:
        """Ask."""
        plain, given, switches = options(
            caller.words, {"ops": "find,view", "for": "2h", "ticket": "", "reason": ""}, ("wait",)
        )
        if not plain and caller.system is None:
            raise UsageError("Say which phone system.", next_step="`systems` lists them.")
        place = await self._desk.place(caller, " ".join(plain)) if plain else await self._desk.here(caller)
        try:
            wanted = frozenset(Operation(w.strip()) for w in given["ops"].split(","))
        except ValueError as error:
            known = ", ".join(o.value for o in Operation)
            raise UsageError("One of those is not an operation.", next_step=f"They are: {known}.") from error
        request = await self._desk.permission.submit(
            caller.identity.engineer_id, place.system, wanted, duration(given["for"]), given["ticket"],
            given["reason"],
        )  # fmt: skip
        wait = "wait" in switches
        asked = ", ".join(name for name, _ in await self._asked(request))
        caller.say(f"Asked: {asked or 'nobody yet, since the customer has no approver'}.")
        if not wait:
            caller.out([{"request": request.id, "system": place.system.name, "state": request.state.value}])
            return
        answer = await self._wait(caller, request)
        caller.out([{"request": request.id, "system": place.system.name, "state": answer.request.state.value}])
        if answer.request.state is not RequestState.GRANTED:
            raise NotPermittedError(
                f"Nothing is permitted: {_OVER[answer.request.state]}.", next_step="Ask again with `request`."
            )
        await self._desk.enter(caller, place)

    async def _asked(self, request: Request) -> list[tuple[str, str]]:
        """Who was asked so far, and what became of what was sent to them: ("Kate Brook", "mail sent 09:12")."""
        async with self._desk.store.look(request.customer_id) as scope:
            found = await notify.deliveries_of(scope, request.id)
            zone = await notify.zone_of(scope)
        return notify.by_person(found, zone)

    async def _news(self, caller: Caller, request: Request, known: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Say what was not known of who was asked; all that is known now."""
        asked = await self._asked(request)
        for name, words in asked:
            if (name, words) not in known:
                caller.say(f"Asked: {name} ({words}).")
        return asked

    async def _wait(self, caller: Caller, request: Request) -> Answer:
        caller.say("Waiting for the customer's answer (Ctrl-C stops waiting; the request stays).")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def told(answer: Answer) -> None:
            if answer.request.id == request.id and not answered.done():
                answered.set_result(answer)

        begun = looked = time.monotonic()
        known: list[tuple[str, str]] = []
        every = 1 if caller.channel.redraws else _LINE_EVERY_S
        with self._answers.listening(caller.identity.engineer_id, told, request.id):
            while True:
                await asyncio.wait({answered}, timeout=every)
                waited = int(time.monotonic() - begun)
                if answered.done():
                    caller.channel.status("")
                    if not caller.interactive:  # an open shell hears of every answer by itself
                        caller.channel.notify_line(in_words(answered.result(), None))
                    caller.say(f"It took {waited // 60} min {waited % 60:02d} s.")
                    return answered.result()
                if time.monotonic() - looked >= _LOOK_EVERY_S:
                    looked = time.monotonic()
                    # A database that is away for a moment ends nobody's wait.
                    with suppress(FrameroomError):
                        known = await self._news(caller, request, known)
                caller.channel.status(f"Waiting for {waited // 60}:{waited % 60:02d}")

    async def requests(self, caller: Caller) -> None:
        """What was asked for."""
        found = await self._desk.permission.requests_of(caller.identity.engineer_id)
        names, zones = await self._names(caller, found)
        rows = []
        for request in found:
            customer, system = names.get(request.system_id, ("", request.system_id))
            rows.append({
                "request": request.id, "customer": customer, "system": system,
                "operations": " ".join(sorted(request.operations)), "state": request.state.value,
                "asked": clock(request.submitted_ms, zones[request.customer_id]), "ticket": request.ticket,
            })  # fmt: skip
        caller.out(rows, "You have asked for nothing yet.")

    async def grants(self, caller: Caller) -> None:
        """What may be done."""
        found = await self._desk.permission.open_grants(caller.identity.engineer_id)
        names, zones = await self._names(caller, found)
        now = self._desk.permission.now
        rows = []
        for grant in found:
            customer, system = names.get(grant.system_id, ("", grant.system_id))
            rows.append({
                "customer": customer, "system": system, "operations": " ".join(sorted(grant.operations)),
                "until": clock(grant.until_ms, zones[grant.customer_id]),
                "minutes left": max(0, grant.until_ms - now) // 60_000, "how": grant.how,
            })  # fmt: skip
        caller.out(rows, "No customer has given you permission now.")

    async def _names(
        self, caller: Caller, found: list[Request] | list[Grant]
    ) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
        ids = {item.system_id for item in found}
        places: list[Any] = await self._desk.places.places_for(caller.identity.engineer_id, only=ids) if ids else []
        names = {place.system.id: (place.customer, place.system.name) for place in places}
        return names, await self._desk.zones({item.customer_id for item in found})


_OVER: Final = {
    RequestState.DENIED: "the customer said no",
    RequestState.EXPIRED: "nobody answered in time, and the request has expired",
    RequestState.WITHDRAWN: "the request was taken back",
}  # fmt: skip


def in_words(answer: Answer, zone: str | None) -> str:
    """One line that tells of an answer; with a zone, until when it holds."""
    where = f"{answer.customer}/{answer.system}"
    if answer.request.state in {RequestState.EXPIRED, RequestState.WITHDRAWN}:
        return f"{where}: {_OVER[answer.request.state]}."
    until = (
        f" until {clock(answer.request.until_ms, zone)}"
        if zone and answer.request.state is RequestState.GRANTED
        else ""
    )
    return f"The customer's answer for {where}: {answer.request.state.value}{until}."
