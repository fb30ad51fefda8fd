"""A wait that ends with what it waits for: a statement handed to a database runs on whoever stopped listening to it.

If a cancelled task let go at once, its connection would be left in the middle of an answer, its locks held by nobody,
and the error of cleaning up could take the cancellation's place, so that a loop went on which had been told to stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def settled(future: asyncio.Future[Any], on_cancel: Callable[[], None] | None = None) -> Any:
    """The future's result; a cancellation waits until there is one, and is raised then.

    `on_cancel` is called at the first cancellation: it may see to it that the future is not waited for without end.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            if future.cancelled():
                raise
            if cancelled is None and on_cancel is not None:
                on_cancel()
            cancelled = error
        except Exception:
            break
    if cancelled is not None:
        future.exception()
        raise cancelled
    return future.result()
