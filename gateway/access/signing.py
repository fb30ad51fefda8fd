"""An approver's signature over any words of ours: whose key it was, and the event that keeps it for the verifier."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import insert, select

from audit.assertions import Assertion, to_text
from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.errors import ConflictError, NotPermittedError
from gateway.model import new_id
from gateway.store.engine import Scope
from gateway.store.portal_tables import signatures
from gateway.store.tables import approvers


class Signed(Protocol):
    """The key that signed. `credential` is WebAuthn's id of it."""

    @property
    def approver_id(self) -> str:
        """Whose it is."""

    @property
    def credential(self) -> bytes:
        """Which of theirs."""


class Keys(Protocol):
    """Knows the approvers' keys (gateway/identity/passkeys.py)."""

    async def answered(self, scope: Scope, answer: Any, challenge: bytes) -> Signed:
        """The key that signed this challenge, its person verified. NotPermittedError."""

    def assertion(self, answer: Any) -> Assertion:
        """The bytes of the answer, as the browser gave them. InvalidError."""


@dataclass(frozen=True, slots=True)
class Words:
    """Canonical text to be signed. `target`: the id of what it is about; `key_id`: under which it is sealed."""

    target: str
    text: str
    key_id: str

    @property
    def digest(self) -> str:
        """Hex SHA-256; its bytes are the challenge."""
        return hashlib.sha256(self.text.encode()).hexdigest()


async def check(scope: Scope, keys: Keys, approver_id: str, digest: str, answer: Any) -> dict[str, str]:
    """What an event keeps of the approver's own signature over this digest. NotPermittedError when it is not theirs."""
    key = await keys.answered(scope, answer, bytes.fromhex(digest))
    if key.approver_id != approver_id:
        raise NotPermittedError("That is another approver's key.", next_step="Use your own.")
    made = keys.assertion(answer)
    parts = {
        "authenticator_data": made.authenticator_data, "client_data": made.client_data, "signature": made.signature,
    }  # fmt: skip
    told = {name: base64.b64encode(value).decode() for name, value in parts.items()}
    return {"approver": approver_id, "credential": to_text(key.credential), "digest": digest, **told}


async def sign(
    scope: Scope, audit: AuditLog, keys: Keys, approver_id: str, words: Words, answer: Any, kind: str,
    ids: dict[str, str], **data: Any,
) -> list[str]:  # fmt: skip
    """Keep one more signature over these words, with its event; the approvers who have signed them by now.

    NotPermittedError when it is not the approver's own; ConflictError for a second one of one person.
    """
    given = await check(scope, keys, approver_id, words.digest, answer)
    earlier = await signers(scope, words)
    if approver_id in earlier:
        raise ConflictError("You have signed this already.", next_step="Nothing more is needed of you.")
    await scope.execute(
        insert(signatures).values(
            customer_id=scope.customer_id, id=new_id("sig"), target=words.target, approver_id=approver_id,
            digest=words.digest, at_ms=audit.clock.now(),
        )
    )  # fmt: skip
    personal = (Personal("words", words.text, words.key_id),)
    event = Event(kind, scope.customer_id, approver_id, data={**data, **given}, personal=personal, **ids)
    await audit.append(scope.connection, event)
    return [*earlier, approver_id]


async def signers(scope: Scope, words: Words) -> list[str]:
    """Who has signed just these words and still may: by address, since persons count, not accounts."""
    joined = (approvers.c.customer_id == signatures.c.customer_id) & (approvers.c.id == signatures.c.approver_id)
    query = (
        select(signatures.c.approver_id, approvers.c.email)
        .join(approvers, joined)
        .where(signatures.c.customer_id == scope.customer_id, signatures.c.target == words.target)
        .where(signatures.c.digest == words.digest, approvers.c.removed_ms.is_(None))
        .order_by(signatures.c.at_ms, signatures.c.id)
    )
    rows = (await scope.execute(query)).all()
    return list({row.email.casefold(): str(row.approver_id) for row in rows}.values())
