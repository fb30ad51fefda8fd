"""`frameroom session …` and `recording …`: visits, live and as they were. Every look is logged before it is shown."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import select

from audit.log import AuditLog, Erased
from audit.recording.frames import RecordingError
from audit.recording.live import LiveView
from audit.recording.player import Player
from audit.sealing import KeyDestroyed, KeyMissing, SealingError
from gateway import notify
from gateway.access.looking import erased_in
from gateway.access.proposals import LOOK
from gateway.errors import InvalidError, NotFoundError, NotPermittedError, UnavailableError
from gateway.lifecycle import ProposalState
from gateway.numbers import as_read
from gateway.store.duties import proposals
from gateway.store.engine import Scope
from gateway.store.tables import grants, operations, requests, sessions
from gateway.wiring.admin.base import LIMIT, Base, Row, Stream, only_state, when, with_names

_PIECES: Final = 500
_FIELDS: Final = ("name", "email", "ddis")


class VisitCommands(Base):
    """Visits and their recordings."""

    async def _visits(self, state: str | None, since_ms: int | None, limit: int, *narrow: str | None) -> list[Any]:
        query = await self._narrowed(with_names(sessions).where(*only_state(sessions, state)), sessions, *narrow)
        if since_ms is not None:
            query = query.where(sessions.c.opened_ms >= since_ms)
        async with self._parts.store.look_at_everyone() as scope:
            return list((await scope.execute(query.order_by(sessions.c.opened_ms.desc()).limit(limit))).all())

    async def _ended(self, scope: Scope, session: str) -> str:
        """Why a visit ended: as it was typed, where somebody ended it."""
        kinds = ("session.closed", "session.failed")
        audit = self._parts.audit
        for row in await audit.read(scope.connection, scope.customer_id, session=session, kinds=kinds):
            typed = (await audit.personal(scope.connection, row)).get("reason")
            return str(typed or row.body["data"]["reason"])
        return ""

    async def do_session_list(
        self, actor: str, customer: str | None = None, system: str | None = None, engineer: str | None = None,
        state: str | None = None, since_ms: int | None = None, limit: int = LIMIT,
    ) -> list[Row]:  # fmt: skip
        """Newest first."""
        rows = await self._visits(state, since_ms, limit, customer, system, engineer)
        return [
            {
                "id": r.id, "customer": r.customer, "engineer": r.engineer, "system": r.system,
                "opened": when(r.opened_ms), "closed": when(r.closed_ms), "state": r.state, "segments": r.segments,
            }
            for r in rows
        ]  # fmt: skip

    async def do_session_show(self, actor: str, session: str, why: str) -> Row:
        """One: who, where, by whose permission, and each operation with its outcome, in plain words."""
        visit = await self._row(sessions, session, "visit", "session list")
        await self._looked(visit, actor, "looked.session", why, data={"how": "show"})
        async with self._parts.store.look_at_everyone() as scope:
            row = (await scope.execute(with_names(sessions).where(sessions.c.id == visit.id))).one()
            grant = (await scope.execute(select(grants).where(grants.c.id == visit.grant_id))).one()
            asked = (await scope.execute(select(requests).where(requests.c.id == grant.request_id))).one()
        async with self._parts.store.look(visit.customer_id) as scope:
            done = await _operations(scope, self._parts.audit, visit)
            ended = await self._ended(scope, visit.id)
        return {
            "id": row.id, "customer": row.customer, "system": row.system, "engineer": row.engineer, "login": row.login,
            "opened": when(row.opened_ms), "closed": when(row.closed_ms), "state": row.state,
            "ended because": ended, "permission": grant.id,
            "how": grant.how, "ticket": asked.ticket, "reason": asked.reason, "segments": row.segments,
            "node": row.node, "operations": done,
        }  # fmt: skip

    def _live(self, visit: Any) -> Any:
        """The visit as this process serves it. NotFoundError says where it is instead."""
        for live in self._app.visits.all() if self._app is not None else ():
            if live.id == visit.id:
                return live
        if visit.state != "open":
            raise NotFoundError("that visit is over", next_step="`frameroom recording play` shows what it was.")
        if self._app is None:
            raise NotFoundError(
                "no Frameroom serves this visit: it was left open by a crash",
                next_step="The next `frameroom serve` closes it as failed.",
            )
        raise NotFoundError(
            f"another node serves that visit ({visit.node})",
            next_step="Do it there; `frameroom grant revoke` ends a visit wherever it is.",
        )

    async def do_session_kill(self, actor: str, session: str, reason: str) -> Row:
        """End one now."""
        visit = await self._row(sessions, session, "visit", "session list")
        live = self._live(visit)
        if self._app is not None:
            self._app.visits.end(live, "by staff", typed=reason)
        return {"session": visit.id, "state": "ended"}

    async def do_session_watch(self, actor: str, session: str, why: str, stream: Stream) -> Row:
        """Show a live terminal until the visit ends: read-only, sanitised; a watcher too slow for it is dropped."""
        visit = await self._row(sessions, session, "visit", "session list")
        live = self._live(visit)
        await self._looked(visit, actor, "looked.session", why, data={"how": "watch"})
        view = LiveView(live.recording, live.over)
        if not await view.show(stream):
            raise UnavailableError(
                "you were too slow to follow; the visit goes on", next_step="Watch again, or play the recording later."
            )
        return {"session": visit.id, "ended": live.ended or ""}

    # --- recordings ---

    async def do_recording_list(
        self, actor: str, customer: str | None = None, system: str | None = None, engineer: str | None = None,
        since_ms: int | None = None, limit: int = LIMIT,
    ) -> list[Row]:  # fmt: skip
        """Newest first."""
        rows = await self._visits(None, since_ms, limit, customer, system, engineer)
        return [
            {
                "session": r.id, "customer": r.customer, "system": r.system, "engineer": r.engineer,
                "opened": when(r.opened_ms),
                "seconds": None if r.closed_ms is None else (r.closed_ms - r.opened_ms) // 1000,
                "recording": "being made" if r.closed_ms is None else f"{r.segments} segment{'s' * (r.segments != 1)}",
            }
            for r in rows
        ]  # fmt: skip

    async def _looked(self, visit: Any, actor: str, kind: str, why: str, **rest: Any) -> None:
        if not why.strip():
            raise InvalidError("say why you look: it stands in the customer's log", next_step='Add --why "…".')
        async with self._parts.store.scope(visit.customer_id) as scope:
            await self._look(scope, kind, actor, why, session=visit.id, **rest)

    async def _player(self, actor: str, session: str, why: str) -> Player:
        visit = await self._row(sessions, session, "visit", "session list")
        await self._may_look(visit, actor)
        await self._looked(visit, actor, "looked.recording", why)
        return await asyncio.to_thread(Player, self._parts.objects, self._parts.keys, visit.customer_id, visit.id)

    async def _may_look(self, visit: Any, actor: str) -> None:
        """NotPermittedError for a recording that shows somebody who was erased, unless two people named a purpose."""
        mine = proposals.c.log_id == visit.customer_id
        permitted = select(proposals.c.id).where(
            mine, proposals.c.what == LOOK, proposals.c.target == visit.id, proposals.c.state == ProposalState.ACTIVE,
            proposals.c.proposed_by == actor, proposals.c.due_ms > self._parts.audit.clock.now(),
        )  # fmt: skip
        async with self._parts.store.look(visit.customer_id) as scope:
            if (await scope.execute(erased_in(visit.customer_id, visit.id).limit(1))).first() is None:
                return
            if (await scope.execute(permitted.limit(1))).first() is None:
                raise NotPermittedError(
                    "It shows somebody who was erased: a look takes a legal purpose and two people.",
                    next_step=f"`frameroom recording propose {visit.id} --purpose …`, and another person permits it.",
                )

    async def do_recording_play(
        self, actor: str, session: str, why: str, find: str | None = None, from_us: int = 0, *, stream: Stream
    ) -> None:
        """What the terminal showed from an offset on, or the lines that hold some words."""
        player = await self._player(actor, session, why)
        pieces = player.search(find, from_us) if find else player.text(from_us)
        told = ({"at": offset / 1_000_000, "text": text} for offset, text in pieces)
        await _in_pieces(told, stream)

    async def do_recording_search(
        self, actor: str, words: str, why: str, customer: str | None = None, system: str | None = None,
        engineer: str | None = None, since_ms: int | None = None, limit: int = LIMIT, *, stream: Stream,
    ) -> Row:  # fmt: skip
        """Lines of recordings that hold some words, newest visit first, each look logged before it is had. What may
        not be looked at, or is no more, is passed over and counted."""
        if not words.strip():
            raise InvalidError("say what to look for", next_step="`frameroom recording search --help` has an example.")
        if not why.strip():
            raise InvalidError("say why you look: it stands in the customer's log", next_step='Add --why "…".')
        rows = await self._visits(None, since_ms, limit, customer, system, engineer)
        told = {"visits": 0, "of": len(rows), "found": 0, "not permitted": 0, "gone": 0, "damaged": 0}
        for row in rows:
            told["visits"] += 1
            try:
                await self._may_look(row, actor)
                player = Player(self._parts.objects, self._parts.keys, row.customer_id, row.id)
                await self._looked(row, actor, "looked.recording", why)
                visit = {"session": row.id, "customer": row.customer, "system": row.system, "engineer": row.engineer,
                         "opened": when(row.opened_ms)}  # fmt: skip
                found = player.search(words)
                told["found"] += await _in_pieces(
                    (visit | {"at": offset / 1_000_000, "text": text} for offset, text in found), stream
                )
            except NotPermittedError:
                told["not permitted"] += 1
            except (KeyDestroyed, KeyMissing):
                told["gone"] += 1
            except (SealingError, RecordingError):
                told["damaged"] += 1
            await stream.progress(told)
        return told

    async def do_recording_export(self, actor: str, session: str, why: str, *, stream: Stream) -> None:
        """asciicast v2, line by line."""
        player = await self._player(actor, session, why)
        await _in_pieces(({"line": line} for line in player.asciicast(session)), stream)


async def _in_pieces(told: Iterator[Row], stream: Stream) -> int:
    # Read and opened in a thread, a piece at a time: visits go on meanwhile, and memory stays flat.
    count = 0
    while rows := await asyncio.to_thread(lambda: list(itertools.islice(told, _PIECES))):
        await stream.rows(rows)
        count += len(rows)
    return count


async def _operations(scope: Scope, audit: AuditLog, visit: Any) -> list[Row]:
    """Each operation of a visit: when, what, how it went, and of whom, as far as the log still knows."""
    here = (operations.c.customer_id == visit.customer_id) & (operations.c.session_id == visit.id)
    rows = (await scope.execute(select(operations).where(here).order_by(operations.c.intended_ms))).all()
    about: dict[str, list[str]] = {row.id: [] for row in rows}
    after, country = 0, await notify.country_of(scope)
    while found := await audit.read(scope.connection, visit.customer_id, session=visit.id, after_seq=after):
        after = found[-1].seq
        for entry in found:
            told = about.get(str(entry.body.get("operation")))
            if told is not None and str(entry.body.get("kind", "")).startswith("operation."):
                told += await _told_of(scope, audit, entry, country)
    return [
        {
            "at": when(row.intended_ms), "operation": notify.WORDS.get(row.name, row.name), "outcome": row.state,
            "about": "; ".join(about[row.id]),
        }
        for row in rows
    ]  # fmt: skip


async def _told_of(scope: Scope, audit: AuditLog, entry: Any, country: str) -> list[str]:
    try:
        fields = await audit.personal(scope.connection, entry)
    except SealingError:
        return ["what the log sealed of it does not hold; `frameroom audit verify` says where"]
    told = [str(fields[name]) for name in ("person", "line") if name in fields]
    before, after = fields.get("before"), fields.get("after")
    if gone := [value for value in (before, after) if isinstance(value, Erased)]:
        return [*told, gone[0]]
    if isinstance(before, dict):
        told.append(_from_to(before, after if isinstance(after, dict) else None, country))
    if code := entry.body.get("data", {}).get("code"):
        told.append(f"because: {code}")
    return told


def _read(value: Any, country: str) -> str:
    """A field as people read it: direct numbers as the customer writes them."""
    return (", ".join(as_read(str(one), country) for one in value) if isinstance(value, list) else value) or "nothing"


def _from_to(before: Row, after: Row | None, country: str) -> str:
    name = f"{before.get('name')} (extension {before.get('extension')})"
    if after is None:
        return name
    changes = [
        f"{field} from {_read(before.get(field), country)} to {_read(after.get(field), country)}"
        for field in _FIELDS
        if before.get(field) != after.get(field)
    ]
    return f"{name}: {', '.join(changes)}"
