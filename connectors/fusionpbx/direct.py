"""Direct numbers: destination, dialplan and details are written together, inside the caller's transaction."""

from __future__ import annotations

from uuid import uuid4

from connectors.contract import Person
from connectors.errors import Conflict, InvalidValue, ProtocolViolation, Refused
from connectors.fusionpbx.numbers import Stored, stored
from connectors.fusionpbx.people import AT_THE_PBX, Destination, Own, route
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.transport.postgres import Transaction


def cache_keys(context: str, *numbers: Stored) -> list[str]:
    """What FreeSWITCH's cache knows these numbers by, in both of FusionPBX's dialplan modes."""
    dialled = dict.fromkeys(way for number in numbers for way in number.dialled())
    return [f"dialplan:{context}", *(f"dialplan:{context}:{way}" for way in dialled)]


class DirectNumbers:
    """Of one domain. `domain`: its id and name."""

    def __init__(self, domain: tuple[str, str], settings: FusionPbxSettings) -> None:
        self._domain, self._settings = domain, settings
        self._scope = {"domain": domain[0]}

    async def change(self, work: Transaction, own: Own, ddi: str | None, expected: Person) -> list[str]:
        """Give, move or take away the one number of a person; what to flush afterwards."""
        rows = [Destination.of(r) for r in await work.read("lock-routes", extensions=own.extensions, **self._scope)]
        if {row.shown for row in rows} != set(expected.ddis or ()):
            raise Conflict("the direct numbers changed since they were shown; nothing was written")
        if len(rows) > 1:
            raise Refused("this person has several numbers", next_step=AT_THE_PBX)
        if ddi is None:
            return await self.delete(work, rows) if self._alone(own, rows) else []
        made = stored(ddi, self._settings.numbers, rows[0].stored.trunk if rows else "")
        if made is None:
            raise InvalidValue("that is no number that this site's destinations can hold")
        if rows and rows[0].shown == ddi:
            return []
        ids = [row.id for row in rows]
        if await work.read("number-owner", number=ddi, ids=ids):
            raise Conflict("that number is somebody else's; nothing was written")
        return await (self._move(work, own, rows[0], made) if rows else self._insert(work, own, made))

    def _alone(self, own: Own, rows: list[Destination]) -> bool:
        if any(not own.rings_alone(row, self._domain[1]) for row in rows):
            raise Refused("that number does more than ring this person", next_step=AT_THE_PBX)
        return bool(rows)

    async def _move(self, work: Transaction, own: Own, old: Destination, new: Stored) -> list[str]:
        dialplan = old.dialplan or str(uuid4())
        made = route(own, old, new, dialplan, self._domain, self._settings)
        done = await work.write(
            "move-route", destination=old.id, dialplan=dialplan, number=new.number, prefix=new.prefix or None,
            trunk=new.trunk or None, regex=new.regex(), **self._scope,
        )  # fmt: skip
        if done != 1:
            raise ProtocolViolation("the database wrote another number of rows than it showed; nothing was written")
        lines = made.lines()
        if not await work.write("set-dialplan", dialplan=dialplan, number=new.number, lines=lines, **self._scope):
            await work.write(
                "insert-dialplan", dialplan=dialplan, number=new.number, context=old.context, lines=lines, **self._scope
            )
        await work.write("clear-details", dialplan=dialplan, **self._scope)
        if self._settings.dialplan_details:
            await work.write("insert-details", dialplan=dialplan, details=made.details(), **self._scope)
        return cache_keys(old.context, old.stored, new)

    async def _insert(self, work: Transaction, own: Own, new: Stored) -> list[str]:
        dialplan, context = str(uuid4()), own.context or self._domain[1]
        action = f"transfer {own.extension} XML {context}"
        fresh = Destination("", None, "", new, self._settings.destination_context, (action,))
        made = route(own, fresh, new, dialplan, self._domain, self._settings)
        await work.write(
            "insert-dialplan", dialplan=dialplan, number=new.number, context=fresh.context, lines=made.lines(),
            **self._scope,
        )  # fmt: skip
        if self._settings.dialplan_details:
            await work.write("insert-details", dialplan=dialplan, details=made.details(), **self._scope)
        await work.write(
            "insert-route", destination=str(uuid4()), dialplan=dialplan, number=new.number, prefix=new.prefix or None,
            regex=new.regex(), context=fresh.context, extension=own.extension, to=context, **self._scope,
        )  # fmt: skip
        return cache_keys(fresh.context, new)

    async def delete(self, work: Transaction, rows: list[Destination]) -> list[str]:
        """Numbers with their routes; what to flush afterwards."""
        dialplans = [row.dialplan for row in rows if row.dialplan]
        await work.write("delete-routes", destinations=[row.id for row in rows], **self._scope)
        await work.write("delete-details", dialplans=dialplans, **self._scope)
        await work.write("delete-dialplans", dialplans=dialplans, **self._scope)
        return [key for row in rows for key in cache_keys(row.context, row.stored)]
