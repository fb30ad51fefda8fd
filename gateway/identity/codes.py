"""One-time codes with which an approver who has a passkey may sign in to read, on the page of a mailed link.

Six digits alone are guessed in the end by whoever has years, so the code is asked for only behind a link that was
mailed to the person: two things that they have. Whoever types an address is told nothing of it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.errors import InvalidError, NotFoundError, NotPermittedError, StateError
from gateway.identity import totp
from gateway.identity.forgetting import email_of, forget_codes
from gateway.identity.passkeys import digest_of
from gateway.identity.sign_ins import CODE, SignIns
from gateway.model import MINUTE, is_address, new_id
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import sign_ins
from gateway.store.sign_in_tables import code_links, reading_codes
from gateway.store.tables import approvers, customers
from gateway.vault import Vault

LINK_MS: Final = 15 * MINUTE
TRIES: Final = 5
"""Wrong codes on one link, then it is over."""
_LINKS: Final = 3
_TOLD_AT: Final = 5
_GONE: Final = "This link does not hold any more."
_ASK: Final = "Ask for another one on the sign-in page, or use your passkey."


class Codes:
    """Writes each change with its event and its mail, in one transaction. `url`: the address that the pages have."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, sign_ins: SignIns, url: Callable[[], str]) -> None:
        self._store, self._audit, self._vault = store, audit, vault
        self._sign_ins, self._url = sign_ins, url

    async def _log(self, scope: Scope, kind: str, actor: str, **data: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, data=data))

    # --- turning them on and off ---

    async def since_ms(self, customer_id: str, approver_id: str) -> int | None:
        """Since when the person has codes (Unix ms); None when they have none."""
        async with self._store.look(customer_id) as scope:
            row = await self._row(scope, approver_id)
        return None if row is None else row.confirmed_ms

    async def _row(self, scope: Scope, approver_id: str, *, lock: bool = False) -> Any:
        here = (reading_codes.c.customer_id == scope.customer_id) & (reading_codes.c.id == approver_id)
        query = select(reading_codes).where(here)
        return (await scope.execute(query.with_for_update() if lock else query)).first()

    async def offer(self, customer_id: str, approver_id: str) -> str:
        """A new secret (base32), shown to nobody else; it counts when a code of it was given back. StateError when
        the person has codes already."""
        secret, now = totp.new_secret(), self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            row = await self._row(scope, approver_id, lock=True)
            if row is not None and row.confirmed_ms is not None:
                raise StateError("You have codes already.", next_step="Turn them off first.")
            await scope.execute(delete(reading_codes).where(*_theirs(scope, approver_id)))
            await scope.execute(
                insert(reading_codes).values(
                    customer_id=customer_id, id=approver_id, added_ms=now, last_step=0, failures=0, locked_until_ms=0,
                    sealed=self._vault.seal(_context(customer_id, approver_id), secret.encode()),
                )
            )  # fmt: skip
        return secret

    async def offered(self, customer_id: str, approver_id: str) -> str:
        """The secret that waits for its first code. StateError when none does."""
        async with self._store.look(customer_id) as scope:
            row = await self._row(scope, approver_id)
            if row is None or row.confirmed_ms is not None:
                raise StateError("There is nothing to confirm.", next_step="Open the page again.")
            return self._secret(scope, row)

    async def confirm(self, customer_id: str, approver_id: str, code: str) -> None:
        """The code that the authenticator shows: from now on codes count. InvalidError for a wrong one."""
        now, given = self._audit.clock.now(), code.replace(" ", "")
        async with self._store.scope(customer_id) as scope:
            row = await self._row(scope, approver_id, lock=True)
            if row is None or row.confirmed_ms is not None:
                raise StateError("There is nothing to confirm.", next_step="Open the page again.")
            step = totp.step_of(self._secret(scope, row), given, now, row.last_step)
            if step is None:
                raise InvalidError("That was not the code.", next_step="Give the six digits that the app shows now.")
            values = {"confirmed_ms": now, "last_step": step}
            await scope.execute(update(reading_codes).where(*_theirs(scope, approver_id)).values(**values))
            await self._log(scope, "approver.code_added", approver_id, approver=approver_id)
            await notify.codes_turned(scope, await email_of(scope, approver_id), True, now)

    async def remove(self, actor: str, customer_id: str, approver_id: str) -> None:
        """No code of theirs counts any more, and whoever came in by one is signed out. NotFoundError."""
        async with self._store.scope(customer_id) as scope:
            row = await self._row(scope, approver_id)
            if row is None or row.confirmed_ms is None:
                raise NotFoundError("You have no codes.", next_step="There is nothing to turn off.")
            await forget_codes(scope, self._audit, actor, approver_id)
            mine = (sign_ins.c.customer_id == customer_id) & (sign_ins.c.approver_id == approver_id)
            mine &= (sign_ins.c.factor == CODE) & sign_ins.c.ended_ms.is_(None)
            await scope.execute(update(sign_ins).where(mine).values(ended_ms=self._audit.clock.now()))

    def _secret(self, scope: Scope, row: Any) -> str:
        return self._vault.open(_context(scope.customer_id, row.id), row.sealed).decode()

    # --- signing in ---

    async def send_link(self, email: str, following: str) -> None:
        """Mail a link to whoever has this address and codes, at each customer of theirs; to nobody, without a word,
        where there is none, or where three were mailed within a quarter of an hour."""
        if not is_address(email):
            return
        query = (
            select(approvers.c.customer_id, approvers.c.id, approvers.c.email, customers.c.name.label("customer"))
            .join(reading_codes, _JOINED)
            .join(customers, customers.c.id == approvers.c.customer_id)
            .where(func.lower(approvers.c.email) == email.lower(), approvers.c.removed_ms.is_(None))
            .where(reading_codes.c.confirmed_ms.is_not(None))
        )
        async with self._store.look_at_everyone() as scope:
            found = (await scope.execute(query)).all()
        for row in found:
            async with self._store.scope(row.customer_id) as scope:
                await self._send(scope, row, following)

    async def _send(self, scope: Scope, row: Any, following: str) -> None:
        secret, now = secrets.token_urlsafe(32), self._audit.clock.now()
        mine = (code_links.c.customer_id == scope.customer_id) & (code_links.c.approver_id == row.id)
        await scope.execute(delete(code_links).where(mine, code_links.c.until_ms <= now))
        if (await scope.execute(select(func.count()).select_from(code_links).where(mine))).scalar_one() >= _LINKS:
            return
        await scope.execute(
            insert(code_links).values(
                customer_id=scope.customer_id, id=new_id("cdl"), approver_id=row.id, digest=digest_of(secret),
                following=following, tries=0, until_ms=now + LINK_MS,
            )
        )  # fmt: skip
        link = f"{self._url()}/sign-in/code/{scope.customer_id}/{secret}"
        await notify.code_link(scope, row.email, row.customer, link, now + LINK_MS, now)

    async def _link(self, scope: Scope, secret: str, *, lock: bool = False) -> Any:
        """The link with its person, while it holds. NotFoundError, whatever the cause."""
        wanted = digest_of(secret)
        query = (
            select(code_links, approvers.c.email)
            .join(
                approvers,
                (approvers.c.customer_id == code_links.c.customer_id) & (approvers.c.id == code_links.c.approver_id),
            )
            .where(code_links.c.customer_id == scope.customer_id, code_links.c.digest == wanted)
            .where(code_links.c.used_ms.is_(None), code_links.c.until_ms > self._audit.clock.now())
            .where(code_links.c.tries < TRIES, approvers.c.removed_ms.is_(None))
        )
        row = (await scope.execute(query.with_for_update(of=code_links) if lock else query)).first()
        if row is None or not hmac.compare_digest(row.digest, wanted):
            raise NotFoundError(_GONE, next_step=_ASK)
        return row

    async def look_at(self, customer_id: str, secret: str) -> None:
        """NotFoundError for a link that never was, was used, ran out or had too many wrong codes. Uses nothing up."""
        async with self._store.look(customer_id) as scope:
            await self._link(scope, secret)

    async def sign_in(self, customer_id: str, secret: str, code: str, device: str, address: str) -> tuple[str, str]:
        """(the sign-in's cookie, the page that was wanted). NotFoundError for the link, NotPermittedError for the code;
        no code serves twice, and after several wrong ones none is taken for a while."""
        given, now = code.replace(" ", ""), self._audit.clock.now()
        try:
            async with self._store.scope(customer_id) as scope:
                link = await self._link(scope, secret, lock=True)
                row = await self._row(scope, link.approver_id, lock=True)
                if row is None or row.confirmed_ms is None:
                    raise NotFoundError(_GONE, next_step=_ASK)
                if row.locked_until_ms > now:
                    at = notify.when(row.locked_until_ms, await notify.zone_of(scope))
                    raise NotPermittedError(
                        "There were too many wrong codes.", next_step=f"Wait until {at}, or use your passkey."
                    )
                step = totp.step_of(self._secret(scope, row), given, now, row.last_step)
                if step is not None:
                    mine = _theirs(scope, row.id)
                    values = {"last_step": step, "failures": 0, "locked_until_ms": 0}
                    await scope.execute(update(reading_codes).where(*mine).values(**values))
                    await scope.execute(update(code_links).where(*_this(scope, link)).values(used_ms=now))
                    made = await self._sign_ins.begin(scope, row.id, CODE, f"code:{link.id}", device, address)
                    return made, link.following
                await self._wrong(scope, link, row, now)
        except IntegrityError as error:
            raise NotFoundError(_GONE, next_step=_ASK) from error
        raise NotPermittedError(
            "That code was not accepted.", next_step="Give the six digits that your authenticator shows now, each once."
        )

    async def _wrong(self, scope: Scope, link: Any, row: Any, now: int) -> None:
        failures = row.failures + 1
        wait = totp.wait_ms(failures)
        values = {"failures": failures, "locked_until_ms": now + wait if wait else 0}
        await scope.execute(update(reading_codes).where(*_theirs(scope, row.id)).values(**values))
        await scope.execute(update(code_links).where(*_this(scope, link)).values(tries=link.tries + 1))
        await self._log(
            scope, "portal.refused", "portal", approver=row.id, factor=CODE, reason="wrong code", count=failures
        )
        if failures == _TOLD_AT:
            await notify.codes_guessed(scope, link.email, now)


_JOINED: Final = (reading_codes.c.customer_id == approvers.c.customer_id) & (reading_codes.c.id == approvers.c.id)


def _context(customer_id: str, approver_id: str) -> str:
    return f"reading code:{customer_id}:{approver_id}"


def _theirs(scope: Scope, approver_id: str) -> tuple[Any, ...]:
    return reading_codes.c.customer_id == scope.customer_id, reading_codes.c.id == approver_id


def _this(scope: Scope, link: Any) -> tuple[Any, ...]:
    return code_links.c.customer_id == scope.customer_id, code_links.c.id == link.id
