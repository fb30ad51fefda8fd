"""Two OpenID providers on loopback: a real one (npm oidc-provider, certified), and one that lies as a test wants."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

import httpx
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit.assertions import to_text
from tests.support.need import PROVIDER, need_provider

CLIENT, SECRET = "frameroom", "client-secret-0123456789-0123456789"
KATE = {"email": "kate@customer.example", "email_verified": True, "name": "Kate", "groups": ["telephony", "staff"]}


def answer_of(url: str) -> dict[str, str]:
    """What stands in the address that a provider sends the browser back with."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class RealProvider:
    """A process. `accounts`: what it says of each subject; write it with `says`."""

    file: Path
    issuer: str = ""
    clients: list[dict[str, Any]] = field(default_factory=list)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    userinfo: bool = True

    def says(self, **accounts: dict[str, Any]) -> None:
        """Of these subjects, from now on."""
        self.accounts |= accounts
        told = {"clients": self.clients, "accounts": self.accounts, "userinfo": self.userinfo}
        self.file.write_text(json.dumps(told))

    def takes(self, *redirects: str, client: str = CLIENT) -> None:
        """A client that it knows; before it starts."""
        self.clients.append(
            {
                "client_id": client, "client_secret": SECRET, "redirect_uris": list(redirects),
                "grant_types": ["authorization_code"], "response_types": ["code"],
            }
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RealProvider]:
        """While it runs."""
        self.says()
        nothing = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            need_provider(), str(PROVIDER / "provider.mjs"), str(self.file), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=nothing,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            self.issuer = (await process.stdout.readline()).decode().strip()
            yield self
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def visit(self, url: str, subject: str) -> dict[str, str]:
        """What a browser does there as this subject: sign in, consent, and come back with this answer."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.get(url)
            for _ in range(12):
                if answer.has_redirect_location:
                    to = urljoin(str(answer.url), answer.headers["location"])
                    if not to.startswith(self.issuer):
                        return answer_of(to)
                    answer = await browser.get(to)
                    continue
                form = re.findall(r'action="([^"]+)"', answer.text)
                assert form, answer.text
                prompt = re.findall(r'name="prompt" value="(\w+)"', answer.text)[0]
                sent = {"prompt": prompt, "login": subject, "password": "x"}
                answer = await browser.post(urljoin(str(answer.url), form[0]), data=sent)
        raise AssertionError("it did not come back")


@dataclass
class LyingProvider:
    """A server of our own that says whatever `token`, `keys` and `document` make of the truth."""

    port: int = 0
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    claims: dict[str, Any] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "ES256", "kid": "one"})
    signs_with: Any = None
    asked: list[dict[str, str]] = field(default_factory=list)
    raw: Response | None = None
    userinfo: dict[str, Any] = field(default_factory=dict)
    certificate: Path | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.certificate is None else f"https://localhost:{self.port}"

    def _document(self, _: Request) -> Response:
        told = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/auth", "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint": f"{self.issuer}/token",
        }  # fmt: skip
        return self.raw or JSONResponse(told | self.document)

    def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    def _userinfo(self, _: Request) -> Response:
        return JSONResponse(self.userinfo)

    async def _token(self, request: Request) -> Response:
        self.asked.append(dict(parse_qsl((await request.body()).decode())))
        if self.header["alg"] == "none":
            parts = [_plain(self.header), _plain(self.claims), ""]
            return JSONResponse({"token_type": "Bearer", "access_token": "t", "id_token": ".".join(parts)})
        signed = jwt.encode(self.header, self.claims, self.signs_with or self.key, algorithms=[self.header["alg"]])
        return JSONResponse({"token_type": "Bearer", "access_token": "t", "id_token": signed})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LyingProvider]:
        """While it runs."""
        app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._document), Route("/keys", self._keys),
                Route("/me", self._userinfo),
                Route("/token", self._token, methods=["POST"]),
            ]
        )  # fmt: skip
        # Connections wait in the socket's own queue until the server is up, so nobody waits for it.
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", loop="asyncio", ssl_certfile=self.certificate)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = True
            await asyncio.to_thread(thread.join)
            listening.close()


def _plain(part: dict[str, Any]) -> str:
    return to_text(json.dumps(part).encode())


def shared_key() -> OctKey:
    """Our own client secret as a key: what a provider's HS256 would be signed with."""
    return OctKey.import_key(SECRET)


def certified(folder: Path, name: str, authority: Path | None = None) -> tuple[Path, Path]:
    """(an authority's certificate, a file with the key and certificate of a name that it vouches for), both PEM."""
    ca_file, ca_key_file = folder / "ca.pem", folder / "ca.key"
    now = datetime.datetime.now(datetime.UTC)

    def made(subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)] if not ca else []), critical=False)
        )
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def text(key: ec.EllipticCurvePrivateKey) -> bytes:
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return key.private_bytes(pem, pkcs8, serialization.NoEncryption())

    if authority is None:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_key_file.write_bytes(text(ca_key))
        ca_file.write_bytes(made("an authority", ca_key, ca_key, True))
    signer = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    own = ec.generate_private_key(ec.SECP256R1())
    file = folder / f"{name}.pem"
    file.write_bytes(text(own) + made(name, own, signer, False))
    return ca_file, file
