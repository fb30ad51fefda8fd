"""What was asked for: as a row, as the bytes that a yes is a yes to, and made less by whoever says yes.

The bytes are canonical JSON (docs/formats.md, Requests) and hold the names as the approver reads them; their SHA-256
is the request's digest, and the challenge that a passkey signs. They are kept as they were written, so that an
engineer who is renamed later changes nothing that was signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from audit import canonical
from connectors.contract import Operation
from gateway.access.facts import operations_of
from gateway.errors import InvalidError
from gateway.lifecycle import RequestState
from gateway.model import Request


def request_of(row: Any) -> Request:
    """The value of a table's row."""
    return Request(
        row.customer_id, row.id, row.system_id, row.engineer_id, operations_of(row.operations), row.from_ms,
        row.until_ms, row.ticket, row.reason, RequestState(row.state), row.digest, row.submitted_ms, row.canonical,
    )  # fmt: skip


def written(request: Request, engineer_name: str, system_name: str) -> Request:
    """The request with its canonical text and digest."""
    text = canonical.encode(
        {
            "v": 1,
            "customer": request.customer_id,
            "request": request.id,
            "system": request.system_id,
            "system_name": system_name,
            "engineer": request.engineer_id,
            "engineer_name": engineer_name,
            "operations": sorted(request.operations),
            "from": request.from_ms,
            "until": request.until_ms,
            "ticket": request.ticket,
            "reason": request.reason,
        }
    )
    return replace(request, canonical=text.decode(), digest=hashlib.sha256(text).hexdigest())


def narrowed(request: Request, operations: Collection[str], until_ms: int, now: int) -> Request:
    """The same request for less: fewer operations, an earlier end. InvalidError for anything wider, or for nothing."""
    names = set(operations)
    if not names:
        raise InvalidError("Nothing is left to say yes to.", next_step="Leave something ticked, or say no.")
    if names - set(request.operations):
        raise InvalidError("A yes cannot be to more than was asked for.")
    if until_ms > request.until_ms:
        raise InvalidError("A yes cannot be for longer than was asked for.")
    if until_ms <= max(now, request.from_ms):
        raise InvalidError("That end is past already.", next_step="Load the page again and choose a later one.")
    if names == set(request.operations) and until_ms == request.until_ms:
        return request
    asked = json.loads(request.canonical)
    less = replace(request, operations=frozenset(Operation(name) for name in names), until_ms=until_ms)
    return written(less, asked["engineer_name"], asked["system_name"])
