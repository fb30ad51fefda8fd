"""Commands about oneself and where one is: who, which phone system, what others left word of."""

from __future__ import annotations

from typing import Final

from connectors.registry import weakens
from gateway.access import notes
from gateway.errors import UsageError
from gateway.harmless import CONTROL
from gateway.model import PhoneSystem
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import Desk
from gateway.session.commands.text import clock, options

_NOTES: Final = 20
_LONGEST_NOTE: Final = 2000


class About:
    """whoami, systems, use, note, exit."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def commands(self) -> list[Command]:
        """In the order in which help lists them."""
        return [
            Command("whoami", self.whoami, "whoami", "who you are and how you signed in", "whoami"),
            Command(
                "systems", self.systems, "systems [WORDS]",
                "phone systems by any part of customer, site, town, asset or number",
                "systems leeds · systems 020 7946 0005",
                "WORDS are any part of the customer, site, town, postcode, asset number, or a number of the range. The "
                "one you last visited comes first.",
            ),
            Command("use", self.use, "use SYSTEM", "the phone system that the next commands are about", "use leeds"),
            Command(
                "note", self.note, "note [TEXT]", "leave word for whoever comes next, or read what others left",
                "note Mailbox 2001 is full again; ring Kate before a reset",
            ),
            Command("exit", self.leave, "exit", "leave", "exit"),
        ]  # fmt: skip

    async def whoami(self, caller: Caller) -> None:
        """Who is signed in."""
        who = caller.identity
        row = {"login": who.login, "name": who.name, "factor": who.factor, "key": who.fingerprint, "from": who.address}
        caller.out([row])

    async def systems(self, caller: Caller) -> None:
        """Phone systems, the last visited first, with what may be done there now."""
        who = caller.identity.engineer_id
        found = await self._desk.places.places_for(who, " ".join(options(caller.words)[0]), recent=True)
        grants = {g.system_id: g for g in reversed(await self._desk.permission.open_grants(who))}
        now = self._desk.permission.now
        rows = []
        for place in found:
            grant = grants.get(place.system.id)
            left = max(0, grant.until_ms - now) // 60_000 if grant else None
            rows.append({
                "customer": place.customer, "system": place.system.name, "site": place.site, "town": place.town,
                "permission": " ".join(sorted(grant.operations)) if grant else "",
                "left": "" if left is None else f"{left // 60}h{left % 60:02d}m",
            })  # fmt: skip
        caller.systems = [place.system.name for place in found]
        caller.out(rows, "No phone system matches.")
        for place in found:
            _weakened(caller, place.system)

    async def use(self, caller: Caller) -> None:
        """Choose a phone system."""
        place, grant = await self._desk.choose(caller, " ".join(options(caller.words)[0]))
        row = {"customer": place.customer, "system": place.system.name, "site": place.site, "town": place.town}
        caller.out([row])
        _weakened(caller, place.system)
        if grant is None:
            caller.say(f'No permission here now. Ask: request "{place.system.name}" --ops … --for 2h …')
        left = await notes.read(self._desk.store, place.system.customer_id, place.system.id, 1)
        if left:
            zone = await self._desk.zone(place.system.customer_id)
            caller.say(f"Newest note, {left[0].author}, {clock(left[0].at_ms, zone)}: {left[0].text}")

    async def note(self, caller: Caller) -> None:
        """Leave a note, or list the newest."""
        text = " ".join(options(caller.words)[0]).strip()
        place = await self._desk.here(caller)
        system = place.system
        if caller.words and not text:
            raise UsageError("A note has words.", next_step="`note` alone lists what others left.")
        if not text:
            zone = await self._desk.zone(system.customer_id)
            found = await notes.read(self._desk.store, system.customer_id, system.id, _NOTES)
            caller.out(
                [{"when": clock(n.at_ms, zone), "who": n.author, "note": n.text} for n in found],
                f"Nobody has left a note about {place.system.name}.",
            )
            return
        if len(text) > _LONGEST_NOTE or CONTROL.search(text):
            raise UsageError(f"A note is at most {_LONGEST_NOTE} characters, in one line, without control characters.")
        session = next((v.id for v in caller.visits if v.ended is None and v.system.id == system.id), None)
        who = caller.identity.engineer_id
        await notes.write(self._desk.store, self._desk.visits.audit, system, session, who, text)
        caller.out([{"system": system.name, "note": text}])

    async def leave(self, caller: Caller) -> None:
        """Handled by the shell; as a one-shot command it does nothing."""


def _weakened(caller: Caller, system: PhoneSystem) -> None:
    """What the operator turned on for it that is weaker than usual, wherever it is shown."""
    if words := weakens(system.connector, system.settings_json):
        caller.say(f"The way to {system.name} is weaker than usual: {words}.")
