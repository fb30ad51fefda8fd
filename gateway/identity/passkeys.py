"""Approvers' passkeys: invited by a mailed link, enrolled once, answered with at every sign-in and every yes.

The site's own address is WebAuthn's origin, and its host name the relying party. Nothing here asks who may do what;
`sign_ins.py` says who somebody is, gateway/portal what that person may see.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import webauthn
from sqlalchemy import insert, select, update
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from audit.assertions import Assertion, fingerprint, from_text, to_text
from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.errors import InvalidError, NotFoundError, NotPermittedError
from gateway.identity.forgetting import forget_codes
from gateway.model import HOUR, new_id
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import ANY_KEY, BY_OPERATOR, BY_RECOVERY, invitations, passkeys, sign_ins
from gateway.store.tables import approvers, customers

_GONE: Final = "This invitation does not hold any more."
_ASK: Final = "Ask whoever invited you for a new one."


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One passkey. `key` is its COSE key."""

    id: str
    customer_id: str
    approver_id: str
    credential: bytes
    key: bytes
    counter: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Invited:
    """Whom an invitation is for."""

    customer_id: str
    customer: str
    id: str
    approver_id: str
    name: str
    email: str
    invited_by: str


def digest_of(secret: str) -> str:
    """What is kept of a secret that a link or a cookie carries: 256 random bits need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def assertion_of(answer: Any) -> Assertion:
    """The bytes of a browser's answer (PublicKeyCredential's toJSON form). InvalidError when it is none."""
    try:
        given = answer["response"]
        return Assertion(*(from_text(given[k]) for k in ("authenticatorData", "clientDataJSON", "signature")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidError(
            "that is no answer of a passkey", next_step="Load the page again and try once more."
        ) from error


class Passkeys:
    """Writes each change with its event, in one transaction. `url`: the address that the pages have."""

    def __init__(self, store: Store, audit: AuditLog, url: Callable[[], str], invitation_hours: int) -> None:
        self._store, self._audit, self._url, self._hours = store, audit, url, invitation_hours

    @property
    def site(self) -> str:
        """WebAuthn's origin."""
        parts = urlsplit(self._url())
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        """WebAuthn's relying party id."""
        return urlsplit(self._url()).hostname or ""

    async def _log(self, scope: Scope, kind: str, actor: str, **data: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, data=data))

    async def _approver(self, scope: Scope, approver_id: str) -> Any:
        here = (approvers.c.customer_id == scope.customer_id) & (approvers.c.id == approver_id)
        row = (await scope.execute(select(approvers).where(here, approvers.c.removed_ms.is_(None)))).first()
        if row is None:
            raise NotFoundError("there is no such approver", next_step="`frameroom approver list` shows them.")
        return row

    async def held(self, scope: Scope, approver_id: str | None = None) -> list[Enrolled]:
        """The passkeys that count: the customer's, or one approver's."""
        query = (
            select(passkeys)
            .join(
                approvers,
                (approvers.c.customer_id == passkeys.c.customer_id) & (approvers.c.id == passkeys.c.approver_id),
            )
            .where(passkeys.c.customer_id == scope.customer_id, passkeys.c.removed_ms.is_(None))
            .where(approvers.c.removed_ms.is_(None))
            .order_by(passkeys.c.added_ms)
        )
        if approver_id is not None:
            query = query.where(passkeys.c.approver_id == approver_id)
        return [_enrolled(row) for row in await scope.execute(query)]

    # --- invitations ---

    async def invite(self, actor: str, customer_id: str, approver_id: str, by: str = BY_OPERATOR) -> str:
        """Mail an approver the link with which they enrol a passkey; the address it went to. Earlier links end.

        `by` is another approver's id, BY_RECOVERY (access/recovering.py), or BY_OPERATOR, who may do so only until the
        customer has had a passkey: after the first, NotPermittedError.
        """
        secret, now = secrets.token_urlsafe(32), self._audit.clock.now()
        until = now + self._hours * HOUR
        async with self._store.scope(customer_id) as scope:
            row = await self._approver(scope, approver_id)
            if by == BY_OPERATOR and (await scope.execute(ANY_KEY, {"of_customer": customer_id})).first() is not None:
                raise NotPermittedError(
                    "This customer's approvers invite each other: one of them has had a passkey.",
                    next_step="Ask an approver of theirs to open the portal, under People. If nobody of them has a key "
                    "any more: `frameroom recovery propose`.",
                )
            await self._end_invitations(scope, approver_id, now)
            await scope.execute(
                insert(invitations).values(
                    customer_id=customer_id, id=new_id("inv"), approver_id=approver_id, digest=digest_of(secret),
                    invited_by=by, made_ms=now, until_ms=until,
                )
            )  # fmt: skip
            await self._log(scope, "invitation.sent", actor, approver=approver_id, by=by, until_ms=until)
            link = f"{self.site}/invitation/{customer_id}/{secret}"
            await notify.invited(scope, row.name, row.email, link, until, now)
        return str(row.email)

    async def _end_invitations(self, scope: Scope, approver_id: str, now: int) -> None:
        open_ones = (invitations.c.customer_id == scope.customer_id) & (invitations.c.approver_id == approver_id)
        await scope.execute(update(invitations).where(open_ones, invitations.c.used_ms.is_(None)).values(used_ms=now))

    async def _invitation(self, scope: Scope, secret: str) -> Invited:
        joined = (approvers.c.customer_id == invitations.c.customer_id) & (approvers.c.id == invitations.c.approver_id)
        query = (
            select(invitations, approvers.c.name, approvers.c.email, customers.c.name.label("customer"))
            .join(approvers, joined)
            .join(customers, customers.c.id == invitations.c.customer_id)
            .where(invitations.c.customer_id == scope.customer_id, invitations.c.digest == digest_of(secret))
            .where(invitations.c.used_ms.is_(None), invitations.c.until_ms > self._audit.clock.now())
            .where(approvers.c.removed_ms.is_(None))
        )
        row = (await scope.execute(query)).first()
        if row is None:
            raise NotFoundError(_GONE, next_step=_ASK)
        return Invited(
            row.customer_id, row.customer, row.id, row.approver_id, row.name, row.email, row.invited_by
        )  # fmt: skip

    async def invitation(self, customer_id: str, secret: str) -> Invited:
        """Whom a link is for. NotFoundError when it never was, was used, ended or ran out: the four are told alike."""
        async with self._store.look(customer_id) as scope:
            return await self._invitation(scope, secret)

    def _challenge(self, invited: Invited, secret: str) -> bytes:
        # An invitation is used once, so what is derived from it is answered once.
        return hashlib.sha256(f"enrol:{invited.id}:{secret}".encode()).digest()

    async def enrolment_options(self, customer_id: str, secret: str) -> Any:
        """What the browser needs to make a passkey (PublicKeyCredentialCreationOptions, as JSON)."""
        async with self._store.look(customer_id) as scope:
            invited = await self._invitation(scope, secret)
            held = await self.held(scope, invited.approver_id)
        options = webauthn.generate_registration_options(
            rp_id=self.host, rp_name="Frameroom", user_name=invited.email, user_display_name=invited.name,
            user_id=f"{invited.customer_id}:{invited.approver_id}".encode(),
            challenge=self._challenge(invited, secret),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(key.credential) for key in held],
        )  # fmt: skip
        return json.loads(webauthn.options_to_json(options))

    async def enrol(self, customer_id: str, secret: str, answer: Any) -> Enrolled:
        """Use the invitation up and keep the key. NotFoundError for the link, InvalidError for the answer."""
        async with self._store.scope(customer_id) as scope:
            invited = await self._invitation(scope, secret)
            try:
                made = webauthn.verify_registration_response(
                    credential=answer, expected_challenge=self._challenge(invited, secret), expected_rp_id=self.host,
                    expected_origin=self.site, require_user_verification=True,
                )  # fmt: skip
            except (WebAuthnException, ValueError, TypeError, KeyError) as error:
                raise InvalidError("the passkey could not be taken", next_step="Try once more.") from error
            now = self._audit.clock.now()
            used = await scope.execute(
                update(invitations)
                .where(invitations.c.customer_id == customer_id, invitations.c.id == invited.id)
                .where(invitations.c.used_ms.is_(None))
                .values(used_ms=now)
            )
            if not used.rowcount:
                raise NotFoundError(_GONE, next_step=_ASK)
            key = Enrolled(
                new_id("pk"), customer_id, invited.approver_id, made.credential_id, made.credential_public_key,
                made.sign_count, fingerprint(made.credential_public_key),
            )  # fmt: skip
            await self._keep(scope, invited, key, now)
        return key

    async def _keep(self, scope: Scope, invited: Invited, key: Enrolled, now: int) -> None:
        await scope.execute(
            insert(passkeys).values(
                customer_id=scope.customer_id, id=key.id, approver_id=key.approver_id,
                credential=to_text(key.credential), public_key=to_text(key.key), fingerprint=key.fingerprint,
                counter=key.counter, added_ms=now,
            )
        )  # fmt: skip
        await self._log(
            scope, "approver.key_enrolled", key.approver_id, approver=key.approver_id,
            credential=to_text(key.credential), public_key=base64.b64encode(key.key).decode(), rp_id=self.host,
            how=f"invited by {invited.invited_by}",
        )  # fmt: skip
        await notify.enrolled(
            scope, invited.name, key.fingerprint, invited.invited_by in {BY_OPERATOR, BY_RECOVERY}, now
        )

    async def remove(self, actor: str, customer_id: str, approver_id: str) -> int:
        """A lost phone: the approver's keys count no more, and every sign-in of theirs ends. How many keys."""
        now = self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            row = await self._approver(scope, approver_id)
            gone = await self.held(scope, approver_id)
            for key in gone:
                here = (passkeys.c.customer_id == customer_id) & (passkeys.c.id == key.id)
                await scope.execute(update(passkeys).where(here).values(removed_ms=now))
                await self._log(
                    scope, "approver.key_removed", actor, approver=approver_id, credential=to_text(key.credential)
                )
            theirs = (sign_ins.c.customer_id == customer_id) & (sign_ins.c.approver_id == approver_id)
            await scope.execute(update(sign_ins).where(theirs, sign_ins.c.ended_ms.is_(None)).values(ended_ms=now))
            await self._end_invitations(scope, approver_id, now)
            # Most likely they are on the telephone that is lost.
            await forget_codes(scope, self._audit, actor, approver_id)
            if gone:
                await notify.passkeys_removed(scope, row.name, now)
        return len(gone)

    # --- answers ---

    async def signing_options(self, scope: Scope, approver_id: str, digest: str) -> dict[str, Any]:
        """What the browser needs to have the approver sign a digest (PublicKeyCredentialRequestOptions, as JSON)."""
        keys = await self.held(scope, approver_id)
        return {
            "challenge": to_text(bytes.fromhex(digest)), "rpId": self.host, "userVerification": "required",
            "allowCredentials": [{"type": "public-key", "id": to_text(key.credential)} for key in keys],
        }  # fmt: skip

    def assertion(self, answer: Any) -> Assertion:
        """The bytes of a browser's answer, as they are kept. InvalidError when it is none."""
        return assertion_of(answer)

    async def answered(self, scope: Scope, answer: Any, challenge: bytes) -> Enrolled:
        """The passkey that answered this challenge, its person verified. NotPermittedError, whatever the cause."""
        refused = NotPermittedError("That passkey was not accepted.", next_step="Try again, or ask to be invited.")
        try:
            credential = from_text(answer["rawId"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise refused from error
        found = [key for key in await self.held(scope) if secrets.compare_digest(key.credential, credential)]
        if not found:
            raise refused
        key = found[0]
        try:
            told = webauthn.verify_authentication_response(
                credential=answer, expected_challenge=challenge, expected_rp_id=self.host, expected_origin=self.site,
                credential_public_key=key.key, credential_current_sign_count=key.counter,
                require_user_verification=True,
            )  # fmt: skip
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise refused from error
        here = (passkeys.c.customer_id == scope.customer_id) & (passkeys.c.id == key.id)
        await scope.execute(update(passkeys).where(here).values(counter=told.new_sign_count))
        return key


def _enrolled(row: Any) -> Enrolled:
    return Enrolled(
        row.id, row.customer_id, row.approver_id, from_text(row.credential), from_text(row.public_key), row.counter,
        row.fingerprint,
    )  # fmt: skip
