"""Moving every key to another master key while Frameroom serves (audit/rewrap.py), and looking whether all did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, Final

from audit import rewrap
from audit.events import OPERATOR_LOG, Event
from audit.masters import Named
from audit.rewrap import ChangeRefused
from audit.sealing import FileKeyStore, MasterKeyAway, SealingError
from audit.steps import Step
from config.settings import Keys
from gateway.errors import ConflictError, UnavailableError
from gateway.wiring.masters import AWAY, reaching, wanted_by
from gateway.wiring.parts import Parts

Row = dict[str, Any]
_AT_ONCE: Final = 64
Tell = Callable[[Row], Awaitable[None]]


async def move(opened: Parts, keys: Keys, actor: str, tell: Tell) -> Row:
    """Wrap every key under the master key that `[keys]` wants, a new one where it is a file; see audit/rewrap.py.

    ConflictError when that is the one already, or somebody else is changing it; UnavailableError when either cannot
    be used. What is cut short goes on where it stopped when it is asked for again.
    """
    masters, store = opened.masters, opened.keys
    try:
        masters.reach = reaching(masters.folder, keys)
        with rewrap.changing(masters):
            named = await asyncio.to_thread(rewrap.choose, store, masters, wanted_by(keys))
            await opened.steps.reached(Step.MASTER_NAMED)
            before = [one.id for one in masters.listed if one.id != named.id and one.state != "next"]
            await asyncio.to_thread(rewrap.switch, store, masters, named)
            await opened.steps.reached(Step.MASTER_SWITCHED)
            moved, damaged = await _move_all(opened, tell)
            await opened.steps.reached(Step.MASTER_MOVED)
            data = {"old": before, "new": named.id, "kind": named.kind, "keys": moved, "damaged": len(damaged)}
            async with opened.store.operator_log() as scope:
                await opened.audit.append(scope.connection, Event("keys.rewrapped", OPERATOR_LOG, actor, data=data))
            await asyncio.to_thread(masters.settled)
    except ChangeRefused as error:
        raise ConflictError(str(error), next_step=error.next_step) from error
    except (SealingError, MasterKeyAway) as error:
        raise UnavailableError(str(error), next_step=AWAY) from error
    return {
        "master key": named.id, "place": named.place, "moved": moved, "damaged": damaged,
        "old": [one.place for one in masters.listed if one.state == "old"],
    }  # fmt: skip


async def _move_all(opened: Parts, tell: Tell) -> tuple[int, list[str]]:
    """How many keys were moved, and the names of files that do not open under the key that they name."""
    moved, damaged = 0, dict[str, None]()
    while paths := [
        path for path in await asyncio.to_thread(rewrap.left, opened.keys, opened.masters) if path.name not in damaged
    ]:
        for number, path in enumerate(paths):
            try:
                moved += await asyncio.to_thread(opened.keys.rewrap, path)
            except SealingError:
                damaged[path.name] = None
            await opened.steps.reached(Step.MASTER_MOVING)
            await tell({"done": number + 1, "of": len(paths)})
    return moved, list(damaged)


async def look(store: FileKeyStore, tell: Tell, *, opening: bool) -> rewrap.Found:
    """Count what is wrapped under which master key; `opening`: try each. UnavailableError."""
    looking = rewrap.count(store, opening=opening)

    def some() -> rewrap.Found | None:
        """The count after some more of them; None when there are no more."""
        return next(reversed([*islice(looking, _AT_ONCE)]), None)

    found = rewrap.Found()
    try:
        while (more := await asyncio.to_thread(some)) is not None:
            found = more
            await tell({"done": found.under.total() + found.destroyed})
    except (SealingError, MasterKeyAway) as error:
        raise UnavailableError(str(error), next_step=AWAY) from error
    return found


async def retire(opened: Parts, actor: str) -> list[Named]:
    """Take away the old master keys; each is told. ConflictError while something is wrapped under one."""
    masters = opened.masters
    try:
        with rewrap.changing(masters), rewrap.in_use(masters.folder, alone=True):
            old = await asyncio.to_thread(rewrap.needless, opened.keys, masters)
            # The log first, as with everything that cannot be taken back.
            async with opened.store.operator_log() as scope:
                events = [Event("keys.retired", OPERATOR_LOG, actor, data={"key": n.id, "kind": n.kind}) for n in old]
                await opened.audit.append_many(scope.connection, events)
            await asyncio.to_thread(rewrap.retire, masters, old)
    except ChangeRefused as error:
        raise ConflictError(str(error), next_step=error.next_step) from error
    return old
