"""The ways to reach a person beside mail: a text, Teams, Slack, a webhook. Their addresses are secrets, kept as such.

An address is sealed under the master key, for this channel of this customer alone; once given it is never shown again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.errors import ConflictError, InvalidError, NotFoundError, StateError, UnavailableError
from gateway.model import new_id
from gateway.notify.carrier import TEXT_SCHEME, WORDS, Carrier
from gateway.notify.courier import context_of
from gateway.notify.deliveries import Delivery, settle
from gateway.notify.outbox import country_of
from gateway.numbers import HOME, found_in
from gateway.store.engine import Scope, Store
from gateway.store.tables import approvers, contacts, outbox
from gateway.store.telling_tables import channels
from gateway.vault import Vault

_AT_MOST: Final = 5
_TEST_EVERY_MS: Final = 20_000
_DIALLED: Final = frozenset("+0123456789 ()-./")
"""Of a telephone number: what else goes into the operator's own address of their gateway nobody else writes."""
_LONGEST_NAME, _LONGEST_URL = 60, 2_000
TEST_LINE: Final = "This is a test from Frameroom: from now on you hear here when somebody waits for your answer."


@dataclass(frozen=True, slots=True)
class Channel:
    """One way, without its address."""

    id: str
    person_id: str
    name: str
    service: str
    added_ms: int


def _channel(row: Any) -> Channel:
    return Channel(row.id, row.approver_id or row.contact_id, row.name, row.service, row.added_ms)


def address_of(given: str, country: str = HOME) -> str:
    """What is kept of what somebody typed: a telephone number (of that country, where it names none) becomes tel:+44…,
    anything else stays. InvalidError."""
    text = given.strip()
    if not text or len(text) > _LONGEST_URL or any(not c.isprintable() for c in text):
        raise InvalidError("that is no address", next_step="Give a telephone number, or the address of a webhook.")
    number_alone = text.removeprefix(TEXT_SCHEME)
    if ":" in number_alone:
        return text
    if not set(number_alone) <= _DIALLED:
        raise InvalidError(
            "that is neither a telephone number nor the address of a webhook",
            next_step="A number looks like +44 7700 900123, an address like https://… or slack://…",
        )
    number = found_in(number_alone, country)
    if number is None:
        raise InvalidError("that is no telephone number", next_step="It looks like +44 7700 900123.")
    return TEXT_SCHEME + number


