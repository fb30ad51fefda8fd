"""What is said to a customer's OpenID provider, and what of its answers is believed.

The provider's answers name the addresses that are asked next, so every one of them is judged where it is reached:
https, or a provider on this very machine; and no address inside the operator's own network unless the operator named
that network. Sources: OpenID Connect Core 1.0 (3.1.3.7, 5.3.2) and Discovery 1.0 (4.3), RFC 7636 (PKCE), RFC 9207.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.errors import InvalidError, NotPermittedError, UnavailableError
from gateway.notify.apprise_child import may_reach

log = structlog.get_logger()

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Of an id_token's signature: a key pair's, so that neither "none" nor our own client secret signs one."""
SCOPE: Final = "openid email profile"
_LARGEST: Final = 1 << 20
_SECONDS: Final = 10
_LEEWAY_S: Final = 60
_KEPT_S: Final = 300
_USE_PASSKEY: Final = "Your passkey works all the same; try this again later."


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is asked what, as its own discovery document says."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str
    posts_secret: bool
    names_itself: bool
    """Its answers carry `iss` (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are there."""

    id: str
    secret: str = field(repr=False)
    redirect: str


class _Inside(Exception):
    """An address that is not reached from here."""


_AWAY: Final = (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, _Inside)


def is_loopback(host: str) -> bool:
    """True for this very machine, by name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def may_ask(url: str, *, here: bool) -> bool:
    """True for an address that a provider may have: https without a login in it; on this machine also http."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if (
        not host
        or parts.username is not None
        or parts.fragment
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        return False
    return parts.scheme == "https" or (here and parts.scheme == "http" and is_loopback(host))


class _Careful(httpx2.AsyncBaseTransport):
    """Reaches only what may be reached, at the very address that was judged, and reads no more than a megabyte."""

    def __init__(self, networks: tuple[str, ...], tls: ssl.SSLContext, *, here: bool) -> None:
        self._networks, self._here = list(networks), here
        self._below = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request. _Inside; httpx2's own errors."""
        if not may_ask(str(request.url), here=self._here):
            raise _Inside
        host = request.url.host
        request.url = request.url.copy_with(host=await self._address(host, request.url.port or 443))
        # The certificate is the name's, whatever address answered.
        request.extensions = dict(request.extensions) | {"sni_hostname": host}
        # What is squeezed could be a thousand times larger than what was counted.
        request.headers["Accept-Encoding"] = "identity"
        answer = await self._below.handle_async_request(request)
        try:
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise httpx2.DecodingError("squeezed, and was asked not to be")
            body = b""
            async for part in answer.aiter_raw():
                body += part
                if len(body) > _LARGEST:
                    raise httpx2.DecodingError("too long")
        finally:
            await answer.aclose()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body)

    async def _address(self, host: str, port: int) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for *_, address in found:
            if may_reach(address[0], self._networks) or (self._here and is_loopback(str(address[0]))):
                return str(address[0])
        raise _Inside

    async def aclose(self) -> None:
        """Close what is open."""
        await self._below.aclose()


