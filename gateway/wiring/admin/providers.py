"""`frameroom customer oidc …`: a customer's own OpenID provider, with which their people sign in to read."""

from __future__ import annotations

from gateway.errors import NotFoundError
from gateway.identity.providers import Given, Provider
from gateway.wiring.admin.base import Row, when
from gateway.wiring.admin.telling import TellingCommands
from gateway.wiring.duties import providers_of


class ProviderCommands(TellingCommands):
    """Set, show, remove, forget."""

    def _shown(self, customer: str, one: Provider) -> Row:
        at = providers_of(self._parts)
        return {
            "customer": customer, "name": one.name, "issuer": one.issuer, "client id": one.client_id,
            "domains": list(one.domains), "claim": one.claim, "verified by": one.verified_claim,
            "who": "approvers and contacts" if one.for_contacts else "approvers", "set": when(one.set_ms),
            "redirect address": at.redirect(one.customer_id), "sign-in page": at.link(one.customer_id),
        }  # fmt: skip

    async def do_customer_oidc_set(
        self, actor: str, customer: str, name: str, issuer: str, client_id: str, secret: str, domains: list[str],
        claim: str = "", verified_claim: str = "email_verified", contacts: bool = False,
    ) -> Row:  # fmt: skip
        """The customer's provider from now on; it is asked at once whether it is one."""
        customer_id = await self._customer(customer)
        given = Given(name, issuer, client_id, secret, tuple(domains), claim, verified_claim, contacts)
        return self._shown(customer, await providers_of(self._parts).set(actor, customer_id, given))

    async def do_customer_oidc_show(self, actor: str, customer: str) -> Row:
        """It, without its secret."""
        found = await providers_of(self._parts).of(await self._customer(customer))
        if found is None:
            raise NotFoundError(
                f"{customer} has no provider of their own", next_step="`frameroom customer oidc set` gives them one."
            )
        return self._shown(customer, found)

    async def do_customer_oidc_remove(self, actor: str, customer: str) -> Row:
        """Nobody signs in with it any more."""
        gone = await providers_of(self._parts).remove(actor, await self._customer(customer))
        return {"customer": customer, "name": gone.name, "state": "removed"}

    async def do_customer_oidc_forget(self, actor: str, customer: str, person: str, kind: str | None = None) -> Row:
        """A person's account is theirs no more; the next of their address is."""
        customer_id = await self._customer(customer)
        person_id, who = await self._whom(customer_id, person, kind)
        await providers_of(self._parts).forget(actor, customer_id, person_id)
        return {"person": who, "state": "their account is forgotten"}
