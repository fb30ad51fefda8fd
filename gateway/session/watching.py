"""Permission at the time of use, between operations: every open visit's grant is confirmed, again and again.

A visit whose permission ended, or could not be confirmed for a second, ends. The database that should confirm it may
hang without an error (a stopped server, a cut cable): the watch never waits for it. Time in which this process itself
stood still (a machine that is moved, a busy one) is not held against the database, up to a limit: nothing is performed
in it, and whatever is performed after it is decided anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

from sqlalchemy import bindparam, select

from gateway.access.facts import SWITCH, switch_of
from gateway.errors import FrameroomError
from gateway.policy import why_over
from gateway.session.visit import Tools, Visit
from gateway.store.standing import Standing
from gateway.store.tables import access, grants, roster

_CONFIRM_WITHIN_S: Final = 0.9
"""A second, less what telling the channels takes."""
_POLL_S: Final = 0.3
_STOOD_STILL_S: Final = 2.0
"""At most so much is not counted."""
_HELD: Final = (
    select(grants.c.id, grants.c.state, grants.c.until_ms, grants.c.ended_how, roster.c.vetoed, *SWITCH)
    .join(
        roster,
        (roster.c.customer_id == grants.c.customer_id) & (roster.c.engineer_id == grants.c.engineer_id),
        isouter=True,
    )
    .join(access, access.c.customer_id == grants.c.customer_id, isouter=True)
    .where(grants.c.id.in_(bindparam("ids", expanding=True)))
)


def _at_most(left_s: float) -> float:
    """How long to wait: a poll, but not past the moment when visits must end."""
    return min(_POLL_S, left_s) if left_s > 0 else _POLL_S


class End(Protocol):
    """Ends a visit."""

    def __call__(self, visit: Visit, reason: str, *, failed: bool = False) -> None:
        """Say why to its channels, and close it."""


class Watch:
    """Confirms the visits that `visits` gives, and ends those that may not go on."""

    def __init__(self, tools: Tools, visits: Callable[[], list[Visit]], end: End) -> None:
        self._tools, self._visits, self._end = tools, visits, end
        self._look = asyncio.Event()
        self._standing = Standing(tools.store)

    def look_now(self) -> None:
        """Something about permission changed: do not wait for the next poll."""
        self._look.set()

    async def aclose(self) -> None:
        """Let go of what it looks with."""
        await self._standing.close()

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Until cancelled; what is asked of the database belongs to `group`."""
        # The loop's clock: the wall clock may be set back, and then nothing would ever seem to be late.
        loop = asyncio.get_running_loop()
        confirmed = loop.time()
        asked, asking, stood_still = confirmed, None, 0.0
        # When each was opened, for which it was permitted: an answer due since before that says nothing against it.
        opened: dict[str, float] = {}

        def left_s() -> float:
            since = min(opened.values(), default=loop.time())
            return max(confirmed, since) + _CONFIRM_WITHIN_S + stood_still - loop.time()

        while True:
            until = loop.time() + _at_most(left_s())
            with contextlib.suppress(TimeoutError):  # the poll is due: a timeout is the ordinary case here
                async with asyncio.timeout_at(until):
                    await self._look.wait()
            self._look.clear()
            stood_still += max(0.0, loop.time() - until)
            lately = loop.time() - _POLL_S  # it was not there a poll ago, and may have come right after
            opened = {v.id: opened.get(v.id, lately) for v in self._visits() if v.ended is None}
            if not opened:
                confirmed, stood_still = loop.time(), 0.0
                continue
            if asking is None:
                asked, asking = loop.time(), group.create_task(self._confirmed())
            # Not cancelled when it is late: a database that hangs must not hold up the end of a visit.
            until = loop.time() + _at_most(left_s())
            await asyncio.wait({asking}, timeout=until - loop.time())
            stood_still = min(stood_still + max(0.0, loop.time() - until), _STOOD_STILL_S)
            if asking.done():
                if asking.result():
                    confirmed, stood_still = max(confirmed, asked), 0.0
                asking = None
            for visit in self._visits():
                since = max(confirmed, opened.get(visit.id, loop.time()))
                if visit.ended is None and loop.time() - since >= _CONFIRM_WITHIN_S + stood_still:
                    self._end(visit, "the permission could not be confirmed", failed=True)

    async def _confirmed(self) -> bool:
        try:
            await self._confirm()
        except (FrameroomError, OSError):
            return False
        return True

    async def _confirm(self) -> None:
        now = self._tools.audit.clock.now()
        ids = [visit.grant.id for visit in self._visits()]
        held = {row.id: row for row in await self._standing.look(_HELD, {"ids": ids})}
        for visit in self._visits():
            if visit.grant.id not in ids:
                continue
            row = held.get(visit.grant.id)
            why = "the permission is gone"
            if row is not None:
                why = why_over(
                    row.state, row.until_ms, row.ended_how, on_roster=row.vetoed is False, access=switch_of(row),
                    at_ms=now,
                ) or ""  # fmt: skip
            if why:
                self._end(visit, why)
