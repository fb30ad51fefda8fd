"""One writer at a time per phone system: across the visits of this process, and across nodes (pbx rule 7).

Many phone systems have no locking of their own, or one session at a time. Whoever comes second waits a little, and is
told when it takes too long. Between nodes PostgreSQL keeps the lock; it lets go by itself when its holder dies.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from connectors.contract import Operation
from gateway.errors import ConflictError
from gateway.model import PhoneSystem
from gateway.store.engine import Store

WRITES: Final = frozenset(
    {
        Operation.ALTER, Operation.REMOVE, Operation.RESET_VOICEMAIL, Operation.RESET_SIP, Operation.RESET_PORTAL,
        Operation.CONSOLE_ACT,
    }
)  # fmt: skip
_SPACE: Final = 0x46524D57  # so that these locks meet no other use of advisory locks (the sequencer's)


def _key(system: PhoneSystem) -> int:
    """A signed 32-bit number for one phone system; two that share one wait for each other, no worse."""
    digest = hashlib.sha256(f"{system.customer_id}\0{system.id}".encode()).digest()
    return int.from_bytes(digest[:4], "big", signed=True)


class Writers:
    """Hands out the right to write."""

    def __init__(self, store: Store, wait_s: float = 30) -> None:
        self._store, self._wait_s = store, wait_s
        self._here: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def alone(self, system: PhoneSystem, operation: Operation) -> AsyncIterator[None]:
        """Hold the phone system for an operation that writes; one that only looks passes.

        ConflictError when another writer holds it for longer than `wait_s` seconds; nothing was done.
        """
        if operation not in WRITES:
            yield
            return
        place = (system.customer_id, system.id)
        lock, waiting = self._here.get(place, (asyncio.Lock(), 0))
        self._here[place] = (lock, waiting + 1)
        try:
            async with AsyncExitStack() as held:
                await self._take(held, lock, system)
                yield
        finally:
            lock, waiting = self._here.pop(place)
            if waiting > 1:
                self._here[place] = (lock, waiting - 1)

    def waited_for(self, system: PhoneSystem) -> bool:
        """True when somebody of this process waits for whoever holds the phone system."""
        return self._here.get((system.customer_id, system.id), (None, 0))[1] > 1

    async def _take(self, held: AsyncExitStack, lock: asyncio.Lock, system: PhoneSystem) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await held.enter_async_context(lock)
            await held.enter_async_context(self._store.exclusive(_SPACE, _key(system), self._wait_s))
        except TimeoutError as error:
            raise ConflictError(
                "another change on this phone system is still going on; nothing was done",
                next_step="Wait for it to end, then look again and repeat yours if it is still wanted.",
            ) from error
