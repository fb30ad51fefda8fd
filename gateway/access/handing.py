"""Secrets that an approver hands over: opened once, by the one whom it was addressed to, with their own passkey.

The mail holds the key (behind the # of its link, which browsers do not send), the database the ciphertext, and the
approver's telephone the passkey: the ciphertext is given out for a fresh assertion over exactly this secret, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update

from audit import canonical
from audit.events import Event, Personal
from audit.log import AuditLog
from audit.sealing import SealingError
from gateway.access.signing import Keys, Words, check
from gateway.errors import InvalidError, NotFoundError, NotPermittedError, StateError
from gateway.lifecycle import LinkState, advance
from gateway.model import MINUTE
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, links, operations, systems

FRESH_MS: Final = 5 * MINUTE
"""How long an answer of the passkey opens for."""
_SHOWN: Final = 50
_NO_ONE: Final = "a telephone user"
_LINKS: Final = (
    select(links, approvers.c.name.label("approver"), systems.c.name.label("system"), operations.c.session_id)
    .join(approvers, (approvers.c.customer_id == links.c.customer_id) & (approvers.c.id == links.c.approver_id))
    .join(systems, (systems.c.customer_id == links.c.customer_id) & (systems.c.id == links.c.system_id))
    .join(operations, (operations.c.customer_id == links.c.customer_id) & (operations.c.id == links.c.operation_id))
)


@dataclass(frozen=True, slots=True)
class HandOver:
    """One secret: for whom (`person`, in words), of what kind, and how far it is. `row`: its link; `to`: the approver
    whom the log says that it was addressed to."""

    row: Any
    to: str
    person: str
    secret: str
    state: LinkState


class Handing:
    """Writes each step with its event. A scope that is passed in is the customer's."""

    def __init__(self, store: Store, audit: AuditLog, keys: Keys) -> None:
        self._store, self._audit, self._keys = store, audit, keys

    async def all(self, scope: Scope) -> list[HandOver]:
        """The customer's, newest first; what never came about is not among them."""
        query = _LINKS.where(links.c.customer_id == scope.customer_id, links.c.state != LinkState.PREPARED)
        rows = (await scope.execute(query.order_by(links.c.made_ms.desc(), links.c.id).limit(_SHOWN))).all()
        return [one for row in rows if (one := await self._told(scope, row)) is not None]

    async def one(self, scope: Scope, link: str, *, lock: bool = False) -> HandOver:
        """NotFoundError when this customer has no such secret to hand over."""
        query = _LINKS.where(links.c.customer_id == scope.customer_id, links.c.id == link)
        row = (await scope.execute(query.with_for_update(of=links) if lock else query)).first()
        found = await self._told(scope, row) if row is not None else None
        if found is None:
            raise NotFoundError("There is no such secret to hand over.", next_step="Open the link in the mail, whole.")
        return found

    async def _told(self, scope: Scope, row: Any) -> HandOver | None:
        kinds = ("secret.issued",)
        issued = await self._audit.read(
            scope.connection, scope.customer_id, session=row.session_id, operation=row.operation_id, kinds=kinds
        )
        if not issued:
            return None
        try:
            personal = await self._audit.personal(scope.connection, issued[0])
        except SealingError:
            personal = {}
        state = LinkState(row.state)
        if state is LinkState.READY and row.until_ms <= self._audit.clock.now():
            state = LinkState.EXPIRED  # the loop writes it down a moment later
        data = issued[0].body["data"]
        return HandOver(row, str(data["to"]), str(personal.get("person", _NO_ONE)), str(data["secret"]), state)

    @property
    def now(self) -> int:
        """Unix ms, as the log counts."""
        return self._audit.clock.now()

    def words(self, found: HandOver, approver_id: str, asked_ms: int) -> Words:
        """What is signed to open it: this secret, this person, this moment."""
        row = found.row
        text = canonical.encode(
            {
                "v": 1, "customer": row.customer_id, "hand_over": row.id, "operation": row.operation_id,
                "system": row.system_id, "secret": found.secret, "for": found.person, "approver": approver_id,
                "asked": asked_ms,
            }
        ).decode()  # fmt: skip
        return Words(row.id, text, f"subject:{row.subject}")

    async def open(self, customer_id: str, approver_id: str, link: str, asked_ms: int, answer: Any) -> bytes:
        """The ciphertext, once. NotPermittedError when it is addressed to another approver or the signature is not
        theirs; StateError when it was opened, ran out or was replaced; InvalidError when `asked_ms` is too long ago."""
        if not 0 <= self.now - asked_ms <= FRESH_MS:
            raise InvalidError("It took too long. Nothing was used up.", next_step="Try once more.")
        async with self._store.scope(customer_id) as scope:
            found = await self.one(scope, link, lock=True)
            row = found.row
            check_opens(found, approver_id)
            words = self.words(found, approver_id, asked_ms)
            given = await check(scope, self._keys, approver_id, words.digest, answer)
            await self._move(scope, row, LinkState.OPENED, opened_ms=self.now, sealed=None)
            personal = (Personal("words", words.text, words.key_id),)
            await self._log(scope, "secret.opened", approver_id, row, given, personal)
        return bytes(row.sealed)

    async def handed(self, customer_id: str, approver_id: str, link: str) -> None:
        """The approver says that the person has it. NotPermittedError for another approver; StateError before it was
        opened, and for a second time."""
        async with self._store.scope(customer_id) as scope:
            found = await self.one(scope, link, lock=True)
            if found.row.approver_id != approver_id:
                raise NotPermittedError(f"That is for {found.row.approver} to say.")
            await self._move(scope, found.row, LinkState.HANDED, handed_ms=self.now)
            await self._log(scope, "secret.handed", approver_id, found.row, {})

    @staticmethod
    async def _move(scope: Scope, row: Any, to: LinkState, **values: Any) -> None:
        here = (links.c.customer_id == scope.customer_id) & (links.c.id == row.id)
        state = advance(LinkState(row.state), to)
        done = await scope.execute(update(links).where(here, links.c.state == row.state).values(state=state, **values))
        if not done.rowcount:
            raise StateError("Somebody was faster.", next_step="Load the page again.")

    async def _log(
        self, scope: Scope, kind: str, actor: str, row: Any, given: dict[str, str], personal: tuple[Personal, ...] = ()
    ) -> None:
        event = Event(
            kind, scope.customer_id, actor, system=row.system_id, session=row.session_id, operation=row.operation_id,
            subject=row.subject, data={"link": row.id, **given}, personal=personal,
        )  # fmt: skip
        await self._audit.append(scope.connection, event)


def check_opens(found: HandOver, approver_id: str) -> None:
    """NotPermittedError, StateError: why this approver cannot open it (Handing.open)."""
    # Both: whoever writes another name into the row makes it open to nobody.
    if {found.row.approver_id, found.to} != {approver_id}:
        raise NotPermittedError(
            f"It is addressed to {found.row.approver}, who alone can open it.",
            next_step="If that cannot be, have an engineer reset the password once more.",
        )
    if found.state in {LinkState.OPENED, LinkState.HANDED}:
        raise StateError("It was opened already, and is shown once only.", next_step="Load the page: it says when.")
    if found.state is not LinkState.READY:
        raise StateError("It cannot be opened any more.", next_step="Have an engineer reset the password once more.")
