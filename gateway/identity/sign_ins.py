"""Who is signed in to the portal: one approver of one customer, or a contact who only reads, until the sign-in ends by
itself or is ended."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from audit.assertions import from_text, to_text
from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.errors import NotPermittedError
from gateway.identity.passkeys import Passkeys, digest_of
from gateway.model import HOUR, MINUTE, new_id
from gateway.notify.words import plain
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import sign_ins
from gateway.store.tables import approvers, contacts, customers
from gateway.vault import Vault

PASSKEY: Final = "passkey"
ACCOUNT: Final = "account"
"""Of the customer's own OpenID provider."""
CODE: Final = "code"
"""By the clock, on the page of a mailed link."""
_CUSTOMER: Final = re.compile(r"cus_[0-9a-z]{1,36}")
_ANSWER_MS: Final = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a request comes from. `csrf` stands in their forms; `factor` is how they signed in.

    `approver_id` is a contact's id where a contact reads: nothing that decides is reached with it (`may_approve`).
    """

    customer_id: str
    customer: str
    approver_id: str
    name: str
    email: str
    id: str
    factor: str
    csrf: str

    @property
    def is_contact(self) -> bool:
        """Told of visits, and no approver: there are pages that have nothing for them."""
        return self.approver_id.startswith("con_")

    @property
    def may_approve(self) -> bool:
        """Only a passkey is a person; whatever else there is reads."""
        return self.factor == PASSKEY


def _column(person_id: str) -> Column[Any]:
    return sign_ins.c.contact_id if person_id.startswith("con_") else sign_ins.c.approver_id


class SignIns:
    """Makes, finds and ends sign-ins."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, passkeys: Passkeys, hours: int) -> None:
        self._store, self._audit, self._vault = store, audit, vault
        self._passkeys, self._hours = passkeys, hours

    def challenge(self) -> bytes:
        """What a passkey is to answer: random, dated, and known again without being kept."""
        head = f"{self._audit.clock.now():x}:{secrets.token_hex(16)}"
        return f"{head}:{self._vault.digest('challenge', head)[:32]}".encode()

    def _check_challenge(self, challenge: bytes) -> None:
        try:
            head, _, mark = challenge.decode("ascii").rpartition(":")
            made = int(head.partition(":")[0], 16)
        except ValueError as error:
            raise NotPermittedError("That passkey was not accepted.") from error
        ours = self._vault.digest("challenge", head)[:32]
        if not hmac.compare_digest(ours, mark) or not 0 <= self._audit.clock.now() - made <= _ANSWER_MS:
            raise NotPermittedError("It took too long.", next_step="Try once more.")

    async def sign_in(self, answer: Any, challenge: str, device: str, address: str) -> str:
        """The cookie of whoever's passkey answered. NotPermittedError; no answer serves twice."""
        try:
            asked = from_text(challenge)
            customer_id = from_text(answer["response"]["userHandle"]).decode("ascii").partition(":")[0]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotPermittedError("That passkey was not accepted.", next_step="Try once more.") from error
        self._check_challenge(asked)
        if not _CUSTOMER.fullmatch(customer_id):
            raise NotPermittedError("That passkey was not accepted.", next_step="Try once more.")
        try:
            async with self._store.scope(customer_id) as scope:
                key = await self._passkeys.answered(scope, answer, asked)
                return await self.begin(scope, key.approver_id, PASSKEY, to_text(asked), device, address)
        except IntegrityError as error:
            raise NotPermittedError("That answer was used already.", next_step="Sign in again.") from error

    async def begin(self, scope: Scope, person_id: str, factor: str, challenge: str, device: str, address: str) -> str:
        """A sign-in of somebody who was just proven to be this approver, or contact; its cookie. IntegrityError when
        the same `challenge` was answered before."""
        secret, sign_in_id, now = secrets.token_urlsafe(32), new_id("sin"), self._audit.clock.now()
        await scope.execute(
            insert(sign_ins).values(
                customer_id=scope.customer_id, id=sign_in_id, digest=digest_of(secret),
                challenge=hashlib.sha256(challenge.encode()).hexdigest(), factor=factor, device=device[:200],
                began_ms=now, until_ms=now + self._hours * HOUR, **{_column(person_id).name: person_id},
            )
        )  # fmt: skip
        data = {"approver": person_id, "sign_in": sign_in_id, "factor": factor}
        personal = (Personal("address", address, f"subject:{person_id}"),)
        event = Event("portal.signed_in", scope.customer_id, person_id, data=data, personal=personal)
        await self._audit.append(scope.connection, event)
        return f"{scope.customer_id}.{sign_in_id}.{secret}"

    async def who(self, cookie: str) -> SignedIn | None:
        """Whose cookie this is; None for one that never was, ended or ran out, and once its person was removed."""
        customer_id, _, rest = cookie.partition(".")
        sign_in_id, _, secret = rest.partition(".")
        if not _CUSTOMER.fullmatch(customer_id) or not secret:
            return None
        query = (
            select(
                sign_ins, func.coalesce(approvers.c.name, contacts.c.name).label("name"),
                func.coalesce(approvers.c.email, contacts.c.email).label("email"), customers.c.name.label("customer"),
            )
            .outerjoin(
                approvers,
                (approvers.c.customer_id == sign_ins.c.customer_id) & (approvers.c.id == sign_ins.c.approver_id),
            )
            .outerjoin(
                contacts,
                (contacts.c.customer_id == sign_ins.c.customer_id) & (contacts.c.id == sign_ins.c.contact_id),
            )
            .join(customers, customers.c.id == sign_ins.c.customer_id)
            .where(sign_ins.c.customer_id == customer_id, sign_ins.c.id == sign_in_id)
            .where(sign_ins.c.ended_ms.is_(None), sign_ins.c.until_ms > self._audit.clock.now())
            .where(approvers.c.id.is_not(None) | (contacts.c.standing == "current"))
            .where(approvers.c.removed_ms.is_(None), contacts.c.removed_ms.is_(None))
        )  # fmt: skip
        async with self._store.look(customer_id) as scope:
            row = (await scope.execute(query)).first()
        if row is None or not hmac.compare_digest(row.digest, digest_of(secret)):
            return None
        csrf = hashlib.sha256(f"csrf:{secret}".encode()).hexdigest()
        return SignedIn(
            customer_id, plain(row.customer), row.approver_id or row.contact_id, plain(row.name), row.email,
            sign_in_id, row.factor, csrf,
        )  # fmt: skip

    async def of(self, who: SignedIn) -> list[Any]:
        """The person's own sign-ins that are open, newest first."""
        mine = (sign_ins.c.customer_id == who.customer_id) & (_column(who.approver_id) == who.approver_id)
        still = sign_ins.c.ended_ms.is_(None) & (sign_ins.c.until_ms > self._audit.clock.now())
        async with self._store.look(who.customer_id) as scope:
            return list(await scope.execute(select(sign_ins).where(mine, still).order_by(sign_ins.c.began_ms.desc())))

    async def end(self, who: SignedIn, *, everywhere: bool) -> None:
        """Sign out: here, or every sign-in of this person."""
        mine = (sign_ins.c.customer_id == who.customer_id) & (_column(who.approver_id) == who.approver_id)
        which = mine if everywhere else mine & (sign_ins.c.id == who.id)
        async with self._store.scope(who.customer_id) as scope:
            ended = await scope.execute(
                update(sign_ins).where(which, sign_ins.c.ended_ms.is_(None)).values(ended_ms=self._audit.clock.now())
            )
            data = {"approver": who.approver_id, "sign_ins": ended.rowcount}
            event = Event("portal.signed_out", who.customer_id, who.approver_id, data=data)
            await self._audit.append(scope.connection, event)
