"""A real SMTP server whose answers a test decides: plain, STARTTLS or TLS, with or without a login."""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import email.policy
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass  # no slots: Python up to 3.11.2 leaves a __weakref__ that aiosmtpd's look at its handler trips over
class Post:
    """What came, and what to answer: `answers` in order, then always "250 kept"."""

    answers: list[str] = field(default_factory=list)
    kept: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: list[SMTP] = field(default_factory=list)
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook."""
        answer = self.answers.pop(0) if self.answers else "250 kept"
        if answer.startswith("250"):
            content = envelope.content or b""
            raw = content.encode() if isinstance(content, str) else content
            self.kept.append(email.message_from_bytes(raw, policy=email.policy.default))  # type: ignore[arg-type]
            self.recipients.append(list(envelope.rcpt_tos))
            self.arrived.set()
        return answer

    def log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        """Right is frameroom / right."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        # Not `handled`: the server words the refusal itself.
        return AuthResult(success=(data.login, data.password) == (b"frameroom", b"right"), handled=False)


def certificate(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate of its own authority for one host name or address: (the authority's file, the server's side)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / f"{host}.pem", folder / f"{host}.key"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, secret)
    return file, context


@asynccontextmanager
async def post_office(
    *, tls: str = "none", context: ssl.SSLContext | None = None, login: bool = False, port: int = 0
) -> AsyncIterator[Post]:
    """A server on a loopback port. `tls`: "none", "starttls" (which it then insists on) or "tls"."""
    post = Post()
    starttls = context if tls == "starttls" else None

    def make() -> SMTP:
        made = SMTP(
            post, hostname="localhost", tls_context=starttls, require_starttls=starttls is not None,
            authenticator=post.log_in if login else None, auth_required=login, auth_require_tls=login,
        )  # fmt: skip
        post.connections.append(made)
        return made

    factory: Callable[[], SMTP] = make
    server = await asyncio.get_running_loop().create_server(
        factory, "127.0.0.1", port, ssl=context if tls == "tls" else None
    )
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()
