"""What whoever checks a report has pinned, what was found to hold, and how it is said that something does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit.checkpoint import Checkpoint
from audit.reportfile import Entry

FALSE: Final = 1
NOT_EXTENDED: Final = 3
NOT_PINNED: Final = 4


class Fault(Exception):
    """Something that does not hold; `code` is the exit code for it."""

    def __init__(self, words: str, code: int = FALSE) -> None:
        super().__init__(words)
        self.code = code


@dataclass(slots=True)
class Checked:
    """What was pinned by whoever checks, and what was found to hold, in words."""

    vkey: str
    since: Sequence[str] = ()
    pinned: Collection[str] = ()
    """Fingerprints of approvers' keys, as they stand on the agreement."""
    told: list[str] = field(default_factory=list)
    trusted: list[str] = field(default_factory=list)
    root: Checkpoint = field(default_factory=lambda: Checkpoint("", 0, b""))
    bodies: list[tuple[int, dict[str, Any], Entry]] = field(default_factory=list)
