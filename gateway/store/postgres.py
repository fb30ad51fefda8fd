"""PostgreSQL under an event loop: what a cancelled task may not leave behind (settled.py says what).

A server that hangs is not waited for without end: a few seconds after the cancellation the connection is dropped.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg

from gateway.store.settled import settled

_PATIENCE_S: Final = 5.0
_CONNECT_S: Final = 5
# A lock is waited for as long as on SQLite; a node that stops in a transaction does not keep its locks for ever.
_OPTIONS: Final = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"


class Connection(psycopg.AsyncConnection[Any]):
    """psycopg's, never left in the middle of an answer. All it asks of the server passes through `wait`."""

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        """The answer, also to somebody who was cancelled meanwhile."""
        outside = self._in_no_pipeline()
        answer = asyncio.ensure_future(super().wait(*args, **kwargs))
        timers: list[asyncio.TimerHandle] = []

        def be_patient() -> None:
            timers.append(asyncio.get_running_loop().call_later(_PATIENCE_S, self.pgconn.finish))

        try:
            return await settled(answer, be_patient)
        except asyncio.CancelledError:
            if outside and not self._in_no_pipeline():
                # Cut off between having entered its pipeline (many rows in one statement) and the place from where it
                # leaves it again, psycopg never would: whoever got this connection next met one that answers nothing.
                # So the cancellation is put off to the wait after this one, which ends the pipeline.
                _put_off()
                return None
            raise
        finally:
            for timer in timers:
                timer.cancel()

    def _in_no_pipeline(self) -> bool:
        return self.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF


def _put_off() -> None:
    """This task's cancellation comes at what it waits for next; it stays one, for whoever counts them (timeouts)."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
        task.cancel()


async def connect(*args: Any, **kwargs: Any) -> Connection:
    """What SQLAlchemy is given as `async_creator_fn`.

    Cut off in the middle, psycopg would leave the server a client that is gone only when Python looks for garbage. So
    the connection is made to the end, which its own timeout bounds, and closed.
    """
    kwargs.setdefault("connect_timeout", _CONNECT_S)
    kwargs.setdefault("options", _OPTIONS)
    making = asyncio.ensure_future(Connection.connect(*args, **kwargs))
    try:
        made: Connection = await settled(making)
    except asyncio.CancelledError:
        if not making.cancelled() and making.exception() is None:
            await making.result().close()
        raise
    return made
