"""What the customer is told of a file of changes: one mail for all of it, and one line in the mail at the visit's end.

Until that mail is in the outbox each change has its line in the visit's own mail, as if it had been typed, and changes
of addresses and numbers wait in the outbox for the approvers: whatever happens to this process, everything is told.
Whoever had an address that changes is told at once, row by row; that is not a matter of this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from sqlalchemy import select

from gateway import notify
from gateway.lifecycle import SessionState
from gateway.session.commands.desk import Desk
from gateway.session.session import Visit
from gateway.store.engine import Scope
from gateway.store.tables import sessions

_LINES: Final = 200
"""Changes of a file that are listed one by one; the rest is counted, and stands in the log."""


class RunTelling:
    """Of one run, in the visits that it acts in (more than one where several permissions are needed)."""

    def __init__(self, desk: Desk, visits: Iterable[Visit]) -> None:
        self._desk = desk
        self._visits = sorted(set(visits), key=lambda visit: visit.id)
        self._lines: list[str] = []
        self._more = 0
        self._held: notify.Held | None = None
        self._addresses = False

    def line(self, text: str) -> str:
        """A change's line: what stands of it in the visit's own mail, for as long as it has to."""
        if len(self._lines) >= _LINES:
            self._more += 1
            return ""
        # A string of its own, so that it is found again among others that read alike.
        self._lines.append("".join([text, " "])[:-1])
        return self._lines[-1]

    def to_approvers(self, visit: Visit) -> Callable[[Scope, str], Awaitable[None]]:
        """Tells approvers of a change of an address or number in this visit."""

        async def tell(scope: Scope, line: str) -> None:
            self._addresses = True
            now = self._desk.permission.now
            self._held = await notify.hold_for_approvers(scope, self._held, visit.grant, line, now)

        return tell

    async def over(self, results: Counter[str]) -> None:
        """The run has ended. A visit that has too, has told everything already."""
        if not self._lines:
            return
        first, told = self._visits[0], list(self._lines)
        here = (sessions.c.customer_id == first.system.customer_id) & sessions.c.id.in_([v.id for v in self._visits])
        here &= sessions.c.state == SessionState.OPEN
        query = select(sessions.c.id).where(here).order_by(sessions.c.id).with_for_update()
        before = {visit: list(visit.lines) for visit in self._visits}
        try:
            async with self._desk.store.scope(first.system.customer_id) as scope:
                # Whoever closes a visit waits for this, and then finds its one line in place of all these.
                if len((await scope.execute(query)).all()) < len(self._visits):
                    self._visits[0].lines += [f"{self._more} more changes from the same file"] if self._more else []
                    return
                done = notify.FileApplied(first.grant, results, told, self._more, self._addresses)
                await notify.let_go(scope, self._held)
                await notify.file_applied(scope, done, self._desk.permission.now)
                self._in_place_of_each(done.in_short)
        except BaseException:
            for visit, lines in before.items():
                visit.lines[:] = lines
            raise

    def _in_place_of_each(self, short: str) -> None:
        mine = {id(line) for line in self._lines}
        for visit in self._visits:
            visit.lines[:] = [line for line in visit.lines if id(line) not in mine]
        self._visits[0].lines.append(short)
