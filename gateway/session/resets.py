"""A reset: who may receive the new secret, and the conversation with the child that makes it (architecture 4, 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import insert, select, update

from audit.events import Event, Personal
from connectors import errors as connector_errors
from connectors.contract import Person, SecretKind
from gateway import notify
from gateway.access.directory import agreement_of
from gateway.errors import NotPermittedError
from gateway.lifecycle import LinkState, advance
from gateway.model import DAY, HOUR, Terms, new_id
from gateway.notify import MailSettings
from gateway.session.deliver import ResetChild, ResetServer
from gateway.session.session import Did, Visit, Visits
from gateway.store.engine import Scope
from gateway.store.tables import approvers, directory, engineers, links

_STOOD_MS = 30 * DAY
_LINK_MS = 24 * HOUR
_ERRORS: dict[str, type[connector_errors.ConnectorError]] = {
    c.code: c
    for c in (
        connector_errors.Unreachable, connector_errors.IdentityMismatch, connector_errors.CredentialRefused,
        connector_errors.Refused, connector_errors.NotFound, connector_errors.Conflict,
        connector_errors.ProtocolViolation, connector_errors.InvalidValue, connector_errors.SecretReadable,
        connector_errors.NotSupported,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the link: an address, who that is ("the user", "approver NAME"), and in the log "user" or an id."""

    address: str
    words: str
    logged: str


def masked(address: str) -> str:
    """k…@customer.example."""
    name, _, domain = address.partition("@")
    return f"{name[:1]}…@{domain}"


