"""Looking at all customers again and again without ever waiting behind others.

A pool's connections may all be out, and a new one takes PostgreSQL tenths of a second on a busy machine. Whoever ends
visits unless they are confirmed within a second has a connection of its own there, on which each look is one statement
and one round trip. SQLite needs none: its connections wait for nobody who reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.engine import EVERYONE, Store, unavailable

_EVERYONE = text("select set_config('frameroom.customer', :all, false)")


class Standing:
    """One at a time; `close` lets go of the connection."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: AsyncConnection | None = None

    async def look(self, query: Select[Any], given: Mapping[str, Any]) -> list[Any]:
        """The rows that the query finds now, over all customers. UnavailableError; the next look connects anew."""
        if self._store.is_sqlite:
            async with self._store.look_at_everyone() as scope:
                return list((await scope.execute(query, dict(given))).all())
        try:
            if self._connection is None:
                self._connection = await self._store.connect_alone()
                await self._connection.execute(_EVERYONE, {"all": EVERYONE})
            return list((await self._connection.execute(query, dict(given))).all())
        except SQLAlchemyError as error:
            self._store.errors += 1
            await self.close()
            raise unavailable(error) from error
        except BaseException:
            await self.close()  # in the middle of an answer
            raise

    async def close(self) -> None:
        """Without a word to the server, which may be what does not answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()
