"""What the law and the customers' keys ask of a deployment, put together from its parts.

What signs people in brings much with it (WebAuthn, OpenID), and is imported when it is put together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from audit.rewrap import being_backed_up
from gateway.access.dials import Dials
from gateway.access.erasing import Erasing
from gateway.access.people_reader import PeopleReader
from gateway.access.proposals import Proposals
from gateway.access.reading import Readings
from gateway.access.retention import Retention
from gateway.access.subjects import Subjects
from gateway.errors import UnavailableError
from gateway.wiring.parts import Parts

if TYPE_CHECKING:
    from gateway.access.recovering import Recovering
    from gateway.identity.codes import Codes
    from gateway.identity.oidc import AccountSignIn
    from gateway.identity.oidc_wire import Wire
    from gateway.identity.passkeys import Passkeys
    from gateway.identity.providers import Providers
    from gateway.identity.sign_ins import SignIns


def subjects_of(opened: Parts) -> Subjects:
    """Finds persons."""
    return Subjects(opened.store, opened.audit, opened.vault)


def proposals_of(opened: Parts) -> Proposals:
    """What takes two people."""
    return Proposals(opened.store, opened.audit)


def erasing_of(opened: Parts) -> Erasing:
    """Erases persons."""
    backed_up = partial(being_backed_up, opened.masters.folder)
    return Erasing(opened.store, opened.audit, subjects_of(opened), proposals_of(opened), backed_up)


def retention_of(opened: Parts) -> Retention:
    """Deletes what is over."""
    return Retention(opened.store, opened.audit, opened.objects, subjects_of(opened))


def passkeys_of(opened: Parts) -> Passkeys:
    """Enrols approvers' keys."""
    from gateway.identity.passkeys import Passkeys

    hours = opened.settings.portal.invitation_hours
    return Passkeys(opened.store, opened.audit, opened.permission.pages, hours)


def providers_of(opened: Parts, wire: Wire | None = None) -> Providers:
    """Customers' own OpenID providers."""
    from gateway.identity.providers import Providers

    return Providers(opened.store, opened.audit, opened.vault, wire or _wire(opened), opened.permission.pages)


def _wire(opened: Parts) -> Wire:
    from gateway.identity.oidc_wire import Wire

    portal = opened.settings.portal
    try:
        return Wire(portal.provider_networks, portal.provider_ca_file)
    except OSError as error:  # an SSLError is one too
        raise UnavailableError(
            f"portal.provider_ca_file: {portal.provider_ca_file} is no file of certificates that can be read",
            next_step="It is PEM.",
        ) from error


def ways_to_read(opened: Parts, sign_ins: SignIns) -> tuple[Providers, AccountSignIn, Codes]:
    """What signs in without a passkey."""
    from gateway.identity.codes import Codes
    from gateway.identity.oidc import AccountSignIn

    wire = _wire(opened)
    providers = providers_of(opened, wire)
    accounts = AccountSignIn(opened.store, opened.audit, opened.vault, providers, wire, sign_ins)
    return providers, accounts, Codes(opened.store, opened.audit, opened.vault, sign_ins, opened.permission.pages)


def recovering_of(opened: Parts) -> Recovering:
    """Gives a customer a key again who has none left."""
    from gateway.access.recovering import Recovering

    return Recovering(opened.store, opened.directory, proposals_of(opened), passkeys_of(opened))


def readings_of(opened: Parts) -> Readings:
    """Reads phone systems for their customers."""
    reader = PeopleReader(Dials(opened.store, opened.audit.clock), opened.vault)
    return Readings(opened.store, opened.audit, opened.vault, reader)
