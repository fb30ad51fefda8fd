"""SIP REGISTER with digest authentication (RFC 3261 section 22, RFC 2617): the lab's registrar and a small client."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.lab.store import LabStore

REALM = "lab.customer.example"
_LONGEST = 3600
_FIELD = re.compile(r'(\w+)="?([^",]*)"?')


def _md5(text: str) -> str:
    # RFC 2617 names MD5; it proves a password to a telephone's registrar here and protects nothing of ours.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def digest_response(user: str, password: str, nonce: str, uri: str) -> str:
    """RFC 2617 section 3.2.2 without qop, for REGISTER."""
    return _md5(f"{_md5(f'{user}:{REALM}:{password}')}:{nonce}:{_md5(f'REGISTER:{uri}')}")


def _headers(message: str) -> dict[str, str]:
    head = message.split("\r\n\r\n", 1)[0].split("\r\n")[1:]
    pairs = (line.partition(":") for line in head)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _lifetime(headers: dict[str, str]) -> int:
    """Seconds (RFC 3261 section 10.2.1.1): the contact's own `expires`, else the header's; an hour at most."""
    own = re.search(r";\s*expires=([0-9]{1,10})", headers.get("contact", ""), re.IGNORECASE)
    given = own.group(1) if own else headers.get("expires", "")
    return min(int(given), _LONGEST) if re.fullmatch("[0-9]{1,10}", given) else _LONGEST


class Registrar(asyncio.DatagramProtocol):
    """Answers REGISTER: 401 with a challenge, 200 when the digest holds, 401 again when it does not."""

    def __init__(self, store: LabStore) -> None:
        self._store = store
        self._nonces: dict[str, float] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the socket."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """One request, one answer; what is not a REGISTER is passed over."""
        if len(data) > 4096 or not data.startswith(b"REGISTER ") or self._transport is None:
            return
        headers = _headers(data.decode("utf-8", "replace"))
        given = dict(_FIELD.findall(headers.get("authorization", "")))
        user = given.get("username", "")
        password = self._store.sip_secret(user)
        now = time.monotonic()
        fresh = self._nonces.pop(given.get("nonce", ""), 0.0) > now
        wanted = digest_response(user, password, given.get("nonce", ""), given.get("uri", "")) if password else ""
        if fresh and password and secrets.compare_digest(wanted.encode(), given.get("response", "").encode()):
            expires = _lifetime(headers)
            self._store.register(user, f"{address[0]}:{address[1]}", expires)
            status, extra = "200 OK", ""
        else:
            nonce = secrets.token_hex(16)
            if len(self._nonces) > 10_000:
                self._nonces.clear()
            self._nonces[nonce] = now + 60
            status = "401 Unauthorized"
            extra = f'WWW-Authenticate: Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5\r\n'
        copied = "".join(
            f"{n}: {headers[n.lower()]}\r\n" for n in ("Via", "From", "To", "Call-ID", "CSeq") if n.lower() in headers
        )
        self._transport.sendto(f"SIP/2.0 {status}\r\n{copied}{extra}Content-Length: 0\r\n\r\n".encode(), address)


def register(host: str, port: int, user: str, password: str, expires: int = 60) -> int:
    """REGISTER once with these credentials; the final status code (200 accepted, 401 refused)."""
    uri, call = f"sip:{host}:{port}", secrets.token_hex(8)

    def ask(number: int, authorization: str) -> tuple[int, dict[str, str]]:
        request = (
            f"REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
            f"From: <sip:{user}@{host}>;tag=1\r\nTo: <sip:{user}@{host}>\r\nCall-ID: {call}\r\n"
            f"CSeq: {number} REGISTER\r\nExpires: {expires}\r\n{authorization}Content-Length: 0\r\n\r\n"
        )
        link.send(request.encode())
        answer = link.recv(4096).decode()
        return int(answer.split(" ", 2)[1]), _headers(answer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(5)
        link.connect((host, port))
        status, headers = ask(1, "")
        if status != 401:
            return status
        nonce = dict(_FIELD.findall(headers["www-authenticate"]))["nonce"]
        response = digest_response(user, password, nonce, uri)
        status, _ = ask(
            2,
            f'Authorization: Digest username="{user}", realm="{REALM}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5\r\n',
        )
        return status
