"""Signing in to read, with an account of the customer's own OpenID provider.

What was begun is kept sealed in a cookie of the browser that began it, so that strangers fill no table; that a state
answers once is the sign-in's own rule (`SignIns.begin`). An account becomes a person's by an address that the provider
verified, once; from then on its subject alone counts, so that whoever is given the address later is somebody else.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from audit.assertions import from_text, to_text
from audit.events import Event
from audit.log import AuditLog
from audit.sealing import SealingError
from gateway import notify
from gateway.errors import InvalidError, NotFoundError, NotPermittedError
from gateway.identity.oidc_wire import Endpoints, Wire, away, refused
from gateway.identity.providers import Provider, Providers
from gateway.identity.sign_ins import ACCOUNT, SignIns
from gateway.model import MINUTE, is_address, new_id, same_address
from gateway.store.engine import Scope, Store
from gateway.store.sign_in_tables import oidc_accounts, oidc_providers
from gateway.store.tables import approvers, contacts
from gateway.vault import Vault

log = structlog.get_logger()

BEGUN_MS: Final = 10 * MINUTE
"""How long somebody may take at the provider."""
_WHY: Final[Mapping[str, tuple[str, str]]] = {
    "unverified": (
        "Your organisation has not verified your mail address.",
        "Have whoever runs its sign-in verify it, or use your passkey.",
    ),
    "domain": (
        "Your account's mail address is not one of those that may sign in here.",
        "Take the account that you have at work, or use your passkey.",
    ),
    "claim": (
        "Your account lacks what your organisation wants for this.",
        "Ask whoever runs its sign-in, or use your passkey.",
    ),
    "nobody": (
        "Nobody here has your account's mail address.",
        "Ask an approver of yours whether you are named, and with which address.",
    ),
    "another": (
        "Another account signed in with this mail address before.",
        "If the address is yours now: sign in with your passkey, and let the old account be forgotten under Sign-ins. "
        "Without a passkey, ask your telephone maintainer.",
    ),
}


@dataclass(frozen=True, slots=True)
class _Person:
    id: str
    email: str


class AccountSignIn:
    """Begins at the provider, and ends with a sign-in that reads."""

    def __init__(
        self, store: Store, audit: AuditLog, vault: Vault, providers: Providers, wire: Wire, sign_ins: SignIns
    ) -> None:
        self._store, self._audit, self._vault = store, audit, vault
        self._providers, self._wire, self._sign_ins = providers, wire, sign_ins

    async def begin(self, customer_id: str, following: str) -> tuple[str, str]:
        """(address of the provider, cookie of what was begun). NotFoundError; UnavailableError when it is down."""
        provider = await self._provider(customer_id)
        endpoints, client = await self._endpoints(provider), await self._providers.client(provider)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        begun = {
            "provider": provider.id, "state": state, "nonce": nonce, "verifier": verifier, "next": following,
            "at": self._audit.clock.now(),
        }  # fmt: skip
        url = await self._wire.way_there(endpoints, client, state, nonce, verifier)
        return url, to_text(self._vault.seal(f"oidc begun:{customer_id}", json.dumps(begun).encode()))

    async def _provider(self, customer_id: str) -> Provider:
        provider = await self._providers.of(customer_id)
        if provider is None:
            raise NotFoundError("There is no such way to sign in.", next_step="Use your passkey.")
        return provider

    async def _endpoints(self, provider: Provider) -> Endpoints:
        """UnavailableError also for a document that does not hold any more: what is wrong with it is for staff."""
        try:
            return await self._wire.discover(provider.issuer)
        except InvalidError as error:
            log.warning("a customer's sign-in provider cannot be asked", issuer=provider.issuer, why=error.message)
            raise away(error) from error

    def _begun(self, customer_id: str, cookie: str, state: str) -> dict[str, Any]:
        """What this browser began, if this answer is to that."""
        try:
            begun: dict[str, Any] = json.loads(self._vault.open(f"oidc begun:{customer_id}", from_text(cookie)))
        except (SealingError, ValueError) as error:
            raise NotPermittedError(
                "That was not begun in this browser, or too long ago.", next_step="Begin again from the sign-in page."
            ) from error
        if not secrets.compare_digest(begun["state"].encode(), state.encode()):
            raise refused()
        if not 0 <= self._audit.clock.now() - begun["at"] <= BEGUN_MS:
            raise NotPermittedError("It took too long.", next_step="Begin again from the sign-in page.")
        return begun

    async def finish(
        self, customer_id: str, cookie: str, answer: Mapping[str, str], device: str, address: str
    ) -> tuple[str, str]:
        """(the sign-in's cookie, the page that was wanted), from what the provider sent the browser back with.

        NotPermittedError in words that say what to do; UnavailableError when the provider does not answer.
        """
        begun = self._begun(customer_id, cookie, answer.get("state", ""))
        provider = await self._provider(customer_id)
        if provider.id != begun["provider"]:
            raise NotPermittedError("Signing in was changed meanwhile.", next_step="Begin again from the sign-in page.")
        endpoints, client = await self._endpoints(provider), await self._providers.client(provider)
        named = answer.get("iss")
        if (named is None and endpoints.names_itself) or named not in {None, provider.issuer}:
            raise refused()  # RFC 9207: somebody else's answer
        if "code" not in answer:
            raise NotPermittedError(
                f"You were not signed in at {notify.plain(provider.name)}.", next_step="Try again, or use your passkey."
            )
        wanted = ("email", provider.verified_claim, *provider.claim.split("=")[:1])
        claims = await self._wire.claims(endpoints, client, answer["code"], begun["nonce"], begun["verifier"], wanted)
        try:
            async with self._store.scope(customer_id) as scope:
                await self._still(scope, provider)
                person, why = await self._person(scope, provider, claims)
                if person is not None and not why:
                    made = await self._sign_ins.begin(scope, person.id, ACCOUNT, begun["state"], device, address)
                    return made, begun["next"]
                data = {"factor": ACCOUNT, "reason": why} | ({"approver": person.id} if person is not None else {})
                await self._audit.append(scope.connection, Event("portal.refused", customer_id, "portal", data=data))
        except IntegrityError as error:
            raise NotPermittedError("That answer was used already.", next_step="Sign in again.") from error
        words, next_step = _WHY[why]
        raise NotPermittedError(words, next_step=next_step)

    async def _still(self, scope: Scope, provider: Provider) -> None:
        """NotPermittedError when the provider was set anew meanwhile. Others of the same customer's wait until this one
        is through, so that two accounts do not become one person's at once."""
        here = (oidc_providers.c.customer_id == scope.customer_id) & (oidc_providers.c.id == provider.id)
        if (await scope.execute(select(oidc_providers.c.id).where(here).with_for_update())).first() is None:
            raise NotPermittedError("Signing in was changed meanwhile.", next_step="Begin again from the sign-in page.")

    async def _person(self, scope: Scope, provider: Provider, claims: dict[str, Any]) -> tuple[_Person | None, str]:
        """Whose account it is, bound to them if it is the first of theirs, and "" ; otherwise why nobody is let in."""
        email = claims.get("email")
        if not isinstance(email, str) or not is_address(email) or not _yes(claims.get(provider.verified_claim)):
            return None, "unverified"
        if email.rpartition("@")[2].lower() not in provider.domains:
            return None, "domain"
        if not _has(claims, provider.claim):
            return None, "claim"
        digest = self._vault.digest("oidc account", scope.customer_id, provider.issuer, str(claims["sub"]))
        people = await _people(scope, provider.for_contacts)
        query = select(oidc_accounts).where(oidc_accounts.c.customer_id == scope.customer_id)
        bound = {row.approver_id or row.contact_id: row.digest for row in await scope.execute(query)}
        for person in people:
            if bound.get(person.id) == digest:
                return person, ""
        for person in people:
            if same_address(person.email, email):
                if person.id in bound:
                    return person, "another"
                await self._bind(scope, provider, person, digest)
                return person, ""
        return None, "nobody"

    async def _bind(self, scope: Scope, provider: Provider, person: _Person, digest: str) -> None:
        column, now = "contact_id" if person.id.startswith("con_") else "approver_id", self._audit.clock.now()
        await scope.execute(
            insert(oidc_accounts).values(
                customer_id=scope.customer_id, id=new_id("oac"), digest=digest, bound_ms=now, **{column: person.id}
            )
        )
        data = {"approver": person.id, "provider": provider.id}
        event = Event("oidc.account_bound", scope.customer_id, person.id, data=data)
        await self._audit.append(scope.connection, event)
        await notify.account_bound(scope, person.email, provider.name, now)


async def _people(scope: Scope, with_contacts: bool) -> list[_Person]:
    """Whose account it may be: approvers first, so that whoever is both is signed in as the approver."""
    here = (approvers.c.customer_id == scope.customer_id) & approvers.c.removed_ms.is_(None)
    found = list(await scope.execute(select(approvers.c.id, approvers.c.email).where(here)))
    if with_contacts:
        here = (contacts.c.customer_id == scope.customer_id) & contacts.c.removed_ms.is_(None)
        query = select(contacts.c.id, contacts.c.email).where(here, contacts.c.standing == "current")
        found += list(await scope.execute(query))
    return [_Person(row.id, row.email) for row in found]


def _yes(value: Any) -> bool:
    """True for what providers write for it: Entra's xms_edov is sometimes "1" or "true"."""
    return value is True or value in ("true", "1") or (type(value) is int and value == 1)


def _has(claims: Mapping[str, Any], wanted: str) -> bool:
    """True when the account has the claim, as a value or as one of a list."""
    if not wanted:
        return True
    name, _, value = wanted.partition("=")
    held = claims.get(name)
    return value in [_text(one) for one in (held if isinstance(held, list) else [held])]


def _text(value: Any) -> str | None:
    """As it stands after the "=": true and false as JSON writes them; of what is no plain value nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int)) else None
