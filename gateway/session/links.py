"""One-time links in the database: ciphertext, and what became of it.

A link is prepared before the phone system is touched, ready once the secret is written, and then exactly one of
opened, expired and void. It loses its ciphertext with that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog, Row
from connectors.contract import SecretKind
from gateway.lifecycle import LinkState, advance
from gateway.model import HOUR, MINUTE
from gateway.session.recipients import Recipient
from gateway.store.engine import Scope, Store
from gateway.store.tables import links, operations

LINK_MS: Final = 24 * HOUR
# Longer than a reset can take to write: a link that is still only prepared then belongs to a process that is gone.
_WRITING_MS: Final = 5 * MINUTE

# Built once: they are asked every second.
_READY: Final = select(links).where(
    links.c.state == LinkState.READY, links.c.made_ms > bindparam("after", type_=BigInteger),
    links.c.made_ms <= bindparam("until", type_=BigInteger),
)  # fmt: skip
_OVER: Final = select(links).where(
    ((links.c.state == LinkState.READY) & (links.c.until_ms <= bindparam("now", type_=BigInteger)))
    | ((links.c.state == LinkState.PREPARED) & (links.c.made_ms <= bindparam("begun", type_=BigInteger)))
)


@dataclass(frozen=True, slots=True)
class Reset:
    """What a link belongs to."""

    customer: str
    system: str
    session: str
    grant: str
    engineer: str
    operation: str
    subject: str
    kind: SecretKind
    link: str


def _here(reset: Reset) -> Any:
    return (links.c.customer_id == reset.customer) & (links.c.id == reset.link)


def _same_secret(customer: str, subject: str, kind_of_operation: str) -> Any:
    """Links that hold, or held, this secret of this person."""
    same_kind = select(operations.c.id).where(
        operations.c.customer_id == customer, operations.c.name == kind_of_operation
    )
    return (links.c.customer_id == customer) & (links.c.subject == subject) & links.c.operation_id.in_(same_kind)


class Links:
    """Writes each change with its event, in the caller's transaction unless it says otherwise."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store, self._audit = store, audit

    async def prepare(self, scope: Scope, reset: Reset, sealed: bytes, to: Recipient) -> None:
        """The ciphertext, durable before anything is written."""
        now = self._audit.clock.now()
        await scope.execute(
            insert(links).values(
                customer_id=reset.customer, id=reset.link, operation_id=reset.operation, system_id=reset.system,
                subject=reset.subject, state=LinkState.PREPARED, sealed=sealed, made_ms=now, until_ms=now + LINK_MS,
                approver_id=to.logged if to.by_passkey else None,
            )
        )  # fmt: skip

    async def ready(self, scope: Scope, reset: Reset, to: Recipient, person: str = "") -> None:
        """The secret is written: this link is the one that counts. `person`: whose secret it is, in words."""
        await self._void_earlier(scope, reset)
        state = advance(LinkState.PREPARED, LinkState.READY)
        await scope.execute(update(links).where(_here(reset)).values(state=state))
        await self._issued(scope, reset, to, person, "passkey" if to.by_passkey else "link")

    async def made_there(self, scope: Scope, reset: Reset, to: Recipient, person: str) -> None:
        """The phone system made the secret and mails it: there is no link, and earlier ones count no more."""
        await self._void_earlier(scope, reset)
        await self._issued(scope, reset, to, person, "mail")

    async def _issued(self, scope: Scope, reset: Reset, to: Recipient, person: str, opens: str) -> None:
        told = {"person": person, "salt": to.proof.salt if to.proof else ""}
        key = f"subject:{reset.subject}"
        # An approver's address is the approver's: it goes when they are erased, and not with the user.
        sealed = key if to.is_user else self._audit.keys.alias(scope.customer_id, "address", to.address)
        event = Event(
            "secret.issued", scope.customer_id, reset.engineer, system=reset.system, session=reset.session,
            grant=reset.grant, operation=reset.operation, subject=reset.subject,
            data={
                "link": reset.link, "secret": reset.kind.value, "to": to.logged,
                "opens": opens, **(to.proof.told if to.proof else {}),
            },
            personal=(
                Personal("address", to.address, sealed), *(Personal(*item, key) for item in told.items() if item[1]),
            ),
        )  # fmt: skip
        await self._audit.append(scope.connection, event)

    async def give_up(self, reset: Reset, *, earlier_too: bool) -> None:
        """In a transaction of its own: nobody will open this link, nor, when the phone system may hold another secret
        by now (`earlier_too`), those before it."""
        async with self._store.scope(reset.customer) as scope:
            await scope.execute(
                update(links)
                .where(_here(reset), links.c.state.in_((LinkState.PREPARED, LinkState.READY)))
                .values(state=LinkState.VOID, sealed=None)
            )
            if earlier_too:
                await self._void_earlier(scope, reset)

    async def _void_earlier(self, scope: Scope, reset: Reset) -> None:
        same = _same_secret(reset.customer, reset.subject, reset.kind.operation.value)
        live = links.c.state.in_((LinkState.PREPARED, LinkState.READY))
        await scope.execute(
            update(links).where(same, live, links.c.id != reset.link).values(state=LinkState.VOID, sealed=None)
        )

    async def delivered(self, reset: Reset) -> None:
        """In a transaction of its own: the mail server took the mail."""
        async with self._store.scope(reset.customer) as scope:
            await self._tell(scope, "secret.sent", reset)

    async def undelivered(self, scope: Scope, reset: Reset) -> bool:
        """Void, if nobody opened it meanwhile (then False, and nothing is said: the mail did arrive)."""
        done = await scope.execute(
            update(links)
            .where(_here(reset), links.c.state == LinkState.READY)
            .values(state=LinkState.VOID, sealed=None)
        )
        if done.rowcount:
            await self._tell(scope, "secret.undelivered", reset)
        return bool(done.rowcount)

    async def _tell(self, scope: Scope, kind: str, reset: Reset) -> None:
        event = Event(
            kind, reset.customer, "reset", session=reset.session, operation=reset.operation, data={"link": reset.link}
        )
        await self._audit.append(scope.connection, event)

    async def ready_between(self, after_ms: int, until_ms: int) -> list[Any]:
        """Links of everyone that are ready, and were made in that time (Unix ms)."""
        async with self._store.look_at_everyone() as scope:
            return list((await scope.execute(_READY, {"after": after_ms, "until": until_ms})).all())

    async def unconfirmed(self, scope: Scope, row: Any) -> Row | None:
        """Mark a link whose mail was neither seen going out nor given up; the entry of its issue, or None when it was.

        It stays open: the mail may have arrived.
        """
        here = (links.c.customer_id == row.customer_id) & (links.c.id == row.id)
        await scope.execute(select(links.c.id).where(here).with_for_update())
        told = await self._audit.read(scope.connection, row.customer_id, operation=row.operation_id)
        by_kind = {entry.body["kind"]: entry for entry in told}
        if by_kind.keys() & {"secret.sent", "secret.undelivered", "secret.unconfirmed"}:
            return None
        event = Event("secret.unconfirmed", row.customer_id, "clock", operation=row.operation_id, data={"link": row.id})
        await self._audit.append(scope.connection, event)
        return by_kind.get("secret.issued")

    async def expire(self) -> None:
        """End links that are past their time, and those whose process ended while it wrote."""
        now = self._audit.clock.now()
        async with self._store.look_at_everyone() as scope:
            rows = (await scope.execute(_OVER, {"now": now, "begun": now - _WRITING_MS})).all()
        for row in rows:
            was = LinkState(row.state)
            over = LinkState.EXPIRED if was is LinkState.READY else LinkState.VOID
            async with self._store.scope(row.customer_id) as scope:
                here = (links.c.customer_id == row.customer_id) & (links.c.id == row.id) & (links.c.state == was)
                done = await scope.execute(update(links).where(here).values(state=advance(was, over), sealed=None))
                if done.rowcount and over is LinkState.EXPIRED:
                    event = Event(
                        "secret.expired", row.customer_id, "clock", system=row.system_id, operation=row.operation_id,
                        subject=row.subject, data={"link": row.id},
                    )  # fmt: skip
                    await self._audit.append(scope.connection, event)
                elif done.rowcount:
                    await self._void_written_over(scope, row)

    async def _void_written_over(self, scope: Scope, row: Any) -> None:
        # It may have been written before the process ended: then what earlier links hold counts no more.
        here = (operations.c.customer_id == row.customer_id) & (operations.c.id == row.operation_id)
        name = (await scope.execute(select(operations.c.name).where(here))).scalar_one()
        same = _same_secret(row.customer_id, row.subject, str(name))
        older = (links.c.state == LinkState.READY) & (links.c.made_ms <= row.made_ms)
        await scope.execute(update(links).where(same, older).values(state=LinkState.VOID, sealed=None))
