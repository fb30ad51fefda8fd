"""The right to write on a phone system, between processes: one at a time, and free again when its holder is done."""

from __future__ import annotations

import pytest

from gateway.store.engine import Store


async def test_one_holder_at_a_time_and_free_afterwards(store: Store) -> None:
    if store.is_sqlite:
        async with store.exclusive(1, 2, 1):
            assert store.is_sqlite  # one process holds the file: nothing to wait for
        return
    second = Store(store.url)
    async with store.exclusive(1, 2, 1):
        with pytest.raises(TimeoutError):
            async with second.exclusive(1, 2, 0.05):
                pytest.fail("two held it at once")
        async with second.exclusive(1, 3, 1):
            assert not second.is_sqlite  # another phone system's is its own
    async with second.exclusive(1, 2, 1):
        await store.close()
    await second.close()
