"""What one process of a deployment does for all of them: whoever holds the lock works, the others wait for it.

PostgreSQL lets go of a lock when its holder's connection ends, and the holder does not notice. So it works for a term
and takes the lock again: two may work at once for the rest of a term. What they do has to bear that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final

import structlog

from gateway.errors import FrameroomError
from gateway.store.engine import Store

log = structlog.get_logger()

_SPACE: Final = 0x46524D44
_WAIT_S: Final = 0.2
_TERM_S: Final = 60.0
_AGAIN_S: Final = 5.0


class Duty(IntEnum):
    """What there is to do, once in a deployment."""

    LOGINS = 1
    STREAMS = 2


async def alone(store: Store, duty: Duty, step: Callable[[], Awaitable[float]]) -> None:
    """Do `step` again and again, each time after the seconds that it asked for, while nobody else does; until
    cancelled. A database that is away is waited for."""
    loop = asyncio.get_running_loop()
    while True:
        pause = _AGAIN_S
        try:
            async with store.exclusive(_SPACE, duty, _WAIT_S):
                end = loop.time() + _TERM_S
                while loop.time() < end:
                    pause = await step()
                    if loop.time() + pause >= end:
                        break
                    await asyncio.sleep(pause)
        except TimeoutError:
            pause = _AGAIN_S  # another process does it
        except FrameroomError as error:
            log.warning("a duty waits for the database", duty=duty.name.lower(), why=error.message)
        await asyncio.sleep(pause)
