"""What `frameroom keys …` asks of a deployment: a part of Admin."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from config import load as loading
from config.settings import Keys
from gateway.errors import ConflictError, InvalidError
from gateway.wiring import rewrapping
from gateway.wiring.admin.base import Base, Row, Stream, when
from gateway.wiring.masters import remarks


class MasterKeyCommands(Base):
    """Mixed into Admin."""

    async def do_keys_status(self, actor: str) -> list[Row]:
        """The master keys, and how many keys each wraps."""
        masters = self._parts.masters
        found = await rewrapping.look(self._parts.keys, _nobody, opening=False)
        notes = {"current": "; ".join(remarks(masters, self._parts.settings.keys))}
        rows = [
            {
                "id": named.id, "place": named.place, "state": named.state, "added": when(named.made_ms),
                "keys": found.under.pop(named.id, 0), "note": notes.get(named.state, ""),
            }
            for named in masters.listed
        ]  # fmt: skip
        return rows + [
            {"id": other, "place": "", "state": "unknown", "added": "", "keys": number, "note": "opens nothing here"}
            for other, number in found.under.items()
        ]

    async def do_keys_check(self, actor: str, stream: Stream) -> Row:
        """Open every key; `ok` when each opens, and under the current master key."""
        masters = self._parts.masters
        found = await rewrapping.look(self._parts.keys, stream.progress, opening=True)
        elsewhere = found.under.total() - found.under[masters.current.id]
        return {
            "ok": not elsewhere and not found.damaged, "master key": masters.current.id,
            "place": masters.current.place, "keys": found.under.total(), "destroyed": found.destroyed,
            "under other master keys": elsewhere, "damaged": found.damaged,
        }  # fmt: skip

    async def do_keys_rewrap(self, actor: str, config: str, stream: Stream) -> Row:
        """Move every key to the master key that the configuration wants: read anew, `serve` may have begun long ago."""
        keys = await asyncio.to_thread(self._keys_of, Path(config))
        return await rewrapping.move(self._parts, keys, actor, stream.progress)

    def _keys_of(self, config: Path) -> Keys:
        try:
            settings = loading.load(config, os.environ)
        except loading.ConfigError as error:
            raise InvalidError("\n".join(["the configuration cannot be taken:", str(error)])) from error
        if settings.storage.data_dir.resolve() != self._parts.settings.storage.data_dir.resolve():
            raise ConflictError(f"{config} is the configuration of another deployment; nothing was changed")
        return settings.keys

    async def do_keys_retire(self, actor: str) -> list[Row]:
        """Take away old master keys, under which nothing is wrapped any more."""
        return [{"id": named.id, "place": named.place} for named in await rewrapping.retire(self._parts, actor)]


async def _nobody(_: Row) -> None:
    """Nobody waits for it."""
