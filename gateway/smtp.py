"""One message over SMTP, with TLS that is verified wherever it leaves this machine."""

from __future__ import annotations

import asyncio
import email.policy
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import aiosmtplib

from gateway.model import is_address

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TIMEOUT_S: Final = 20
# Seven bits on the way: not every relay still takes eight.
_POLICY: Final = email.policy.SMTP.clone(cte_type="7bit")


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


def _context(settings: MailSettings) -> ssl.SSLContext | None:
    if settings.tls != "none":
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    if settings.host not in LOOPBACK:
        raise OSError("mail without TLS goes to this machine only")
    return None


async def send(settings: MailSettings, address: str, subject: str, body: str, message_id: str) -> None:
    """One message over SMTP, to exactly one address.

    `message_id` is the same whenever the same message is sent again, so that a duplicate can be told. aiosmtplib's
    errors and OSError pass through; ValueError when `address` is not one plain address.
    """
    if not is_address(address):
        raise ValueError("not one plain mail address")
    domain = settings.sender.rpartition("@")[2]
    message = EmailMessage(policy=_POLICY)
    message["From"], message["To"] = settings.sender, address
    message["Subject"] = " ".join(subject.split())
    message["Message-ID"] = f"<{message_id}@{domain}>"
    message["Date"] = datetime.now(UTC)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    # The envelope is ours: what a header's text could be read as counts for nothing.
    await aiosmtplib.send(
        message, sender=settings.sender, recipients=[address], hostname=settings.host, port=settings.port,
        use_tls=settings.tls == "tls", start_tls=settings.tls == "starttls", username=settings.username,
        password=settings.password, tls_context=_context(settings), local_hostname=domain, timeout=_TIMEOUT_S,
    )  # fmt: skip
    if (task := asyncio.current_task()) is not None and task.cancelling():
        # Up to Python 3.11 the `wait_for` that aiosmtplib stands on swallows a cancellation that meets an answer.
        raise asyncio.CancelledError


def is_final(error: Exception) -> bool:
    """True when the server said of this very message that it never will take it (5xx), or it cannot be addressed."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= 500 for refused in error.recipients)
    refusals = (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError)
    return isinstance(error, ValueError) or (isinstance(error, refusals) and error.code >= 500)