class Resets:
    """Runs resets for visits."""

    def __init__(self, visits: Visits, server: ResetServer, mail: MailSettings, portal_url: Callable[[], str]) -> None:
        self._visits, self._server, self._mail, self._url = visits, server, mail, portal_url

    async def recipient(self, visit: Visit, person: Person) -> Recipient:
        """Who may get the secret. NotPermittedError, before anything is written, when nobody may."""
        system = visit.system
        async with self._visits.store.scope(system.customer_id) as scope:
            agreement = await agreement_of(scope)
            if agreement is None:
                raise NotPermittedError("There is no agreement.")
            if person.email and await self._stands(scope, visit, person, agreement.terms):
                return Recipient(person.email, "the user", "user")
            approver = await self._approver(scope, visit, agreement.terms)
        if approver is None:
            raise NotPermittedError(
                "Nobody may receive the new password: the user's address is new, missing or outside the agreed "
                "domains, and no approver is eligible.",
                next_step="The customer needs a second approver; nothing was changed.",
            )
        return Recipient(approver.email, f"approver {approver.name}", approver.id)

    async def _stands(self, scope: Scope, visit: Visit, person: Person, terms: Terms) -> bool:
        email = (person.email or "").casefold()
        if email.rpartition("@")[2] not in terms.mail_domains:
            return False
        vault, system = self._visits.vault, visit.system
        query = select(directory).where(
            directory.c.customer_id == scope.customer_id,
            directory.c.system_id == system.id,
            directory.c.subject == vault.subject(scope.customer_id, system.id, person.id),
            directory.c.email_digest == vault.digest("email", email),
        )
        row = (await scope.execute(query)).first()
        now = self._visits.audit.clock.now()
        return row is not None and (row.confirmed_by is not None or now - row.since_ms >= _STOOD_MS)

    async def _approver(self, scope: Scope, visit: Visit, terms: Terms) -> Any:
        query = (
            select(approvers)
            .where(approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None))
            .order_by(approvers.c.name)
        )
        everyone = (await scope.execute(query)).all()
        mail = select(engineers.c.email).where(engineers.c.id == visit.identity.engineer_id)
        requester = str((await scope.execute(mail)).scalar_one()).casefold()
        others = [a for a in everyone if a.email.casefold() != requester]
        eligible = [a for a in others if a.id not in visit.grant.approver_ids]
        if not eligible and terms.only_approver_may_receive and len(others) == 1:
            return others[0]
        return eligible[0] if eligible else None

    async def run(self, visit: Visit, person: Person, kind: SecretKind, operation: str, to: Recipient) -> Did:
        """Steps 1 to 5 with the child; the mail (6) goes on after the operation's outcome."""
        connector = await self._visits.connector(visit)
        rules = await connector.secret_rules(person.id, kind)
        link = new_id("lnk")
        subject = self._visits.vault.subject(visit.system.customer_id, visit.system.id, person.id)
        child = self._server.child()
        try:
            job = await self._job(visit, person, kind, link, to)
            job |= {
                "alphabet": rules.alphabet,
                "length": max(rules.min_length, 6 if kind is SecretKind.VOICEMAIL else 20),
            }
            sealed = await child.start(job)
            await self._prepare(visit, link, operation, subject, sealed)
            outcome = await child.write()
            if outcome.code is not None:
                await self._void(visit, link)
                error = _ERRORS.get(outcome.code, connector_errors.OutcomeUnknown)
                raise error(outcome.message)
        except BaseException:
            child.close()
            raise
        words = f"{kind.value} password of {person.name} was reset; the new one went to {to.words}"
        must = "; it must be changed at first use" if rules.must_change else ""

        async def also(scope: Scope) -> None:
            await self._ready(scope, visit, link, operation, subject, kind, to)
            if to.logged != "user" and person.email and await self._agreed(scope, person.email):
                body = f"Your {kind.value} password was reset today. If you did not expect this, ask {to.words}.\n"
                now = self._visits.audit.clock.now()
                await notify.queue(scope, [person.email], "user told", "Your telephone password was reset", body, now)
            self._visits.spawn(self._mail_out(visit, child, link, operation))

        return Did(outcome.notes, 1, (), (), words + must, True, also)

    async def _agreed(self, scope: Scope, email: str) -> bool:
        agreement = await agreement_of(scope)
        return agreement is not None and email.rpartition("@")[2].lower() in agreement.terms.mail_domains

    async def _job(self, visit: Visit, person: Person, kind: SecretKind, link: str, to: Recipient) -> dict[str, Any]:
        system, mail = visit.system, asdict(self._mail)
        mail["ca_file"] = str(mail["ca_file"]) if mail["ca_file"] else None
        credential = await self._visits.unseal(visit)
        body = (
            f"The {kind.value} password of {person.name} (extension {person.extension}) on {system.name} was reset.\n"
            "Nobody has seen the new one. This link shows it once, within 24 hours:\n\n{link}\n\n"
            "If you did not expect this, ring your telephone maintainer.\n"
        )
        return {
            "connector": system.connector, "system": system.id, "host": system.host, "port": system.port,
            "pin": system.pin, "settings": system.settings_json, "person": person.id, "kind": kind.value, "link": link,
            "credential": {
                "login": credential.login, "password": credential.password, "private_key": credential.private_key,
            },
            "mail": mail, "url": self._url(), "to": to.address, "subject": "A new telephone password", "body": body,
        }  # fmt: skip

    async def _prepare(self, visit: Visit, link: str, operation: str, subject: str, sealed: bytes) -> None:
        customer, now = visit.system.customer_id, self._visits.audit.clock.now()
        async with self._visits.store.scope(customer) as scope:
            older = (links.c.customer_id == customer) & (links.c.subject == subject) & links.c.opened_ms.is_(None)
            # A new reset kills the links of earlier ones: their secret no longer is what the phone system holds.
            await scope.execute(
                update(links)
                .where(older, links.c.state.in_((LinkState.PREPARED, LinkState.READY)))
                .values(state=LinkState.VOID, sealed=None)
            )
            await scope.execute(
                insert(links).values(
                    customer_id=customer, id=link, operation_id=operation, system_id=visit.system.id, subject=subject,
                    state=LinkState.PREPARED, sealed=sealed, made_ms=now, until_ms=now + _LINK_MS,
                )
            )  # fmt: skip

    async def _void(self, visit: Visit, link: str) -> None:
        customer = visit.system.customer_id
        async with self._visits.store.scope(customer) as scope:
            here = (links.c.customer_id == customer) & (links.c.id == link)
            await scope.execute(update(links).where(here).values(state=LinkState.VOID, sealed=None))

    async def _ready(
        self, scope: Scope, visit: Visit, link: str, operation: str, subject: str, kind: SecretKind, to: Recipient
    ) -> None:
        here = (links.c.customer_id == scope.customer_id) & (links.c.id == link)
        state = advance(LinkState.PREPARED, LinkState.READY)
        await scope.execute(update(links).where(here).values(state=state))
        event = Event(
            "secret.issued", scope.customer_id, visit.identity.engineer_id, system=visit.system.id, session=visit.id,
            grant=visit.grant.id, operation=operation, subject=subject,
            data={"link": link, "secret": kind.value, "to": to.logged},
            personal=(Personal("address", to.address, f"subject:{subject}"),),
        )  # fmt: skip
        await self._visits.audit.append(scope.connection, event)

    async def _mail_out(self, visit: Visit, child: ResetChild, link: str, operation: str) -> None:
        customer = visit.system.customer_id
        try:
            sent = await child.mail()
        finally:
            child.close()
        async with self._visits.store.scope(customer) as scope:
            if not sent:
                here = (links.c.customer_id == customer) & (links.c.id == link)
                await scope.execute(update(links).where(here).values(state=LinkState.VOID, sealed=None))
            kind = "secret.sent" if sent else "secret.undelivered"
            event = Event(kind, customer, "reset", operation=operation, data={"link": link})
            await self._visits.audit.append(scope.connection, event)
