"""What somebody of the customer's told the staff, as the log has it: who, and how it came in the words of whoever wrote
it down. Both are sealed; the entry itself says only that staff recorded it."""

from __future__ import annotations

from typing import Final

from audit.events import Personal
from audit.log import AuditLog
from gateway.store.engine import Scope

BY_STAFF: Final = "recorded by staff"


def said(audit: AuditLog, scope: Scope, by: str, typed: str = "") -> tuple[Personal, ...]:
    """Of an event of the scope's customer: `by` goes with whoever has that name, `typed` is kept as other free text."""
    who = Personal("by", by, audit.keys.alias(scope.customer_id, "name", by))
    return (who, Personal("how", typed, f"customer:{scope.customer_id}")) if typed else (who,)
