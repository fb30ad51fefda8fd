"""What one process of a deployment does for all of them: whoever holds the lock works, the others wait for it.

PostgreSQL lets go of a lock when its holder's connection ends, and the holder does not notice. So it works for a term
and takes the lock again: two may work at once for the rest of a term. What they do has to bear that.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final, Protocol

import structlog

from gateway.errors import FrameroomError
from gateway.store.engine import Store

log = structlog.get_logger()

_SPACE: Final = 0x46524D44  # so that these locks meet no other use of advisory locks
_WAIT_S: Final = 0.2
_TERM_S: Final = 60.0
_AGAIN_S: Final = 5.0


class Work(Protocol):
    """What is done alone."""

    def begin(self) -> None:
        """Another process may have worked since: trust nothing that was remembered."""

    async def step(self) -> float:
        """A piece of it; in how many seconds the next one wants to be done."""


async def alone(store: Store, duty: str, work: Work) -> None:
    """Do `work` step by step while no other process of the deployment does, until cancelled.

    A database that is away is waited for. `duty` names the lock.
    """
    time = asyncio.get_running_loop().time
    key = zlib.crc32(duty.encode()) - (1 << 31)
    fresh = True
    while True:
        pause = 0.0
        try:
            async with store.exclusive(_SPACE, key, _WAIT_S):
                if fresh:
                    work.begin()
                    fresh = False
                end = time() + _TERM_S
                while time() < end:
                    await asyncio.sleep(pause)
                    pause = await work.step()
        except TimeoutError:
            pause, fresh = _AGAIN_S, True  # another process does it
        except FrameroomError as error:
            pause, fresh = _AGAIN_S, True
            log.warning("a duty waits for the database", duty=duty, why=error.message)
        except Exception as error:
            # Whatever one duty stumbles over, visits go on.
            pause, fresh = _AGAIN_S, True
            log.error("a duty stumbled and begins again", duty=duty, exc_info=error)
        await asyncio.sleep(pause)
