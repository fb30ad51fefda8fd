"""Mail to the customer: written into the outbox with the change it tells of, sent by a loop.

A message never carries a decision or a secret. (The one mail that carries a link goes out from the reset's own
child process and never touches the outbox.)
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiosmtplib
from sqlalchemy import delete, insert, select, update

from audit.events import Event, Personal
from audit.log import AuditLog
from gateway.errors import FrameroomError
from gateway.model import Grant, Request, new_id
from gateway.store.engine import Scope, Store
from gateway.store.tables import agreements, approvers, contacts, engineers, outbox, systems

WORDS = {
    "find": "look up people by name, number or email",
    "list-all": "list everyone",
    "view": "see one person's name, email and direct number",
    "alter": "change a person's name, email or direct number",
    "remove": "remove a person",
    "reset-voicemail": "reset a voicemail PIN (without seeing it)",
    "reset-sip": "reset a telephone's password (without seeing it)",
    "reset-portal": "reset a portal password (without seeing it)",
    "diag": "run diagnostics from a fixed list (an addition to the five operations)",
}


@dataclass(frozen=True, slots=True)
class MailSettings:
    """How to reach the SMTP server. `tls`: "starttls", "tls", or "none" (loopback only)."""

    host: str
    port: int
    sender: str
    tls: str = "starttls"
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None


async def send(settings: MailSettings, address: str, subject: str, body: str) -> None:
    """One message over SMTP. aiosmtplib's errors and OSError pass through."""
    message = EmailMessage()
    message["From"], message["To"] = settings.sender, address
    message["Subject"] = " ".join(subject.split())
    message["Message-ID"] = f"<{new_id('msg')}@{settings.sender.rpartition('@')[2]}>"
    message["Date"] = datetime.now(UTC)
    message.set_content(body)
    context = None
    if settings.tls != "none":
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    elif settings.host not in {"127.0.0.1", "::1", "localhost"}:
        raise OSError("mail without TLS goes to this machine only")
    await aiosmtplib.send(
        message, hostname=settings.host, port=settings.port, use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls", username=settings.username, password=settings.password,
        tls_context=context, timeout=20,
    )  # fmt: skip


async def queue(scope: Scope, addresses: Sequence[str], what: str, subject: str, body: str, now: int) -> None:
    """Put a message to each address into the outbox, in the caller's transaction."""
    for address in dict.fromkeys(addresses):
        await scope.execute(
            insert(outbox).values(
                customer_id=scope.customer_id, id=new_id("msg"), address=address, what=what, subject=subject, body=body,
                tries=0, due_ms=now,
            )
        )  # fmt: skip


async def _to_contacts(scope: Scope, wishes: tuple[str, ...]) -> list[str]:
    query = select(contacts.c.email).where(contacts.c.customer_id == scope.customer_id, contacts.c.notices.in_(wishes))
    return list((await scope.execute(query)).scalars())


async def _names(scope: Scope, engineer_id: str, system_id: str) -> tuple[str, str]:
    engineer = (await scope.execute(select(engineers.c.name).where(engineers.c.id == engineer_id))).scalar_one()
    here = (systems.c.customer_id == scope.customer_id) & (systems.c.id == system_id)
    return str(engineer), str((await scope.execute(select(systems.c.name).where(here))).scalar_one())


async def _zone(scope: Scope) -> ZoneInfo:
    query = (
        select(agreements.c.terms)
        .where(agreements.c.customer_id == scope.customer_id)
        .order_by(agreements.c.version.desc())
        .limit(1)
    )
    terms = (await scope.execute(query)).scalar_one_or_none()
    return ZoneInfo(json.loads(terms)["zone"] if terms else "Europe/London")


