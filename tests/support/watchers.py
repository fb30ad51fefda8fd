"""Whoever looks at a recording, as a test waits for them."""

from __future__ import annotations

import asyncio
from typing import Any


class Watchers(set[Any]):
    """A recording's watchers, that tell when one comes and when one goes."""

    def __init__(self) -> None:
        super().__init__()
        self.came, self.went = asyncio.Event(), asyncio.Event()

    def add(self, watcher: Any) -> None:
        super().add(watcher)
        self.came.set()

    def discard(self, watcher: Any) -> None:
        super().discard(watcher)
        self.went.set()
