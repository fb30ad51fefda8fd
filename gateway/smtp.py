"""Messages over SMTP, with TLS that is verified wherever it leaves this machine."""

from __future__ import annotations

import asyncio
import email.policy
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Self

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


class Way:
    """A connection to the server that messages go over, one after another: opened with the first, and anew where it
    was lost. Belongs to one task; leaving the block closes it."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._domain = settings.sender.rpartition("@")[2]
        self._client: aiosmtplib.SMTP | None = None

    async def send(self, address: str, subject: str, body: str, message_id: str) -> None:
        """One message, to exactly one address.

        `message_id` is the same whenever the same message is sent again, so that a duplicate can be told. aiosmtplib's
        errors and OSError pass through; ValueError when `address` is not one plain address.
        """
        if not is_address(address):
            raise ValueError("not one plain mail address")
        message = EmailMessage(policy=_POLICY)
        message["From"], message["To"] = self._settings.sender, address
        message["Subject"] = " ".join(subject.split())
        message["Message-ID"] = f"<{message_id}@{self._domain}>"
        message["Date"] = datetime.now(UTC)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        try:
            client = await self._open()
            # The envelope is ours: what a header's text could be read as counts for nothing.
            await client.send_message(message, sender=self._settings.sender, recipients=[address])
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused):
            raise  # about this message: the next one may go over the same connection
        except BaseException:
            self._abort()
            raise
        _cancelled()

    async def _open(self) -> aiosmtplib.SMTP:
        if self._client is not None:
            try:
                await self._client.rset()
            except (OSError, aiosmtplib.SMTPException):
                self._abort()  # servers hang up on whoever is silent for a while, or has sent enough
            else:
                return self._client
        settings = self._settings
        self._client = client = aiosmtplib.SMTP(
            hostname=settings.host, port=settings.port, use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls", username=settings.username, password=settings.password,
            tls_context=_context(settings), local_hostname=self._domain, timeout=_TIMEOUT_S,
        )  # fmt: skip
        try:
            await client.connect()
        except BaseException:
            self._abort()
            raise
        _cancelled()
        return client

    def _abort(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Whoever is stopped, or failed, does not wait for a server to say goodbye.
        if self._client is not None and kind is None:
            with suppress(OSError, aiosmtplib.SMTPException):
                await self._client.quit()
        self._abort()


def _cancelled() -> None:
    """Up to Python 3.11 the `wait_for` that aiosmtplib stands on swallows a cancellation that meets an answer."""
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError


async def send(settings: MailSettings, address: str, subject: str, body: str, message_id: str) -> None:
    """One message over a connection of its own: see `Way.send`."""
    async with Way(settings) as way:
        await way.send(address, subject, body, message_id)


def is_final(error: Exception) -> bool:
    """True when the server said of this very message that it never will take it (5xx), or it cannot be addressed."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= 500 for refused in error.recipients)
    refusals = (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError)
    return isinstance(error, ValueError) or (isinstance(error, refusals) and error.code >= 500)