def _time(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%A %d %B %Y, %H:%M") + f" ({zone.key})"


async def consent_recorded(scope: Scope, request: Request, grant: Grant, approver: str, at_ms: int, now: int) -> None:
    """To every approver at once: a yes was entered for you."""
    engineer, system = await _names(scope, request.engineer_id, request.system_id)
    zone = await _zone(scope)
    query = select(approvers.c.email).where(
        approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None)
    )
    can = "\n".join(f"  - {WORDS[o]}" for o in sorted(grant.operations))
    body = (
        f"A yes given by telephone was entered for you ({grant.how}).\n\n"
        f"Said yes: {approver}, {_time(at_ms, zone)}\nWho may come in: {engineer}\nPhone system: {system}\n"
        f"Until: {_time(grant.until_ms, zone)}\nWhy: {request.reason} (ticket {request.ticket or 'none'})\n"
        f"What they may do:\n{can}\n\nIf nobody of yours said this yes, ring us now and ask for it to be ended.\n"
    )
    addresses = list((await scope.execute(query)).scalars())
    await queue(scope, addresses, "consent by telephone", f"A yes by telephone was entered: {engineer}", body, now)


async def revoked(scope: Scope, grant: Grant, reason: str, now: int) -> None:
    """Permission was ended."""
    engineer, system = await _names(scope, grant.engineer_id, grant.system_id)
    body = (
        f"The permission of {engineer} for {system} was ended on {_time(now, await _zone(scope))}.\nReason: {reason}\n"
    )
    await queue(scope, await _to_contacts(scope, ("each", "changes")), "revoked", f"Ended: {engineer}", body, now)


async def visit_opened(scope: Scope, engineer_id: str, system_id: str, how: str, now: int) -> None:
    """Somebody is in."""
    engineer, system = await _names(scope, engineer_id, system_id)
    body = f"{engineer} came into {system} on {_time(now, await _zone(scope))}.\nPermission: {how}.\n"
    await queue(scope, await _to_contacts(scope, ("each",)), "visit opened", f"{engineer} is in {system}", body, now)


async def visit_closed(
    scope: Scope, engineer_id: str, system_id: str, lines: Sequence[str], changed: bool, now: int
) -> None:
    """What was done, in plain words."""
    engineer, system = await _names(scope, engineer_id, system_id)
    done = "\n".join(f"  - {line}" for line in lines) or "  - nothing was looked at or changed"
    body = f"{engineer} left {system} on {_time(now, await _zone(scope))}.\n\nWhat was done:\n{done}\n"
    wishes = ("each", "changes") if changed else ("each",)
    await queue(scope, await _to_contacts(scope, wishes), "visit closed", f"{engineer} left {system}", body, now)


class Postman:
    """Sends what is in the outbox; `run` belongs to the caller's TaskGroup."""

    def __init__(self, store: Store, audit: AuditLog, settings: MailSettings) -> None:
        self._store, self._audit, self._settings = store, audit, settings

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            # A database that is away for a moment holds mail up; what is due stays in the outbox.
            with suppress(FrameroomError):
                await self.send_due()
            await asyncio.sleep(0.5)

    async def send_due(self) -> None:
        """Send once what is due; what fails waits longer each time, a day at most."""
        now = self._audit.clock.now()
        async with self._store.look_at_everyone() as scope:
            due = (await scope.execute(select(outbox).where(outbox.c.due_ms <= now).limit(50))).all()
        for row in due:
            try:
                await send(self._settings, row.address, row.subject, row.body)
            except (OSError, aiosmtplib.SMTPException) as error:
                await self._later(row, type(error).__name__, now)
            else:
                await self._done(row)

    async def _done(self, row: Any) -> None:
        async with self._store.scope(row.customer_id) as scope:
            here = (outbox.c.customer_id == row.customer_id) & (outbox.c.id == row.id)
            await scope.execute(delete(outbox).where(here))
            personal = (Personal("address", row.address, f"customer:{row.customer_id}"),)
            event = Event("notice.sent", row.customer_id, "postman", data={"what": row.what}, personal=personal)
            await self._audit.append(scope.connection, event)

    async def _later(self, row: Any, code: str, now: int) -> None:
        async with self._store.scope(row.customer_id) as scope:
            here = (outbox.c.customer_id == row.customer_id) & (outbox.c.id == row.id)
            wait = min(5_000 * 2**row.tries, 86_400_000)
            await scope.execute(update(outbox).where(here).values(tries=row.tries + 1, due_ms=now + wait))
            if row.tries == 0:
                personal = (Personal("address", row.address, f"customer:{row.customer_id}"),)
                event = Event(
                    "notice.failed",
                    row.customer_id,
                    "postman",
                    data={"what": row.what, "code": code},
                    personal=personal,
                )
                await self._audit.append(scope.connection, event)
