"""A customer's own OpenID provider: set by staff, told to the customer's people, one for each customer at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, insert, or_, select, update

from audit.events import Event
from audit.log import AuditLog
from gateway import notify
from gateway.errors import InvalidError, NotFoundError, UnavailableError
from gateway.identity.oidc_wire import Client, Wire, may_ask
from gateway.identity.sign_ins import ACCOUNT
from gateway.model import is_address, new_id
from gateway.store.engine import Scope, Store
from gateway.store.portal_tables import sign_ins
from gateway.store.sign_in_tables import oidc_accounts, oidc_providers
from gateway.store.tables import approvers, contacts
from gateway.vault import Vault

_LONGEST_NAME: Final = 60
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Given:
    """What staff say of a provider. `secret` is the client secret; `claim` "name=value" or ""."""

    name: str
    issuer: str
    client_id: str
    secret: str = field(repr=False)
    domains: tuple[str, ...]
    claim: str = ""
    verified_claim: str = "email_verified"
    for_contacts: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """One, without its secret. `set_ms`: Unix ms."""

    customer_id: str
    id: str
    name: str
    issuer: str
    client_id: str
    domains: tuple[str, ...]
    claim: str
    verified_claim: str
    for_contacts: bool
    set_ms: int


def _provider(row: Any) -> Provider:
    return Provider(
        row.customer_id, row.id, row.name, row.issuer, row.client_id, tuple(row.domains.split()), row.claim,
        row.verified_claim, row.for_contacts, row.set_ms,
    )  # fmt: skip


def checked(given: Given) -> Given:
    """As it is kept. InvalidError names what cannot be."""
    name = " ".join(given.name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidError(f"a provider has a name of at most {_LONGEST_NAME} characters, as people call it")
    if not may_ask(given.issuer, here=True) or "?" in given.issuer or len(given.issuer) > _LONGEST:
        raise InvalidError(
            "the issuer is an https address", next_step="It looks like https://login.customer.example/realms/main."
        )
    for what, value in (("client id", given.client_id), ("client secret", given.secret)):
        if not value or len(value) > _LONGEST or not value.isascii() or not value.isprintable():
            raise InvalidError(f"that is no {what}", next_step="Take it over from the provider's own page.")
    domains = tuple(sorted({domain.strip().lower().removeprefix("@") for domain in given.domains}))
    if not domains:
        raise InvalidError("say which domains its addresses have", next_step="--domain customer.example")
    for domain in domains:
        if not is_address(f"a@{domain}"):
            raise InvalidError(f"{domain[:100]} is no mail domain", next_step="It looks like customer.example.")
    claim, _, value = given.claim.partition("=")
    if given.claim and not (claim and value and given.claim.isprintable() and len(given.claim) <= _LONGEST):
        raise InvalidError("a claim has a name and a value", next_step="It looks like groups=telephony.")
    if not given.verified_claim.isidentifier() or len(given.verified_claim) > _LONGEST_NAME:
        raise InvalidError("that is no name of a claim", next_step="It is email_verified, or for Entra xms_edov.")
    return Given(
        name, given.issuer, given.client_id, given.secret, domains, given.claim, given.verified_claim,
        given.for_contacts,
    )  # fmt: skip


class Providers:
    """Writes each change with its event and its mails, in one transaction. `url`: the address that the pages have."""

    def __init__(self, store: Store, audit: AuditLog, vault: Vault, wire: Wire, url: Callable[[], str]) -> None:
        self._store, self._audit, self._vault, self._wire, self._url = store, audit, vault, wire, url

    def redirect(self, customer_id: str) -> str:
        """Where the provider sends browsers back. One a customer, so that no provider can pass for another."""
        return f"{self._url()}/sign-in/back/{customer_id}"

    def link(self, customer_id: str) -> str:
        """The customer's own sign-in page."""
        return f"{self._url()}/sign-in/at/{customer_id}"

    async def set(self, actor: str, customer_id: str, given: Given) -> Provider:
        """The customer's provider from now on. Whoever came in by the one before is signed out; whose account is whose
        stays while the issuer does.

        InvalidError for what cannot be one; UnavailableError when it does not answer. Nothing is changed then.
        """
        given = checked(given)
        try:
            await self._wire.discover(given.issuer)
        except UnavailableError as error:
            raise UnavailableError(
                f"{given.issuer} does not answer as a provider does",
                next_step="Look at the address. If it is in a network that is not public, name that in "
                "portal.provider_networks.",
            ) from error
        made, now = new_id("oip"), self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            before = await self._row(scope)
            if before is not None:
                await scope.execute(delete(oidc_providers).where(oidc_providers.c.customer_id == customer_id))
                await self._end(scope, now, forget=before.issuer != given.issuer)
            await scope.execute(
                insert(oidc_providers).values(
                    customer_id=customer_id, id=made, name=given.name, issuer=given.issuer, client_id=given.client_id,
                    secret=self._vault.seal(f"oidc:{customer_id}:{made}", given.secret.encode()),
                    domains=" ".join(given.domains), claim=given.claim, verified_claim=given.verified_claim,
                    for_contacts=given.for_contacts, set_ms=now,
                )
            )  # fmt: skip
            await self._log(
                scope, "oidc.set", actor, provider=made, issuer=given.issuer, client=given.client_id,
                domains=list(given.domains), claim=given.claim, contacts=given.for_contacts,
            )  # fmt: skip
            who = "your approvers and contacts" if given.for_contacts else "your approvers"
            await notify.provider_set(scope, given.name, given.issuer, who, self.link(customer_id), now)
        found = await self.of(customer_id)
        assert found is not None  # noqa: S101
        return found

    async def remove(self, actor: str, customer_id: str) -> Provider:
        """Nobody signs in with it any more, and whoever did is signed out. NotFoundError when there is none."""
        now = self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            row = await self._row(scope)
            if row is None:
                raise NotFoundError(
                    "they have no provider of their own", next_step="`frameroom customer oidc set` gives them one."
                )
            await scope.execute(delete(oidc_providers).where(oidc_providers.c.customer_id == customer_id))
            await self._end(scope, now, forget=True)
            await self._log(scope, "oidc.removed", actor, provider=row.id)
            await notify.provider_removed(scope, row.name, now)
        return _provider(row)

    async def of(self, customer_id: str) -> Provider | None:
        """The customer's, if they have one."""
        async with self._store.look(customer_id) as scope:
            row = await self._row(scope)
        return None if row is None else _provider(row)

    async def at_domain(self, email: str) -> list[Provider]:
        """Those that say they have addresses of this domain: the same answer for every address of it, there or not."""
        domain = email.strip().rpartition("@")[2].lower()
        if not is_address(f"a@{domain}"):
            return []
        async with self._store.look_at_everyone() as scope:
            like = oidc_providers.c.domains.contains(domain, autoescape=True)
            rows = (await scope.execute(select(oidc_providers).where(like))).all()
        return [found for found in map(_provider, rows) if domain in found.domains]

    async def client(self, provider: Provider) -> Client:
        """Who we are there. NotFoundError when it was set anew meanwhile."""
        async with self._store.look(provider.customer_id) as scope:
            row = await self._row(scope)
        if row is None or row.id != provider.id:
            raise NotFoundError("Signing in was changed meanwhile.", next_step="Begin again from the sign-in page.")
        secret = self._vault.open(f"oidc:{provider.customer_id}:{provider.id}", row.secret).decode()
        return Client(row.client_id, secret, self.redirect(provider.customer_id))

    async def _row(self, scope: Scope) -> Any:
        query = select(oidc_providers).where(oidc_providers.c.customer_id == scope.customer_id)
        return (await scope.execute(query)).first()

    async def _end(self, scope: Scope, now: int, *, forget: bool) -> None:
        """Whoever came in by an account is signed out; `forget`: and whose it was is forgotten."""
        if forget:
            await scope.execute(delete(oidc_accounts).where(oidc_accounts.c.customer_id == scope.customer_id))
        by_account = (sign_ins.c.customer_id == scope.customer_id) & (sign_ins.c.factor == ACCOUNT)
        await scope.execute(update(sign_ins).where(by_account, sign_ins.c.ended_ms.is_(None)).values(ended_ms=now))

    async def _log(self, scope: Scope, kind: str, actor: str, **data: Any) -> None:
        await self._audit.append(scope.connection, Event(kind, scope.customer_id, actor, data=data))

    # --- whose account is whose ---

    async def bound_ms(self, customer_id: str, person_id: str) -> int | None:
        """Since when an account is this person's (Unix ms); None when none is."""
        async with self._store.look(customer_id) as scope:
            row = (await scope.execute(select(oidc_accounts).where(*_theirs(scope, person_id)))).first()
        return None if row is None else int(row.bound_ms)

    async def forget(self, actor: str, customer_id: str, person_id: str) -> None:
        """The person's account is theirs no more, its sign-ins end, and the next account of their address becomes
        theirs. NotFoundError when none was."""
        now = self._audit.clock.now()
        async with self._store.scope(customer_id) as scope:
            gone = await scope.execute(delete(oidc_accounts).where(*_theirs(scope, person_id)))
            if not gone.rowcount:
                raise NotFoundError("no account is theirs", next_step="There is nothing to forget.")
            mine = or_(sign_ins.c.approver_id == person_id, sign_ins.c.contact_id == person_id)
            by_account = (sign_ins.c.customer_id == customer_id) & (sign_ins.c.factor == ACCOUNT) & mine
            await scope.execute(update(sign_ins).where(by_account, sign_ins.c.ended_ms.is_(None)).values(ended_ms=now))
            await self._log(scope, "oidc.account_forgotten", actor, approver=person_id)
            table = contacts if person_id.startswith("con_") else approvers
            here = (table.c.customer_id == customer_id) & (table.c.id == person_id)
            email = (await scope.execute(select(table.c.email).where(here))).scalar_one()
            await notify.account_forgotten(scope, email, now)


def _theirs(scope: Scope, person_id: str) -> tuple[Any, ...]:
    column = oidc_accounts.c.contact_id if person_id.startswith("con_") else oidc_accounts.c.approver_id
    return oidc_accounts.c.customer_id == scope.customer_id, column == person_id