class Channels:
    """Writes each change with its event, in one transaction. `person_id` is an approver's or a contact's."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, carrier: Carrier) -> None:
        self._store, self._audit, self._vault, self._carrier = store, audit, vault, carrier

    async def add(self, actor: str, customer_id: str, person_id: str, name: str, address: str) -> Channel:
        """A new way to reach somebody. InvalidError for an address that no service has, ConflictError for one that
        they have already, NotFoundError for a person that the customer has not."""
        async with self._store.look(customer_id) as scope:
            country = await country_of(scope)
        url, label = address_of(address, country), " ".join(name.split())
        looked = await self._carrier.look(url)
        if looked.code:
            raise InvalidError(f"It cannot be used: {WORDS[looked.code]}.", next_step="Ask your telephone maintainer.")
        if not label or len(label) > _LONGEST_NAME or not label.isprintable():
            raise InvalidError(f"Say what you call it, in at most {_LONGEST_NAME} characters.")
        one = Channel(new_id("chn"), person_id, label, looked.service, self._audit.clock.now())
        digest = self._vault.digest("channel", customer_id, person_id, url)
        sealed = self._vault.seal(context_of(customer_id, one.id), url.encode())
        async with self._store.scope(customer_id) as scope:
            column = await self._column(scope, person_id)
            held = (await scope.execute(select(channels.c.digest).where(*_of(scope, person_id)))).scalars().all()
            if digest in held:
                raise ConflictError("They are told there already.")
            if len(held) >= _AT_MOST:
                raise StateError(f"Nobody has more than {_AT_MOST}.", next_step="Take one away first.")
            await scope.execute(
                insert(channels).values(
                    customer_id=customer_id, id=one.id, name=label, service=one.service, sealed=sealed, digest=digest,
                    added_ms=one.added_ms, **{column: person_id},
                )
            )  # fmt: skip
            data = {"channel": one.id, "person": person_id, "service": one.service}
            personal = (Personal("name", label, f"subject:{person_id}"),)
            await self._audit.append(
                scope.connection, Event("channel.added", customer_id, actor, data=data, personal=personal)
            )
        return one

    async def _column(self, scope: Scope, person_id: str) -> str:
        table, column = (approvers, "approver_id") if person_id.startswith("apr_") else (contacts, "contact_id")
        here = (table.c.customer_id == scope.customer_id) & (table.c.id == person_id) & table.c.removed_ms.is_(None)
        if (await scope.execute(select(table.c.id).where(here))).first() is None:
            raise NotFoundError("there is no such person")
        return column

    async def of(self, customer_id: str, person_id: str | None = None) -> list[Channel]:
        """A customer's, or one person's."""
        query = select(channels).where(channels.c.customer_id == customer_id)
        async with self._store.look(customer_id) as scope:
            if person_id is not None:
                query = query.where(*_of(scope, person_id))
            return [_channel(row) for row in await scope.execute(query.order_by(channels.c.added_ms, channels.c.id))]

    async def _row(self, scope: Scope, channel_id: str, person_id: str | None) -> Any:
        here = (channels.c.customer_id == scope.customer_id) & (channels.c.id == channel_id)
        row = (await scope.execute(select(channels).where(here))).first()
        if row is None or person_id not in (None, row.approver_id, row.contact_id):
            raise NotFoundError("There is no such way to reach you.", next_step="`frameroom channel list` shows them.")
        return row

    async def remove(self, actor: str, customer_id: str, channel_id: str, person_id: str | None = None) -> None:
        """Nothing goes there any more, nor what waits for it. NotFoundError; `person_id`: only if it is theirs."""
        async with self._store.scope(customer_id) as scope:
            row = await self._row(scope, channel_id, person_id)
            await forget(scope, self._audit, actor, [row])

    async def test(self, actor: str, customer_id: str, channel_id: str, person_id: str | None = None) -> Channel:
        """Send a line there now. UnavailableError when it was not taken; StateError when tried a moment ago."""
        now = self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            row = await self._row(scope, channel_id, person_id)
            if row.tested_ms is not None and now - row.tested_ms < _TEST_EVERY_MS:
                raise StateError("It was tried a moment ago.", next_step="Wait half a minute.")
            here = (channels.c.customer_id == customer_id) & (channels.c.id == channel_id)
            await scope.execute(update(channels).where(here).values(tested_ms=now))
        url = self._vault.open(context_of(customer_id, channel_id), row.sealed).decode()
        done = await self._carrier.send(url, TEST_LINE)
        data = {"what": "test", "channel": channel_id} | ({"code": done.code} if done.code else {})
        async with self._store.scope(customer_id) as scope:
            kind = "notice.failed" if done.code else "notice.sent"
            await self._audit.append(scope.connection, Event(kind, customer_id, actor, data=data))
        if done.code:
            raise UnavailableError(
                f"The test did not arrive: {WORDS[done.code]}.", next_step="Look at the address, and add it again."
            )
        return _channel(row)


def _of(scope: Scope, person_id: str) -> tuple[Any, ...]:
    column = channels.c.approver_id if person_id.startswith("apr_") else channels.c.contact_id
    return channels.c.customer_id == scope.customer_id, column == person_id


async def forget(scope: Scope, audit: AuditLog, actor: str, rows: list[Any]) -> None:
    """Take channels away with what waits for them, in the caller's transaction."""
    for row in rows:
        waits = (outbox.c.customer_id == scope.customer_id) & (outbox.c.channel_id == row.id)
        messages = list((await scope.execute(select(outbox.c.id).where(waits))).scalars())
        await settle(scope, messages, Delivery.FAILED, "removed", audit.clock.now())
        await scope.execute(delete(outbox).where(waits))
        here = (channels.c.customer_id == scope.customer_id) & (channels.c.id == row.id)
        await scope.execute(delete(channels).where(here))
        data = {"channel": row.id, "person": row.approver_id or row.contact_id}
        await audit.append(scope.connection, Event("channel.removed", scope.customer_id, actor, data=data))


async def forget_all(scope: Scope, audit: AuditLog, actor: str, person_id: str) -> None:
    """Whoever is removed is reached no more."""
    await forget(scope, audit, actor, list((await scope.execute(select(channels).where(*_of(scope, person_id)))).all()))
