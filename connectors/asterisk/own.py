"""What is one person's in Asterisk's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.callerid import parts
from connectors.errors import NotFound
from connectors.transport.postgres import Row


@dataclass(frozen=True, slots=True)
class Own:
    """Everything that is one person's: the endpoints (one a device) and the mailbox that they name."""

    ids: list[str]
    callerids: list[str | None]
    auths: list[str]
    aors: list[str]
    extension: str
    context: str
    mailbox: str

    @classmethod
    def of(cls, rows: Sequence[Row], person_id: str) -> Own:
        """From the rows of `own`. NotFound when the person's own is not among them."""
        mine = next((row for row in rows if row[0] == person_id), None)
        if mine is None:
            raise NotFound("there is no such person on the phone system")
        auths = parts(*(row[2] for row in rows))
        aors = parts(*(row[3] for row in rows))
        return cls([r[0] for r in rows], [r[1] for r in rows], auths, aors, mine[4] or "", mine[6] or "", mine[5] or "")

    @property
    def box(self) -> dict[str, str]:
        """The mailbox, as statements want it."""
        return {"context": self.context, "mailbox": self.mailbox}
