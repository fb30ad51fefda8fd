"""What was changed under a permission, read back from the log, and taking a change back."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit.log import ERASED, Row
from connectors.contract import UNSET, Change, Operation, Person
from connectors.errors import Conflict
from gateway.errors import NotFoundError, StateError, UsageError
from gateway.session.commands.acts import Acts, checked, differences
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.people import FIELDS, rows_of, set_back, show_changes
from gateway.session.commands.text import clock, field_of, options, person_from, read_field, readable
from gateway.session.session import Did, Visit
from gateway.store.engine import Scope

_SHOWN: Final = 50
_PAGE: Final = 500
_OUTCOMES: Final = ("operation.intended", "operation.done", "secret.issued")
_WANTED: Final = (
    Operation.VIEW, Operation.ALTER, Operation.REMOVE, Operation.RESET_VOICEMAIL, Operation.RESET_SIP,
    Operation.RESET_PORTAL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """One change, by its number under the permission; persons are None where the log does not hold them."""

    number: int
    at_ms: int
    what: str
    user: str
    before: Person | None
    after: Person | None

    def rows(self, zone: str, country: str) -> dict[str, Any]:
        """As it is shown."""
        old = new = ""
        if self.before is not None and self.after is not None:
            moved = [n for n in FIELDS if field_of(self.before, n) != field_of(self.after, n)]
            old, new = _listed(self.before, moved, country), _listed(self.after, moved, country)
        elif self.before is not None:
            old, new = self.before.name, "removed"
        return {
            "n": self.number, "when": clock(self.at_ms, zone), "user": self.user, "what": self.what, "from": old,
            "to": new,
        }  # fmt: skip


def _listed(person: Person, fields: Sequence[str], country: str) -> str:
    held = {name: field_of(person, name) for name in fields}
    return readable(
        "; ".join(f"{name}: {read_field(name, value, country)}" for name, value in held.items()),
        "; ".join(f"{name}: {value or 'nothing'}" for name, value in held.items()),
    )


class History:
    """changes, undo."""

    def __init__(self, acts: Acts) -> None:
        self._acts, self._desk, self._visits = acts, acts.desk, acts.desk.visits

    def commands(self) -> list[Command]:
        """In the order in which help lists them."""
        return [
            Command(
                "changes", self.changes, "changes [--all]",
                "what you changed under this permission, numbered, from what to what", "changes",
                f"The newest {_SHOWN} unless --all.",
            ),
            Command(
                "undo", self.undo, "undo N [--yes]", "write back what change N of `changes` wrote over", "undo 3",
                "A removal and a reset cannot be undone: users are not added here, and nobody knows an old password.",
            ),
        ]  # fmt: skip

    async def changes(self, caller: Caller) -> None:
        """List them: looking at people, and so an operation like any other."""
        _, _, given = options(caller.words, switches=("all",))
        visit = await self._desk.visit(caller, *_WANTED)
        zone = await self._desk.zone(visit.system.customer_id)

        async def work(_: str) -> Did:
            kept: deque[Done] = deque(maxlen=None if "all" in given else _SHOWN)
            async with self._desk.store.look(visit.system.customer_id) as scope:
                async for done in self._done(scope, visit):
                    kept.append(done)
            return Did(kept, len(kept))

        found = await self._looked(visit, work)
        caller.out([done.rows(zone, visit.country) for done in found], "Nothing was changed under this permission.")
        if found and found[0].number > 1:
            caller.say(f"{found[0].number - 1} earlier ones: changes --all.")

    async def _looked(self, visit: Visit, work: Any) -> Any:
        # Under the first operation that the permission names: whoever may change people may see what they changed.
        operation = next((o for o in _WANTED if o in visit.grant.operations), Operation.VIEW)
        return (await self._visits.act(visit, operation, work, fields=("changes",))).result

    async def _done(self, scope: Scope, visit: Visit) -> AsyncIterator[Done]:
        """The engineer's changes under the visit's grant, in order. Memory does not grow with their number."""
        number, after_seq, intended = 0, 0, dict[str, Row]()
        while True:
            rows = await self._visits.audit.read(
                scope.connection, visit.system.customer_id, kinds=_OUTCOMES, from_ms=visit.grant.from_ms,
                after_seq=after_seq, limit=_PAGE,
            )  # fmt: skip
            for row in rows:
                after_seq = row.seq
                if row.body.get("subject") in visit.hidden:
                    continue
                if row.body.get("grant") != visit.grant.id or row.body.get("actor") != visit.identity.engineer_id:
                    continue
                if row.body["kind"] == "operation.intended":
                    # Only the newest matter: an outcome follows its intent closely.
                    intended[str(row.body["operation"])] = row
                    if len(intended) > _PAGE:
                        intended.pop(next(iter(intended)))
                    continue
                done = await self._one(scope, row, intended.get(str(row.body["operation"])), number + 1)
                if done is not None:
                    number += 1
                    yield done
            if len(rows) < _PAGE:
                return

    async def _one(self, scope: Scope, row: Row, intent: Row | None, number: int) -> Done | None:
        at_ms, audit = int(row.body["time"]), self._visits.audit
        if row.body["kind"] == "secret.issued":
            person = (await audit.personal(scope.connection, intent)).get("person", "") if intent else ""
            return Done(number, at_ms, f"reset {row.body['data']['secret']}", str(person), None, None)
        if "before" not in row.body.get("commit", {}):
            return None
        personal = await audit.personal(scope.connection, row)
        before, after = _sealed(personal, "before"), _sealed(personal, "after")
        what = "removed" if row.body["data"]["name"] == Operation.REMOVE else "set"
        user = before.extension if before is not None else ERASED
        return Done(number, at_ms, what, user, before, after)

    async def undo(self, caller: Caller) -> None:
        """Write the old values back, if the new ones still stand."""
        plain, _, _ = options(caller.words)
        if len(plain) != 1 or not plain[0].isascii() or not plain[0].isdecimal():
            raise UsageError("Say which: undo N", next_step="`changes` numbers them.")
        wanted = int(plain[0][:9])
        visit = await self._desk.visit(caller, Operation.ALTER)

        async def work(_: str) -> Did:
            async with self._desk.store.look(visit.system.customer_id) as scope:
                async for done in self._done(scope, visit):
                    if done.number == wanted:
                        return Did(done, 1)
            return Did(None, 0)

        found: Done | None = await self._looked(visit, work)
        if found is None:
            raise NotFoundError(
                f"There is no change {wanted} under this permission.", next_step="`changes` lists them."
            )
        before, after = _may_be_undone(found)
        change = await self._back(visit, before, after)
        # Another field may have changed since: what is shown, and written over, is the person of today.
        today = await self._today(visit, after, change)
        show_changes(caller, today, differences(today, change), visit.country)
        if not await caller.confirm(f"Undo change {wanted}?"):
            caller.say("Nothing was written.")
            return

        async def meant() -> Person:
            return today

        altered = await self._acts.alter(visit, meant, after.id, change)
        caller.out(rows_of(caller, visit, (altered.after,)))

    async def _today(self, visit: Visit, after: Person, change: Change) -> Person:
        """The person as they are now. Conflict when what a change made of them does not stand any more."""

        async def whom() -> Person:
            return await (await self._visits.connector(visit)).view(after.id)

        today = await self._acts.look(visit, Operation.ALTER, after.id, whom)
        if any(field_of(today, name) != field_of(after, name) for name in change.fields()):
            raise Conflict("it was changed since; nothing was written")
        return today

    async def _back(self, visit: Visit, before: Person, after: Person) -> Change:
        """The way back, under the same rules as `set`: an old address outside the agreed domains stays away."""
        back = set_back(before, after)
        values = {n: getattr(back, n) or "" for n in FIELDS if getattr(back, n) is not UNSET}
        checked({n: v for n, v in values.items() if n != "ddi"}, await self._desk.terms(visit.system.customer_id))
        return back


def _sealed(personal: Mapping[str, Any], name: str) -> Person | None:
    held = personal.get(name)
    return person_from(held) if isinstance(held, dict) else None


def _may_be_undone(done: Done) -> tuple[Person, Person]:
    """Before and after. StateError, saying why, for what cannot be undone."""
    if done.what == "removed":
        raise StateError(
            "A removal cannot be undone: Frameroom does not add users.",
            next_step="The customer, or whoever may add users there, can add the person again.",
        )
    if done.what.startswith("reset"):
        raise StateError(
            "A reset cannot be undone: nobody knows the old password.", next_step="Reset it again if it must change."
        )
    if done.before is None or done.after is None:
        raise StateError("It cannot be undone: what it was has been erased from the log.")
    if len(done.before.ddis or ()) > 1 and done.before.ddis != done.after.ddis:
        raise StateError("It cannot be undone here: the person had several numbers.")
    return done.before, done.after
