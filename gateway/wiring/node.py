"""Which process this is, among those that serve one deployment, and which of them have died.

Each serving process has an id of its own, new at each start, and holds a lock on a file of that name in its data
folder for as long as it lives. A file that nobody holds was left by a process that died: what it had open is closed
by the next start on that folder. Only there: the folder also holds its journal, the end of its recordings.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.model import new_id


class Node:
    """This process. `alone`: no other can serve this deployment (SQLite), so every other id is a dead one's."""

    def __init__(self, data: Path, *, alone: bool) -> None:
        self.id = new_id("nod")
        self._folder, self._alone = data / "nodes", alone
        self._folder.mkdir(exist_ok=True, mode=0o700)
        # Locked before it bears its name: another start must never find it unheld.
        unnamed = self._folder / f".{self.id}"
        self._held = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        unnamed.rename(self._folder / self.id)

    def _others(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir() if path.name != self.id and path.name[0] != ".")

    def _lives(self, other: str) -> bool:
        try:
            file = os.open(self._folder / other, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def dead(self) -> list[str] | None:
        """Ids of processes of this folder that ended without `retire`; None means every id but this one."""
        return None if self._alone else [other for other in self._others() if not self._lives(other)]

    def bury(self) -> None:
        """What the dead left is closed: forget them."""
        for other in self._others():
            if not self._lives(other):
                (self._folder / other).unlink(missing_ok=True)

    def retire(self, *, clean: bool) -> None:
        """This process ends. `clean`: it left nothing open, so nobody need look after it."""
        if clean:
            (self._folder / self.id).unlink(missing_ok=True)
        os.close(self._held)
