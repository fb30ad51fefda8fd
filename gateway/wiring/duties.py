"""What the law and the customers' keys ask of a deployment, put together from its parts."""

from __future__ import annotations

from gateway.access.dials import Dials
from gateway.access.erasing import Erasing
from gateway.access.proposals import Proposals
from gateway.access.reading import Readings
from gateway.access.recovering import Recovering
from gateway.access.retention import Retention
from gateway.access.subjects import Subjects
from gateway.identity.passkeys import Passkeys
from gateway.reach.people import PeopleReader
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


def recovering_of(opened: Parts) -> Recovering:
    """Gives a customer a key again who has none left."""
    return Recovering(opened.store, opened.directory, proposals_of(opened), passkeys_of(opened))


def readings_of(opened: Parts) -> Readings:
    """Reads phone systems for their customers."""
    reader = PeopleReader(opened.vault, Dials(opened.store, opened.audit.clock))
    return Readings(opened.store, opened.audit, opened.vault, reader)