class Wire:
    """Asks providers. `networks` are not public and are reached all the same; `ca_file`: an authority that vouches for
    providers beside the public ones. What discovery told is kept 5 minutes. OSError for a file that is none."""

    def __init__(self, networks: tuple[str, ...] = (), ca_file: Path | None = None) -> None:
        self._networks, self._tls = networks, ssl.create_default_context()
        if ca_file is not None:
            self._tls.load_verify_locations(ca_file)
        self._known: dict[str, tuple[float, Endpoints]] = {}

    def _transport(self, issuer: str) -> _Careful:
        return _Careful(self._networks, self._tls, here=is_loopback(urlsplit(issuer).hostname or ""))

    async def _asked(self, issuer: str, url: str, token: str = "") -> dict[str, Any]:
        """A JSON object by GET. UnavailableError, whatever is wrong with it."""
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            async with asyncio.timeout(_SECONDS), httpx2.AsyncClient(transport=self._transport(issuer)) as client:
                answer = await client.get(url, headers=headers)
            told = answer.json()
        except (*_AWAY, ValueError, RecursionError) as error:
            raise away(error) from error
        if answer.status_code != 200 or not isinstance(told, dict):
            raise away()
        return told

    async def discover(self, issuer: str) -> Endpoints:
        """Discovery 1.0, section 4. UnavailableError when it does not answer; InvalidError for an answer that is not
        this issuer's, or that leads where nothing is asked."""
        kept = self._known.get(issuer)
        if kept is not None and time.monotonic() - kept[0] < _KEPT_S:
            return kept[1]
        told = await self._asked(issuer, get_well_known_url(issuer, external=True))
        if told.get("issuer") != issuer:
            raise InvalidError(
                "the provider calls itself something else than this issuer",
                next_step=f"It says {str(told.get('issuer'))[:200]!r}: give exactly that, if it is theirs.",
            )
        here = is_loopback(urlsplit(issuer).hostname or "")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
        urls = [str(told.get(name) or "") for name in names]
        for name, url in zip(names, urls, strict=True):
            if not may_ask(url, here=here) and (url or name != "userinfo_endpoint"):
                raise InvalidError(f"the provider's {name} is no https address", next_step="Tell whoever runs it.")
        ways = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        found = Endpoints(
            issuer, urls[0], urls[1], urls[2], urls[3], "client_secret_basic" not in ways,
            told.get("authorization_response_iss_parameter_supported") is True,
        )  # fmt: skip
        self._known[issuer] = (time.monotonic(), found)
        return found

    def _session(self, endpoints: Endpoints, client: Client) -> AsyncOAuth2Client:
        way = "client_secret_post" if endpoints.posts_secret else "client_secret_basic"
        return AsyncOAuth2Client(
            client.id, client.secret, token_endpoint_auth_method=way, scope=SCOPE, redirect_uri=client.redirect,
            code_challenge_method="S256", transport=self._transport(endpoints.issuer),
        )  # fmt: skip

    async def way_there(self, endpoints: Endpoints, client: Client, state: str, nonce: str, verifier: str) -> str:
        """The provider's address that the browser is sent to: code flow, PKCE, state and nonce."""
        async with self._session(endpoints, client) as session:
            url, _ = session.create_authorization_url(
                endpoints.authorization, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    async def claims(
        self, endpoints: Endpoints, client: Client, code: str, nonce: str, verifier: str, wanted: tuple[str, ...]
    ) -> dict[str, Any]:
        """What the provider says of whoever came back with `code`, its signature and every bound of it checked. Where
        the id_token lacks one of the `wanted` claims, userinfo is asked too.

        UnavailableError when it does not answer, NotPermittedError for everything else.
        """
        try:
            async with asyncio.timeout(_SECONDS), self._session(endpoints, client) as session:
                token = await session.fetch_token(
                    endpoints.token, grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except _AWAY as error:
            raise away(error) from error
        except (AuthlibBaseError, ValueError, KeyError, TypeError, AttributeError) as error:
            # The one that staff can mend: a client id or secret that the provider does not know.
            log.warning("a customer's sign-in provider gave no token", why=str(getattr(error, "error", ""))[:40])
            raise refused() from error
        keys = await self._asked(endpoints.issuer, endpoints.keys)
        told = id_token(token, keys, endpoints.issuer, client.id, nonce)
        lacks = any(name and name not in told for name in wanted)
        if lacks and endpoints.userinfo and isinstance(token.get("access_token"), str):
            more = await self._asked(endpoints.issuer, endpoints.userinfo, token["access_token"])
            # Core 5.3.2: or it is somebody else's. And what is said of one address is not said of another.
            emails = {str(one["email"]) for one in (told, more) if "email" in one}
            if more.get("sub") != told["sub"] or len(emails) > 1:
                raise refused()
            told = more | told
        return told


def id_token(token: Any, keys: dict[str, Any], issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of a token answer's id_token, after Core 3.1.3.7. NotPermittedError, whatever is wrong with it."""
    options: Any = {
        "iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True}, "exp": {"essential": True}, "iat": {"essential": True},
    }  # fmt: skip
    try:
        usable = [one for one in keys["keys"] if one.get("kty") in {"RSA", "EC", "OKP"} and one.get("use") != "enc"]
        found = jwt.decode(token["id_token"], KeySet.import_key_set({"keys": usable}), algorithms=ALGORITHMS)
        params = {"nonce": nonce, "client_id": client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(found.claims, found.header, options, params)
        claims.validate(now=int(time.time()), leeway=_LEEWAY_S)
    except (JoseError, AuthlibBaseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refused() from error
    return dict(found.claims)


def away(error: BaseException | None = None) -> UnavailableError:
    """The provider does not answer, or not in a way that can be used."""
    if isinstance(error, _Inside):
        words = "Your organisation's sign-in leads to an address that is not reached from here."
        return UnavailableError(words, next_step="Your passkey works all the same; tell your telephone maintainer.")
    return UnavailableError("Your organisation's sign-in does not answer just now.", next_step=_USE_PASSKEY)


def refused() -> NotPermittedError:
    """Whatever was wrong with an answer: whoever made it up learns nothing."""
    return NotPermittedError(
        "Your organisation's sign-in gave no answer that holds.", next_step="Begin again from the sign-in page."
    )
