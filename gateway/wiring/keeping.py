"""Going on after a database was set back: what it holds of permission is doubtful, and what it lost is said."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import select, update

from audit.events import OPERATOR_LOG, Event
from audit.log import parse_entry
from audit.restored import KIND, span
from audit.tables import entries, logs
from config.settings import Settings
from gateway import notify
from gateway.errors import StateError
from gateway.lifecycle import GrantState, LinkState
from gateway.store.tables import grants, links, operations
from gateway.wiring.duties import erasing_of
from gateway.wiring.parts import Parts, parts
from gateway.wiring.restore import MARK
from gateway.wiring.signing import hand_over

Row = dict[str, Any]

_UNKNOWN = "the database was restored from a backup, and what was decided since is not known"


async def end_what_is_doubtful(opened: Parts, actor: str) -> int:
    """End every permission and one-time link that a restored database holds: some were ended or used meanwhile, and
    nobody knows which. How many permissions that were."""
    async with opened.store.look_at_everyone() as scope:
        open_ones = select(grants.c.customer_id, grants.c.id).where(grants.c.state == GrantState.OPEN)
        doubtful = (await scope.execute(open_ones)).all()
        unused = links.c.state.in_((LinkState.PREPARED, LinkState.READY))
        left = (
            await scope.execute(
                select(links, operations.c.session_id)
                .join(
                    operations,
                    (operations.c.customer_id == links.c.customer_id) & (operations.c.id == links.c.operation_id),
                )
                .where(unused)
            )
        ).all()
    for grant in doubtful:
        await opened.permission.revoke(actor, grant.customer_id, grant.id, _UNKNOWN, "after a restore")
    for link in left:
        here = (links.c.customer_id == link.customer_id) & (links.c.id == link.id)
        async with opened.store.scope(link.customer_id) as scope:
            await scope.execute(update(links).where(here, unused).values(state=LinkState.VOID, sealed=None))
            event = Event(
                "secret.expired", link.customer_id, actor, system=link.system_id, session=link.session_id,
                operation=link.operation_id, subject=link.subject, data={"link": link.id},
            )  # fmt: skip
            await opened.audit.append(scope.connection, event)
    return len(doubtful)


async def settle_restored(opened: Parts) -> int | None:
    """At the first start after `frameroom restore`: see `end_what_is_doubtful`; None when this is no such start.

    The mark goes last: cut short, it is done again, and what is ended already stays so.
    """
    mark = opened.settings.storage.data_dir / MARK
    if not mark.exists():
        return None
    ended = await end_what_is_doubtful(opened, "restart")
    # A backup of the keys may have brought back what was erased since it was made.
    await erasing_of(opened).destroy_again()
    async with opened.store.operator_log() as scope:
        size = (await scope.execute(select(logs.c.size).where(logs.c.log_id == OPERATOR_LOG))).scalar() or 0
        await opened.audit.append(scope.connection, Event(KIND, OPERATOR_LOG, "restart", data={"size": size}))
    mark.unlink()
    return ended


async def tell_handover(opened: Parts) -> int:
    """Step 4 of a change of the log's signing key: every log says so, and every approver is told; in how many logs it
    had to be said. Again whenever it was cut short."""
    signed = opened.signing
    if len(signed.trusted) < 2:
        return 0
    new, old = signed.trusted[:2]
    async with opened.store.look_at_everyone() as scope:
        known = set((await scope.execute(select(logs.c.log_id))).scalars())
        said = select(entries.c.log_id, entries.c.entry).where(entries.c.kind == "log.key_changed")
        for row in await scope.execute(said):
            if parse_entry(row.entry).get("data", {}).get("vkey") == new:
                known.discard(row.log_id)
    for log in sorted(known):
        async with opened.store.scope(log) as scope:
            event = Event("log.key_changed", log, "restart", data={"old": old, "vkey": new})
            await opened.audit.append(scope.connection, event)
            if log != OPERATOR_LOG:
                await notify.key_changed(scope, signed.handovers[-1], new, opened.audit.clock.now())
    return len(known)


async def rotate_key(settings: Settings) -> Row:
    """Hand the log's signing key over to a new one. UnavailableError while a process serves (SQLite), or when a
    handover cannot be made."""
    data = settings.storage.data_dir
    async with parts(settings) as opened:
        old, objects = opened.signer.vkey, opened.objects
        await asyncio.to_thread(hand_over, data / "keys", settings.deployment.name, objects)
    async with parts(settings) as opened:
        told = await tell_handover(opened)
        await opened.sequence()
        return {"old": old, "vkey": opened.signer.vkey, "logs": told}


async def accept_loss(settings: Settings, login: str, really: bool) -> list[Row]:
    """Say, log by log, which entries the object store knows and this database does not; `really`: go on without them.

    Permissions and links are ended as after a restore. StateError when nothing is lost; LogBehind when the object
    store contradicts the database, which no loss explains.
    """
    async with parts(settings, behind=True) as opened:
        losses = await opened.catch_up()
        if not losses:
            raise StateError("nothing is lost: this database has every entry that the object store knows of")
        if really:
            actor = await opened.staff.known(login)
            await opened.accept(losses, actor)
            for loss in losses:
                if loss.log != OPERATOR_LOG:
                    async with opened.store.scope(loss.log) as scope:
                        now = opened.audit.clock.now()
                        await notify.log_lost(scope, loss.lost, loss.size, now)
            await end_what_is_doubtful(opened, actor)
            await opened.sequence()
    return [
        {
            "log": loss.log, "entries": span(loss.size, loss.held.size), "lost": loss.lost,
            "after_ms": loss.last_ms, "accepted": really,
        }
        for loss in losses
    ]  # fmt: skip
