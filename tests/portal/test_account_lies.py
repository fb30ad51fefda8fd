"""What a provider, or somebody between, makes up: it opens nothing, and crashes nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey
from starlette.responses import Response

from audit.assertions import to_text
from gateway.errors import InvalidError, NotPermittedError, UnavailableError
from gateway.identity.oidc_wire import Wire, id_token
from gateway.portal.site import COOKIE
from gateway.store.sign_in_tables import oidc_accounts
from tests.portal.account import back, begun, given, lied, lying
from tests.portal.approver import approver
from tests.portal.conftest import SITE, Site
from tests.support.openid import CLIENT, KATE, SECRET, LyingProvider, answer_of, certified, shared_key

__all__ = ["lying"]


async def test_the_truth_is_believed_and_asked_for_with_pkce(site: Site, lying: LyingProvider) -> None:
    await approver(site)
    assert (await lied(site, lying)).status_code == 303
    assert lying.asked[-1]["code_verifier"]
    url, _ = await begun(site)
    asked = parse_qs(urlsplit(url).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert asked["redirect_uri"] == [f"{SITE}/sign-in/back/{site.brook.customer}"]
    assert SECRET not in url


LIES: dict[str, dict[str, Any]] = {
    "wrong nonce": {"nonce": "another"}, "no nonce": {"nonce": None}, "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "another"}, "two audiences": {"aud": [CLIENT, "another"]},
    "another party": {"aud": [CLIENT], "azp": "another"}, "expired": {"exp": int(time.time()) - 300},
    "no end": {"exp": None}, "no subject": {"sub": None}, "a number for a subject": {"sub": 7},
    "from the future": {"iat": int(time.time()) + 3600, "nbf": int(time.time()) + 3600},
    "another's access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    "verified in words": {"email_verified": "yes"}, "an address that is two": {"email": "kate@customer.example,x@y.z"},
    "a list of addresses": {"email": ["kate@customer.example"]},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_lie_in_the_token_opens_nothing(site: Site, lying: LyingProvider, lie: dict[str, Any]) -> None:
    await approver(site)
    refused = await lied(site, lying, **lie)
    assert refused.status_code == 403
    assert COOKIE not in refused.cookies


async def test_a_signature_that_is_nobodys_opens_nothing(site: Site, lying: LyingProvider) -> None:
    await approver(site)
    lying.header = {"alg": "none"}
    assert (await lied(site, lying)).status_code == 403
    lying.header, lying.signs_with = {"alg": "HS256", "kid": "one"}, shared_key()
    assert (await lied(site, lying)).status_code == 403
    lying.header, lying.signs_with = {"alg": "ES256", "kid": "one"}, ECKey.generate_key("P-256")
    assert (await lied(site, lying)).status_code == 403
    lying.header = {"alg": "ES256", "kid": "two"}
    assert (await lied(site, lying)).status_code == 403
    lying.header, lying.signs_with = {"alg": "ES256", "kid": "one"}, None
    assert (await lied(site, lying)).status_code == 303


async def test_another_customers_provider_signs_nobody_in_here(site: Site, lying: LyingProvider) -> None:
    """The neighbour's provider says that it has Kate: its answers count at the neighbour's alone."""
    await approver(site)
    other = await site.brook.directory.add_customer("t", "Neighbour")
    async with LyingProvider().running() as theirs:
        await site.providers.set("t", other, given(theirs.issuer))
        url, cookie = await begun(site, customer=other)
        asked, now = answer_of(url), int(time.time())
        token = {"aud": CLIENT, "sub": "kate", "nonce": asked["nonce"], "iat": now, "exp": now + 300} | KATE
        answer = {"state": asked["state"], "code": "c"}
        # At Brook's address: what the neighbour's browser began is not Brook's.
        assert (await back(site, cookie, answer)).status_code == 403
        # Brook's issuer in a token of the neighbour's, and the neighbour's own: Kate is no person of theirs.
        theirs.claims = token | {"iss": lying.issuer}
        assert (await back(site, cookie, answer, other)).status_code == 403
        theirs.claims = token | {"iss": theirs.issuer}
        assert (await back(site, cookie, answer, other)).status_code == 403
        # A token of theirs handed out at Brook's provider.
        lying.signs_with, lying.claims = theirs.key, token | {"iss": theirs.issuer}
        url, cookie = await begun(site)
        assert (await back(site, cookie, answer | {"state": answer_of(url)["state"]})).status_code == 403
        # RFC 9207: an answer that names another issuer.
        named = {"state": answer_of(url)["state"], "code": "c", "iss": theirs.issuer}
        assert (await back(site, cookie, named)).status_code == 403
    assert await site.brook.rows(oidc_accounts) == []


async def test_nobody_is_led_to_another_site_afterwards(site: Site, lying: LyingProvider) -> None:
    await approver(site)
    for odd in ("https://evil.example", "//evil.example", "/\\evil.example", "/x//y", "javascript:1", "/a?b=//c", ""):
        url, cookie = await begun(site, odd)
        asked, now = answer_of(url), int(time.time())
        lying.claims = {
            "iss": lying.issuer, "aud": CLIENT, "sub": "kate", "nonce": asked["nonce"], "iat": now, "exp": now + 300,
        } | KATE  # fmt: skip
        answer = await back(site, cookie, {"state": asked["state"], "code": "c"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), odd


async def test_a_discovery_document_leads_nowhere_inside(site: Site, lying: LyingProvider) -> None:
    customer, before = site.brook.customer, await site.providers.of(site.brook.customer)
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        for odd in ("http://10.0.0.1/x", "ftp://a.example", "", 7, "https://me@a.example/", "javascript:alert(1)"):
            site.providers._wire._known.clear()
            lying.document = {name: odd}
            with pytest.raises(InvalidError):
                await site.providers.set("t", customer, given(lying.issuer))
    site.providers._wire._known.clear()
    lying.document = {"issuer": "https://evil.example"}
    with pytest.raises(InvalidError, match="something else"):
        await site.providers.set("t", customer, given(lying.issuer))
    lying.document = {}
    bomb = b"[" * (2 << 20)
    for odd in (
        Response(b"no"),
        Response(b"[1]"),
        Response(bomb),
        Response(b"{}", 500),
        Response(b"\x1f", headers={"content-encoding": "gzip"}),
    ):
        lying.raw = odd
        with pytest.raises(UnavailableError):
            await site.providers.set("t", customer, given(lying.issuer))
    assert await site.providers.of(customer) == before


async def test_addresses_inside_our_own_network_are_not_reached_unless_they_are_named(
    site: Site, lying: LyingProvider
) -> None:
    for issuer in (f"https://localhost.localdomain:{lying.port}", "https://127.0.0.2:9", "https://[::ffff:10.0.0.1]:9"):
        site.providers._wire._known.clear()
        with pytest.raises(UnavailableError):
            await site.providers.set("t", site.brook.customer, given(issuer))
    # A public issuer whose document leads to this machine's own services.
    lying.document = {"token_endpoint": "http://169.254.169.254/latest"}
    site.providers._wire._known.clear()
    with pytest.raises(InvalidError):
        await site.providers.set("t", site.brook.customer, given(lying.issuer))


@pytest.mark.parametrize(
    "odd",
    [
        {"issuer": "http://login.customer.example"}, {"issuer": "file:///etc/passwd"}, {"issuer": "https://a/?x=1"},
        {"issuer": "https://a b"}, {"domains": ()}, {"domains": ("no domain",)}, {"domains": ("",)}, {"name": ""},
        {"name": "x" * 61}, {"client_id": ""}, {"secret": "ä"}, {"claim": "groups"}, {"verified_claim": "a b"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_a_provider_is_refused_and_nothing_is_kept(site: Site, odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        await site.providers.set(
            "t", site.brook.customer, given(**({"issuer": "https://login.customer.example"} | odd))
        )
    assert await site.providers.of(site.brook.customer) is None


ODD_KEYS: dict[str, Any] = {
    "no list": {"keys": 7}, "no keys": {}, "no objects": {"keys": ["x", None, 7]},
    "a curve that is none": {"keys": [{"kty": "EC", "kid": "one", "crv": "P-9", "x": "AA", "y": "AA"}]},
    "a point that is none": {"keys": [{"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA"}]},
    "a number that is none": {"keys": [{"kty": "RSA", "kid": "one", "n": "!", "e": "AQAB"}]},
    "a tiny one": {"keys": [{"kty": "RSA", "kid": "one", "n": "AQAB", "e": "AQAB"}]},
    "a short one": {"keys": [{"kty": "OKP", "kid": "one", "crv": "Ed25519", "x": "AA"}]},
    "a shared one": {"keys": [shared_key().as_dict(private=True) | {"kid": "one"}]},
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD_KEYS.values(), ids=ODD_KEYS)
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA", "HS256"])
def test_keys_that_are_none_are_no_crash(odd: Any, algorithm: str) -> None:
    head, body = (to_text(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": "one"}, {"sub": "kate"}))
    for token in ({"id_token": f"{head}.{body}.AAAA"}, {"id_token": f"{head}.{body}"}, {"id_token": 7}, {}):
        with pytest.raises(NotPermittedError):
            id_token(token, odd, "https://login.customer.example", CLIENT, "nonce")


async def test_a_provider_over_tls_is_the_one_that_its_certificate_names(tmp_path: Path) -> None:
    authority, certificate = certified(tmp_path, "localhost")
    async with LyingProvider(certificate=certificate).running() as provider:
        found = await Wire((), authority).discover(provider.issuer)
        assert found.token == f"{provider.issuer}/token"
        with pytest.raises(UnavailableError):  # nobody vouches for it
            await Wire().discover(provider.issuer)
    _, other = certified(tmp_path, "elsewhere.example", authority)
    async with LyingProvider(certificate=other).running() as provider:
        with pytest.raises(UnavailableError):
            await Wire((), authority).discover(provider.issuer)


async def test_a_document_that_turned_bad_is_told_in_a_page(site: Site, lying: LyingProvider) -> None:
    lying.document = {"issuer": "https://evil.example"}
    site.providers._wire._known.clear()
    answer = await site.ask("GET", f"/sign-in/with/{site.brook.customer}")
    assert answer.status_code == 503
    assert "evil" not in answer.text


async def test_userinfo_adds_what_the_token_lacks_and_speaks_of_nobody_else(site: Site, lying: LyingProvider) -> None:
    await approver(site)
    lying.document = {"userinfo_endpoint": f"{lying.issuer}/me"}
    site.providers._wire._known.clear()
    for odd in ({"sub": "mallory"} | KATE, KATE, {"sub": "kate"}, {"sub": "kate", "email": "kate@customer.example"}):
        lying.userinfo = odd
        assert (await lied(site, lying, email=None, email_verified=None)).status_code == 403, odd
    # An address that it verified is not the one in the token.
    lying.userinfo = {"sub": "kate", "email": "mine@customer.example", "email_verified": True}
    assert (await lied(site, lying, email_verified=None)).status_code == 403
    lying.userinfo = {"sub": "kate"} | KATE
    assert (await lied(site, lying, email=None, email_verified=None)).status_code == 303


CLAIMS = {"ok=true": True, "ok=True": False, "n=7": True, "none=None": False, "map={}": False, "groups=staff": True}


@pytest.mark.parametrize(("wanted", "lets_in"), CLAIMS.items(), ids=CLAIMS)
async def test_a_claim_is_compared_as_it_is_written(
    site: Site, lying: LyingProvider, wanted: str, lets_in: bool
) -> None:
    await approver(site)
    await site.providers.set("t", site.brook.customer, given(lying.issuer, claim=wanted))
    answer = await lied(site, lying, ok=True, n=7, map={})
    assert answer.status_code == (303 if lets_in else 403)
