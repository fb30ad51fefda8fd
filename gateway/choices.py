"""Closed sets of words that are chosen from: what the command line offers, and the parts that they belong to take.

Here, and not in those parts, so that offering them (help, TAB) imports none of those.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from audit.events import KINDS

NOTICES: Final = ("each", "changes", "daily", "none")
"""Of which visits somebody is told: from the most to the least."""
STANDINGS: Final = ("prospective", "current", "former")
"""What a contact is to the customer's side of the business. Only who is current is told of visits."""
EXPORTS: Final = ("operational", "pricing", "marketing")
"""What an export of contacts is for."""
ROLES: Final = {"out-of-hours": "may come in outside a customer's working hours"}
"""Of engineers."""
ROWS: Final = ("customer", "site", "agreement", "system", "contact", "approver")
"""Kinds of row of a spreadsheet, in the order in which a customer's are taken: what others name comes first."""
OUTCOMES: Final = tuple(sorted({kind.partition(".")[2] for kind in KINDS if kind.startswith("operation.")} | {
    "granted", "denied", "expired", "withdrawn", "revoked", "closed", "opened",
} - {"intended"}))  # fmt: skip
"""What a search of the log can ask for."""
BASES: Final = {
    "not-needed": "no longer needed (GDPR 17(1)(a))",
    "consent-withdrawn": "consent withdrawn (GDPR 17(1)(b))",
    "objection": "objection upheld (GDPR 17(1)(c))",
    "unlawful": "unlawfully held (GDPR 17(1)(d))",
    "legal-duty": "a law demands it (GDPR 17(1)(e))",
    "contract-ended": "the contract and the time after it are over",
}
"""Why somebody is erased."""
PURPOSES: Final = {
    "court": "an order of a court or authority",
    "claim": "a legal claim, brought or met",
    "security": "an incident that is being investigated",
}
"""Why a recording of somebody who was erased is looked at."""
HOLD_BASES: Final = {
    "claim": "a legal claim, brought or expected",
    "order": "an order of a court or authority",
    "investigation": "an investigation, of a fraud for example",
}
"""Why nothing is deleted."""
FLOOR_MONTHS: Final = 13
"""Access logs are kept so long whatever else is agreed (Code of Practice M16.12, regulation 6)."""


class AccessMode(StrEnum):
    """Whether the customer lets engineers in at all, above every permission."""

    ON = "on"
    OFF = "off"
    UNTIL = "until"
    WEEKLY = "weekly"


class RecordKind(StrEnum):
    """What has a period of its own."""

    RECORDINGS = "recordings"
    ACCESS_LOG = "access-log"
    PEOPLE = "people"
    NOTES = "notes"


RECORDS: Final = {
    RecordKind.RECORDINGS: "what terminals showed",
    RecordKind.ACCESS_LOG: f"the personal part of the log of visits and looks (at least {FLOOR_MONTHS} months)",
    RecordKind.PEOPLE: "contacts and approvers who were removed",
    RecordKind.NOTES: "notes of engineers",
}

RECOVERY_BASES: Final = {
    "lost": "the telephone with the key is lost or broken",
    "left": "whoever held the key has left",
}
"""Why a customer has no key left."""
