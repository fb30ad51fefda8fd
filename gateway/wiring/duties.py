"""What the law and the customers' keys ask of a deployment, put together from its parts."""

from __future__ import annotations

from gateway.access.erasing import Erasing
from gateway.access.proposals import Proposals
from gateway.access.recovering import Recovering
from gateway.access.retention import Retention
from gateway.access.subjects import Subjects
from gateway.identity.codes import Codes
from gateway.identity.oidc import AccountSignIn
from gateway.identity.oidc_wire import Wire
from gateway.identity.passkeys import Passkeys
from gateway.identity.providers import Providers
from gateway.identity.sign_ins import SignIns
from gateway.wiring.parts import Parts


def subjects_of(opened: Parts) -> Subjects:
    """Finds persons."""
    return Subjects(opened.store, opened.audit, opened.vault)


def proposals_of(opened: Parts) -> Proposals:
    """What takes two people."""
    return Proposals(opened.store, opened.audit)


def erasing_of(opened: Parts) -> Erasing:
    """Erases persons."""
    return Erasing(opened.store, opened.audit, subjects_of(opened), proposals_of(opened))


def retention_of(opened: Parts) -> Retention:
    """Deletes what is over."""
    return Retention(opened.store, opened.audit, opened.objects, subjects_of(opened))


def passkeys_of(opened: Parts) -> Passkeys:
    """Enrols approvers' keys."""
    hours = opened.settings.portal.invitation_hours
    return Passkeys(opened.store, opened.audit, opened.permission.pages, hours)


def providers_of(opened: Parts, wire: Wire | None = None) -> Providers:
    """Customers' own OpenID providers."""
    asked = wire or Wire(opened.settings.portal.provider_networks)
    return Providers(opened.store, opened.audit, opened.vault, asked, opened.permission.pages)


def ways_to_read(opened: Parts, sign_ins: SignIns) -> tuple[Providers, AccountSignIn, Codes]:
    """What signs in without a passkey."""
    wire = Wire(opened.settings.portal.provider_networks)
    providers = providers_of(opened, wire)
    accounts = AccountSignIn(opened.store, opened.audit, opened.vault, providers, wire, sign_ins)
    return providers, accounts, Codes(opened.store, opened.audit, opened.vault, sign_ins, opened.permission.pages)


def recovering_of(opened: Parts) -> Recovering:
    """Gives a customer a key again who has none left."""
    return Recovering(opened.store, opened.directory, proposals_of(opened), passkeys_of(opened))
