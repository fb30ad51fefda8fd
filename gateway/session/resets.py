"""A reset: the conversation with the child that makes the secret, and what is written down of it (architecture 4, 5).

Who may receive it is recipients.py, what it looks like secret_shape.py, what becomes of its link links.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final, TypeVar

from sqlalchemy import select

from connectors.contract import Connector, MakesSecrets, Person, SecretKind, SecretRules
from connectors.errors import ConnectorError, NotSupported, OutcomeUnknown
from connectors.registry import families
from gateway import notify
from gateway.access.dials import Dial, new_dial
from gateway.access.directory import agreement_of
from gateway.errors import ConflictError, NotPermittedError, UnavailableError
from gateway.lifecycle import LinkState
from gateway.model import DAY, is_address, new_id
from gateway.session.deliver import ResetChild, ResetServer
from gateway.session.links import Links, Reset
from gateway.session.recipients import Recipient, Recipients
from gateway.session.recipients import masked as masked
from gateway.session.reset_child import MAIL_GRACE_S
from gateway.session.secret_shape import Shape, shape_for
from gateway.session.session import Did, Visit, Visits
from gateway.smtp import MailSettings
from gateway.store.engine import Scope
from gateway.store.tables import links

RETRY_S: Final = 600
"""Seconds for which the child tries to hand its mail over."""
_COMMIT_WITHIN_S: Final = 40
_AGAIN_S: Final = 1.0
_OLD_ADDRESSES_MS: Final = 30 * DAY

_T = TypeVar("_T")


class Resets:
    """Runs resets for visits."""

    def __init__(
        self, visits: Visits, server: ResetServer, mail: MailSettings, portal_url: Callable[[], str],
        retry_s: int = RETRY_S,
    ) -> None:  # fmt: skip
        self._visits, self._server, self._mail, self._url = visits, server, mail, portal_url
        self._retry_s = retry_s
        self.links = Links(visits.store, visits.audit)
        self._recipients = Recipients(visits.audit, visits.vault)
        self._settled_ms = 0

    async def recipient(self, visit: Visit, person: Person, kind: SecretKind) -> Recipient:
        """Who may get the secret. NotPermittedError, before anything is written, when nobody may."""
        async with self._visits.store.look(visit.system.customer_id) as scope:
            to = await self._recipients.choose(scope, visit.system.id, visit.grant, person)
        if kind in families()[visit.system.connector].capabilities().made_there and not to.is_user:
            raise NotPermittedError(
                "This phone system makes new passwords itself and mails them to the user's own address, and that is "
                "new, missing or outside the agreed domains.",
                next_step="An approver confirms the address first; nothing was changed.",
            )
        return to

    async def run(self, visit: Visit, person: Person, kind: SecretKind, operation: str, to: Recipient) -> Did:
        """Steps 1 to 5 with the child; the mail (6) goes on after the operation's outcome.

        Before anything is written: NotPermittedError (what the customer asks of a secret cannot be met), ConflictError
        (somebody else is to receive it by now), UnavailableError. Then the connector's errors.
        """
        connector = await self._visits.connector(visit)
        rules = await connector.secret_rules(person.id, kind)
        if rules.made_there:
            return await self._made_there(visit, connector, person, kind, operation, to)
        shape = await self._shape(visit, person, kind, rules)
        reset = self._reset(visit, person, kind, operation)
        child, dial = self._server.child(), new_dial(reset.customer)
        try:
            job = await self._job(visit, person, reset, to, shape, rules)
            sealed = await child.start(job | {"mark": dial.mark})
            await self._prepare(visit, person, reset, sealed, to, dial)
            notes = await self._write(child, reset)
        except BaseException:
            child.close()
            raise
        outcome = asyncio.Event()
        self._visits.spawn(self._mail_out(visit, person, child, reset, to, outcome))

        async def also(scope: Scope) -> None:
            await self.links.ready(scope, reset, to, f"{person.name} (extension {person.extension})")
            await self._tell_user(scope, reset, person, to)
            if child.login:
                await self._visits.dials.name(scope, dial, child.login)
            outcome.set()

        must = "; it must be changed at first use" if rules.must_change else ""
        went = f"the new one went to {to.told}"
        line = f"{notify.SECRETS[kind.value]} of {person.name} was reset; {went}{must}"
        return Did(notes, 1, (), (), line, True, also)

    async def _made_there(
        self, visit: Visit, connector: Connector, person: Person, kind: SecretKind, operation: str, to: Recipient
    ) -> Did:
        """The phone system makes and mails it: no child and no link, for no secret is ever here."""
        if not isinstance(connector, MakesSecrets):
            raise NotSupported("this connector says that its phone system makes passwords, and cannot ask for one")
        async with self._visits.store.look(visit.system.customer_id) as scope:
            agreement = await agreement_of(scope)
        if agreement is None or agreement.terms.secret_lengths.get(kind) or agreement.terms.secret_classes.get(kind):
            raise NotPermittedError(
                f"The customer asks for {kind.value} passwords of a certain form, and this phone system makes its own.",
                next_step="The customer has to agree to the phone system's own form; nothing was written.",
            )
        # It was asked before the engineer said yes, and that may have taken a while.
        if await self.recipient(visit, person, kind) != to:
            raise ConflictError(
                "The new password would go somewhere else by now; nothing was written.",
                next_step="Reset it again to see where.",
            )
        reset = self._reset(visit, person, kind, operation)
        try:
            done = await connector.renew(person.id, kind, to.address)
        except OutcomeUnknown:
            with suppress(UnavailableError):
                await self.links.give_up(reset, earlier_too=True)
            raise

        async def also(scope: Scope) -> None:
            await self.links.made_there(scope, reset, to, f"{person.name} (extension {person.extension})")

        line = (
            f"{notify.SECRETS[kind.value]} of {person.name} was reset; the phone system mails the new one to {to.told}"
        )
        return Did(done.notes, 1, (), (), line, True, also)

    async def _shape(self, visit: Visit, person: Person, kind: SecretKind, rules: SecretRules) -> Shape:
        async with self._visits.store.look(visit.system.customer_id) as scope:
            agreement = await agreement_of(scope)
        if agreement is None:
            raise NotPermittedError("There is no agreement.")
        return shape_for(kind, rules, agreement.terms, (person.extension, *(person.ddis or ())))

    def _reset(self, visit: Visit, person: Person, kind: SecretKind, operation: str) -> Reset:
        system = visit.system
        subject = self._visits.vault.subject(system.customer_id, system.id, person.id)
        return Reset(
            system.customer_id, system.id, visit.id, visit.grant.id, visit.identity.engineer_id, operation, subject,
            kind, new_id("lnk"),
        )  # fmt: skip

    async def _job(
        self, visit: Visit, person: Person, reset: Reset, to: Recipient, shape: Shape, rules: SecretRules
    ) -> dict[str, Any]:
        system, mail = visit.system, asdict(self._mail)
        mail["ca_file"] = str(mail["ca_file"]) if mail["ca_file"] else None
        credential = await self._visits.unseal(visit)
        return {
            "connector": system.connector, "system": system.id, "host": system.host, "port": system.port,
            "pin": system.pin, "settings": system.settings_json, "person": person.id, "kind": reset.kind.value,
            "link": reset.link, "shape": shape.plain(), "retry_s": self._retry_s, "message_id": new_id("msg"),
            "credential": {
                "login": credential.login, "password": credential.password, "private_key": credential.private_key,
            },
            "mail": mail, "url": self._url(), "path": "/hand-overs/" if to.by_passkey else "/s/",
            "to": to.address, "subject": "A new telephone password",
            "body": letter(person, reset.kind, system.name, to, must_change=rules.must_change),
        }  # fmt: skip

    async def _prepare(
        self, visit: Visit, person: Person, reset: Reset, sealed: bytes, to: Recipient, dial: Dial
    ) -> None:
        async with self._visits.store.scope(reset.customer) as scope:
            # It was asked before the engineer said yes, and that may have taken a while.
            if await self._recipients.choose(scope, reset.system, visit.grant, person) != to:
                raise ConflictError(
                    "Somebody else is to receive the new password by now; nothing was written.",
                    next_step="Reset it again to see who.",
                )
            await self.links.prepare(scope, reset, sealed, to)
            await self._visits.dials.note(scope, visit.system, dial, "reset", visit.id)

    async def _write(self, child: ResetChild, reset: Reset) -> tuple[str, ...]:
        try:
            return await child.write()
        except ConnectorError as error:
            # A database that is away must not hide how the writing went; `tidy` ends the link in five minutes then.
            with suppress(UnavailableError):
                # Unknown: the phone system may hold a secret by now that no earlier link shows.
                await self.links.give_up(reset, earlier_too=isinstance(error, OutcomeUnknown))
            raise

    async def _tell_user(self, scope: Scope, reset: Reset, person: Person, to: Recipient) -> None:
        """When it went elsewhere: at the address they have, and at those that were changed lately."""
        if to.is_user:
            return
        addresses = [person.email or "", *await self._old_addresses(scope, reset)]
        told = [address for address in addresses if is_address(address)]
        await notify.reset_told(scope, told, reset.kind.value, to.words, self._visits.audit.clock.now())

    async def _old_addresses(self, scope: Scope, reset: Reset) -> list[str]:
        """What the log, sealed, says that the user's address was before the changes of the last 30 days."""
        audit = self._visits.audit
        since = audit.clock.now() - _OLD_ADDRESSES_MS
        rows = await audit.read(
            scope.connection, reset.customer, subject=reset.subject, kinds=("operation.done",), from_ms=since
        )
        found = []
        for row in rows:
            before = (await audit.personal(scope.connection, row)).get("before")
            if isinstance(before, dict) and isinstance(before.get("email"), str):
                found.append(before["email"])
        return found

    # --- step 6 ---

    async def _mail_out(
        self, visit: Visit, person: Person, child: ResetChild, reset: Reset, to: Recipient, outcome: asyncio.Event
    ) -> None:
        try:
            sent = await self._is_durable(reset, outcome) and await child.mail(self._retry_s)
        finally:
            child.close()
        if sent:
            await _in_the_end(lambda: self.links.delivered(reset))
            return
        who = f"{person.name} (extension {person.extension})"
        if await _in_the_end(lambda: self._undelivered(reset, who, to)):
            for channel in tuple(visit.channels):
                channel.notify_line(
                    f"The new {notify.SECRETS[reset.kind.value]} of {notify.plain(who)} could not be delivered to "
                    f"{masked(to.address)}; its link is void. Nobody knows it: reset it once more."
                )

    async def _undelivered(self, reset: Reset, who: str, to: Recipient) -> bool:
        """Void, and told to whoever can do something; False when there was nothing to tell."""
        async with self._visits.store.scope(reset.customer) as scope:
            lost = await self.links.undelivered(scope, reset)
            if lost:
                now = self._visits.audit.clock.now()
                await notify.reset_undelivered(
                    scope, reset.engineer, reset.system, reset.kind.value, who, masked(to.address), certain=True,
                    now=now,
                )  # fmt: skip
        if not lost:
            await self.links.give_up(reset, earlier_too=True)
        return lost

    async def _is_durable(self, reset: Reset, outcome: asyncio.Event) -> bool:
        """True once the outcome is committed. What could not be written down is not mailed either."""
        try:
            async with asyncio.timeout(_COMMIT_WITHIN_S):
                await outcome.wait()
        except TimeoutError:
            return False
        async with self._visits.store.scope(reset.customer) as scope:
            here = (links.c.customer_id == reset.customer) & (links.c.id == reset.link)
            # Locked: the outcome's own transaction may still be open, and this waits for its end.
            state = (await scope.execute(select(links.c.state).where(here).with_for_update())).scalar_one()
        return bool(state == LinkState.READY)

    # --- the loop ---

    async def tidy(self) -> None:
        """End links that are past their time, and tell of those whose mail nobody saw going out (a crash)."""
        await self.links.expire()
        # No child delivers for longer than this: what has no outcome by then gets none.
        until = self._visits.audit.clock.now() - (self._retry_s + 2 * MAIL_GRACE_S) * 1000
        for row in await self.links.ready_between(self._settled_ms, until):
            async with self._visits.store.scope(row.customer_id) as scope:
                await self._tell_unconfirmed(scope, row)
        self._settled_ms = max(self._settled_ms, until)

    async def _tell_unconfirmed(self, scope: Scope, row: Any) -> None:
        issued = await self.links.unconfirmed(scope, row)
        if issued is None:
            return
        audit = self._visits.audit
        address = (await audit.personal(scope.connection, issued)).get("address", "")
        await notify.reset_undelivered(
            scope, issued.body["actor"], row.system_id, issued.body["data"]["secret"], "a telephone user",
            masked(str(address)), certain=False, now=audit.clock.now(),
        )  # fmt: skip


