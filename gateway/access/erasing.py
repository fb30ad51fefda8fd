"""Erasing a person: what was sealed of them goes, key and ciphertext, and every proof stays whole.

Two people: one proposes and sees the plan, another confirms. Then, in this order, so that a crash at any point is
gone on from by `settle`: 1 one transaction says `erased` in the log, empties the ciphertexts and the person's rows,
2 the keys are destroyed, 3 when no backup of the keys is young enough to hold one of them, it is done; until then it
is pending, and says until when. A legal hold stops it; the statutory floor for access logs puts an engineer's off.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select, update

from audit.events import OPERATOR_LOG
from audit.log import AuditLog, parse_entry
from audit.sealing import KeyMissing
from audit.tables import entries, payloads
from gateway.access.blanking import blank_rows, rows_of
from gateway.access.kept import begun, due_ms, held_elsewhere, holds_over
from gateway.access.proposals import ERASE, Proposals
from gateway.access.subjects import Subject, Subjects
from gateway.choices import FLOOR_MONTHS
from gateway.errors import ConflictError, StateError
from gateway.lifecycle import ProposalState
from gateway.model import DAY
from gateway.store.duties import proposals
from gateway.store.engine import Store

KEY_BACKUPS_MS: Final = 30 * DAY
"""How long a backup of the keys may be kept (docs/operating.md): what erasing waits for."""
_KEYS_A_PART: Final = 400


@dataclass(frozen=True, slots=True)
class Plan:
    """What erasing somebody means: which keys and how many entries are blanked, which rows go, and what stays and
    why. `holds` stop it; before `due_ms` (Unix ms) the law wants it kept; `pending_ms` is when it can be complete."""

    subject: Subject
    keys: tuple[str, ...]
    events: int
    rows: dict[str, int]
    recordings: int
    holds: tuple[str, ...]
    due_ms: int | None
    pending_ms: int | None

    @property
    def stays(self) -> list[str]:
        """In plain words."""
        told = [
            f"{self.events} entries of the log as hashes and opaque ids: they are the proof, and name nobody",
            "free text that people wrote (reasons, tickets, notes, what was done on visits that are not recorded): "
            "it is kept under its own period and is not read",
        ]
        if self.recordings:
            told.append(
                f"{self.recordings} recordings that show them, whole until their own period ends; from then on a look "
                "at one takes a legal purpose and two people"
            )
        if self.subject.kind == "engineer":
            told.append(
                "the addresses they connected from, in the records of their visits, under those records' period"
            )
        if self.subject.kind == "staff":
            told.append("their name where it was typed: with a yes by telephone that they took, say")
        if self.subject.kind == "user":
            told.append("their account at the phone system itself: that is the customer's")
        return told


class Erasing:
    """Plans, proposes, carries out, and goes on after a crash."""

    def __init__(
        self, store: Store, audit: AuditLog, subjects: Subjects, two: Proposals,
        being_backed_up: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`being_backed_up`: whether a backup is being written now, which may have the keys already."""
        self._store, self._audit, self._subjects, self._two = store, audit, subjects, two
        self._being_backed_up = being_backed_up

    async def plan(self, subject: Subject) -> Plan:
        """What erasing would do now. Changes nothing."""
        async with self._store.look(subject.log) as scope:
            keys = await self._subjects.keys(scope, subject)
            mine = (payloads.c.log_id == subject.log) & payloads.c.key_id.in_(keys)
            events = (await scope.execute(select(func.count(payloads.c.event_id.distinct())).where(mine))).scalar_one()
            shown = select(func.count(entries.c.session_id.distinct())).where(
                entries.c.log_id == subject.log, entries.c.subject == subject.id, entries.c.session_id.is_not(None)
            )
            recordings = (await scope.execute(shown)).scalar_one()
            rows = {name: n for name, n in (await rows_of(scope, subject)).items() if n}
            holds = await holds_over(scope, subject, keys)
        holds += await held_elsewhere(self._store, subject)
        due = await due_ms(self._store, subject, self._audit.clock.now())
        return Plan(
            subject, tuple(sorted(keys)), events, rows, recordings, tuple(holds), due, await self._key_backups_until()
        )

    async def _key_backups_until(self) -> int | None:
        """When the youngest backup that has the keys must be gone; None when there is none that young."""
        here = (entries.c.log_id == OPERATOR_LOG) & (entries.c.kind == "backup.made")
        now = self._audit.clock.now()
        async with self._store.look(OPERATOR_LOG) as scope:
            query = select(entries.c.entry, entries.c.time_ms).where(here, entries.c.time_ms > now - KEY_BACKUPS_MS)
            rows = (await scope.execute(query)).all()
        times = [r.time_ms for r in rows if "keyring" in parse_entry(r.entry).get("data", {}).get("parts", ())]
        if await asyncio.to_thread(self._being_backed_up):
            times.append(now)
        return max(times) + KEY_BACKUPS_MS if times else None

    async def propose(self, actor: str, subject: Subject, basis: str) -> str:
        """The first person's half; the proposal's id. ConflictError when it is proposed or was done already, StateError
        while something waits that they began."""
        _nothing_begun(await begun(self._store, subject))
        async with self._store.scope(subject.log) as scope:
            query = select(proposals.c.id, proposals.c.state).where(
                proposals.c.log_id == subject.log, proposals.c.what == ERASE, proposals.c.target == subject.id,
                proposals.c.state.in_((ProposalState.PROPOSED, ProposalState.PENDING)),
            )  # fmt: skip
            if (open_one := (await scope.execute(query)).first()) is not None:
                raise ConflictError(f"erasing them is {open_one.state} already: {open_one.id}")
            return await self._two.make(scope, actor, ERASE, subject.id, basis, {"kind": subject.kind})

    async def confirm(self, actor: str, proposal: str) -> Any:
        """The second person's half: carry it out as far as it can be now. The proposal's row afterwards.

        NotPermittedError for the one who proposed it; StateError when a legal hold stops it, or it was decided.
        """
        found = await self._two.find(proposal)
        subject = await self._subject(found)
        _nothing_begun(await begun(self._store, subject))
        due = await due_ms(self._store, subject, self._audit.clock.now())
        elsewhere = await held_elsewhere(self._store, subject)
        async with self._store.scope(found.log_id) as scope:
            row = await self._two.second(scope, found.id, actor, ERASE)
            keys = await self._subjects.keys(scope, subject)
            _not_held(elsewhere + await holds_over(scope, subject, keys))
            now = self._audit.clock.now()
            await self._two.move(scope, row, ProposalState.PENDING, decided_by=actor, decided_ms=now, due_ms=due)
            if due is not None:
                data = {
                    "proposal": row.id, "basis": row.basis, "until_ms": due, "proposed_by": row.proposed_by,
                    "approved_by": actor, "why": f"access logs are kept {FLOOR_MONTHS} months",
                }  # fmt: skip
                await self._two.log(scope, "erasure.scheduled", actor, subject=subject.id, data=data)
        await self._go_on(await self._two.find(found.id))
        return await self._two.find(found.id)

    async def settle(self) -> int:
        """Go on with whatever is pending; how many became done. Called at start and every minute."""
        before = await self._two.those(ERASE, states=(ProposalState.PENDING,))
        for row in before:
            await self._go_on(row)
        return len(before) - len(await self._two.those(ERASE, states=(ProposalState.PENDING,)))

    async def destroy_again(self) -> int:
        """After keys came back from a backup: destroy those that the log says were erased. How many there were."""
        again = 0
        async with self._store.look_at_everyone() as scope:
            said = select(entries.c.log_id, entries.c.entry, entries.c.time_ms).where(entries.c.kind == "erased")
            rows = (await scope.execute(said)).all()
        for row in rows:
            for key in parse_entry(row.entry).get("data", {}).get("keys", ()):
                if await asyncio.to_thread(self._audit.keys.has, row.log_id, key):
                    await asyncio.to_thread(self._audit.keys.destroy, row.log_id, key, row.time_ms)
                    again += 1
        return again

    async def _subject(self, row: Any) -> Subject:
        customer = None if row.log_id == OPERATOR_LOG else row.log_id
        return await self._subjects.find(row.target, customer)

    async def _go_on(self, row: Any) -> None:
        now = self._audit.clock.now()
        plan = json.loads(row.plan)
        if "keys" not in plan:
            if row.due_ms is not None and row.due_ms > now:
                return
            if await self._put_off(row):
                return
            plan = await self._blank(row)
            if plan is None:
                return
        for key in plan["keys"]:
            try:
                await asyncio.to_thread(self._audit.keys.destroy, row.log_id, key, plan["at_ms"])
            except KeyMissing:
                continue  # restored without it: it is gone, which is all that is wanted of it
        if plan["pending_ms"] is None and await asyncio.to_thread(self._being_backed_up):
            plan["pending_ms"] = now + KEY_BACKUPS_MS  # one that began in between
            async with self._store.scope(row.log_id) as scope:
                values = {"plan": json.dumps(plan), "due_ms": plan["pending_ms"]}
                await scope.execute(update(proposals).where(_this(row)).values(values))
        if plan["pending_ms"] is not None and plan["pending_ms"] > now:
            return
        async with self._store.scope(row.log_id) as scope:
            fresh = (await scope.execute(select(proposals).where(_this(row)).with_for_update())).one()
            if fresh.state == ProposalState.PENDING:
                await self._two.move(scope, fresh, ProposalState.DONE, done_ms=now)
                await self._two.log(
                    scope, "erasure.done", "frameroom", subject=row.target, data={"proposal": row.id}
                )  # fmt: skip

    async def _put_off(self, row: Any) -> bool:
        """Whether the law wants it kept for longer by now: they had access again after it was decided."""
        due = await due_ms(self._store, await self._subject(row), self._audit.clock.now())
        if due is not None:
            async with self._store.scope(row.log_id) as scope:
                await scope.execute(update(proposals).where(_this(row)).values(due_ms=due))
        return due is not None

    async def _blank(self, row: Any) -> Any:
        """Step 1, in one transaction; what step 2 destroys. None when a hold came meanwhile."""
        subject = await self._subject(row)
        pending = await self._key_backups_until()
        if await held_elsewhere(self._store, subject) or await begun(self._store, subject):
            return None
        async with self._store.scope(row.log_id) as scope:
            fresh = (await scope.execute(select(proposals).where(_this(row)).with_for_update())).one()
            if "keys" in (known := json.loads(fresh.plan)):
                return known
            keys = sorted(await self._subjects.keys(scope, subject))
            if await holds_over(scope, subject, keys):
                return None
            mine = (payloads.c.log_id == row.log_id) & payloads.c.key_id.in_(keys)
            count = (await scope.execute(update(payloads).where(mine).values(sealed=b""))).rowcount
            await blank_rows(scope, subject, self._audit.clock.now())
            parts = [keys[at : at + _KEYS_A_PART] for at in range(0, len(keys), _KEYS_A_PART)] or [[]]
            for number, part in enumerate(parts, 1):
                data = {
                    "proposal": row.id, "basis": row.basis, "keys": part, "events": count, "holds": "none in force",
                    "proposed_by": row.proposed_by, "approved_by": row.decided_by, "part": f"{number} of {len(parts)}",
                } | ({} if pending is None else {"pending_until_ms": pending})  # fmt: skip
                await self._two.log(scope, "erased", row.decided_by, subject=subject.id, data=data)
            at_ms = self._audit.clock.now()
            done = {"kind": subject.kind, "keys": keys, "events": count, "at_ms": at_ms, "pending_ms": pending}
            await scope.execute(
                update(proposals).where(_this(row)).values(plan=json.dumps(done), due_ms=pending)
            )  # fmt: skip
        return done


def _this(row: Any) -> Any:
    return (proposals.c.log_id == row.log_id) & (proposals.c.id == row.id)


def _nothing_begun(waiting: list[str]) -> None:
    if waiting:
        raise StateError(
            f"something that they are part of is not over: {', '.join(waiting)}. Nothing was erased.",
            next_step="Have it confirmed or withdrawn first: `frameroom hold`, `erasure` and `recovery list` show it.",
        )


def _not_held(holds: list[str]) -> None:
    if holds:
        raise StateError(
            f"a legal hold keeps it: {', '.join(holds)}. Nothing was erased.",
            next_step="`frameroom hold list` says why; two people can release it.",
        )
