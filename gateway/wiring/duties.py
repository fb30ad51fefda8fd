"""What the law asks of a deployment, put together from its parts."""

from __future__ import annotations

from gateway.access.erasing import Erasing
from gateway.access.proposals import Proposals
from gateway.access.retention import Retention
from gateway.access.subjects import Subjects
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
