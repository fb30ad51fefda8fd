"""`frameroom retention …`: how long records are kept, what is due, what was deleted, and the proof of it."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from sqlalchemy import select

from audit import checkpoint
from audit.merkle import leaf_hash
from audit.proofs import ProofFile, inclusion
from audit.publisher import object_name, tile_of
from audit.tables import entries
from audit.tiles import TileReader, parse_name
from gateway.access.retention import Due
from gateway.choices import RECORDS, RecordKind
from gateway.errors import NotFoundError
from gateway.wiring.admin.base import Base, Row, when
from gateway.wiring.duties import retention_of


class RetentionCommands(Base):
    """Periods, the ledger, and certificates."""

    async def do_retention_set(self, actor: str, customer: str, kind: str, months: int) -> Row:
        """So many months after the contract's end."""
        log = await self._customer(customer)
        await retention_of(self._parts).set(actor, log, RecordKind(kind), months)
        return {"customer": customer, "kind": kind, "months": months}

    async def do_retention_contract(self, actor: str, customer: str, ends_ms: int | None) -> Row:
        """When the contract ends or ended; None while it runs on."""
        await retention_of(self._parts).set_contract(actor, await self._customer(customer), ends_ms)
        return {"customer": customer, "contract ends": when(ends_ms) or "it runs on"}

    async def do_retention_show(self, actor: str, customer: str) -> list[Row]:
        """Kind by kind."""
        log = await self._customer(customer)
        async with self._parts.store.look(log) as scope:
            ends, months = await retention_of(self._parts).agreed(scope)
        return [
            {
                "kind": kind.value, "what": RECORDS[kind], "contract ends": when(ends) or "it runs on",
                "months after it": months.get(kind, "none agreed: it is kept"),
            }
            for kind in RecordKind
        ]  # fmt: skip

    async def do_retention_run(self, actor: str, customer: str | None = None, dry_run: bool = False) -> list[Row]:
        """Delete what is due, or only say what that would be."""
        retention = retention_of(self._parts)
        listed = await self._parts.directory.customer_list()
        chosen = None if customer is None else await self._customer(customer)
        told: list[Row] = []
        for one in [row for row in listed if chosen in (None, row["id"])]:
            found = await retention.due(one["id"])
            if not dry_run:
                await retention.run(actor, one["id"])
            told += [_told(due, one["name"], "would go" if dry_run else "deleted") for due in found]
        return told

    async def do_retention_ledger(self, actor: str, customer: str | None = None) -> list[Row]:
        """What was deleted when and why, and what is scheduled, newest first."""
        log = None if customer is None else await self._customer(customer)
        return [
            {
                "at": when(row.at_ms), "kind": row.kind, "what": row.target, "count": row.count, "why": row.why,
                "state": row.waits or "deleted", "event": row.event_id,
            }
            for row in await retention_of(self._parts).entered(log)
        ]  # fmt: skip

    async def do_retention_certificate(self, actor: str, customer: str) -> Row:
        """The ledger of a customer with the entries that it rests on and their proofs, for whoever asks for them."""
        log = await self._customer(customer)
        await self._parts.sequence()
        rows = await self.do_retention_ledger(actor, customer)
        if not rows:
            raise NotFoundError("nothing of this customer's was deleted yet")
        note = await asyncio.to_thread(self._parts.objects.get, object_name(log))
        if note is None:
            raise NotFoundError("the log's checkpoint is not published yet")
        # All of them: what was more than one entry holds stands in several.
        here = (entries.c.log_id == log) & (entries.c.kind == "retention.deleted") & entries.c.idx.is_not(None)
        async with self._parts.store.look(log) as scope:
            found = (await scope.execute(select(entries).where(here).order_by(entries.c.idx))).all()
        proofs = await asyncio.to_thread(self._proofs, log, note.decode(), found)
        return {
            "customer": customer, "log": log, "vkey": self._parts.signer.vkey,
            "made": when(self._parts.audit.clock.now()), "deleted": rows, "entries": proofs,
        }  # fmt: skip

    def _proofs(self, log: str, note: str, found: Any) -> list[Row]:
        size = checkpoint.parse(note).size
        reader = TileReader(size, lambda name: tile_of(self._parts.objects, log, *parse_name(name)))
        return [
            {
                "event": row.event_id, "index": row.idx, "entry": base64.b64encode(row.entry).decode(),
                "leaf": leaf_hash(row.entry).hex(),
                "proof": ProofFile(row.idx, inclusion(reader.node, row.idx, size), note).text(),
            }
            for row in found
        ]  # fmt: skip


def _told(due: Due, customer: str, state: str) -> Row:
    return {
        "customer": customer, "kind": due.kind.value, "state": state, "count": due.count, "why": due.why,
        "from": when(due.from_ms or None), "until": when(due.until_ms or None), "kept by a legal hold": len(due.held),
    }  # fmt: skip