async def _in_the_end(write: Callable[[], Awaitable[_T]]) -> _T:
    """What became of a mail is written down even when the database is away for a while."""
    while True:
        try:
            return await write()
        except UnavailableError:
            await asyncio.sleep(_AGAIN_S)


def letter(person: Person, kind: SecretKind, system: str, to: Recipient, *, must_change: bool) -> tuple[str, str]:
    """What stands before and after the link in the one mail that carries it."""
    secret, name = notify.SECRETS[kind.value], notify.plain(person.name)
    whose = f"Your {secret}" if to.is_user else f"The {secret} of {name}"
    why = "" if to.is_user else " You get its link as their approver."
    shows = "Its page shows it to you, with your passkey," if to.by_passkey else "This link shows it"
    where = f"(extension {notify.plain(person.extension)}) on {notify.plain(system)}"
    first = f"{whose} {where} was reset.{why}\n"
    following = "It has to be changed when it is first used.\n" if must_change else ""
    tick = " Then say on the page that you did." if to.by_passkey else ""
    pass_on = "" if to.is_user else f"Give it to {name} yourself; do not pass this mail on.{tick}\n"
    before = f"{first}\nNobody has seen the new one. {shows} once, within 24 hours:\n\n"
    after = f"\n\n{following}{pass_on}If you did not expect this, ring your telephone maintainer now.\n"
    return before, after
