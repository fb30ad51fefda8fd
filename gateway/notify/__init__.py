"""Mail to the customer: written into the outbox with the change it tells of, sent by a loop.

Reading order: `letters`, `access_letters`, `portal_letters`, `alarms` (what people read), `outbox` (to whom, and
when), `postman` (the loop), `smtp` (one message), `words` (text from outside made harmless).
"""

from gateway.notify.access_letters import access_changed
from gateway.notify.alarms import address_confirmed, approver_added, approver_confirmed, foreign_logins, log_lost
from gateway.notify.letters import (
    Told,
    consent_recorded,
    key_changed,
    person_changed,
    request_waiting,
    reset_told,
    reset_undelivered,
    revoked,
    visit_closed,
    visit_opened,
)
from gateway.notify.outbox import queue, zone_of
from gateway.notify.portal_letters import enrolled, invited, passkeys_removed
from gateway.notify.postman import Postman
from gateway.notify.smtp import MailSettings, is_final, send
from gateway.notify.words import SECRETS, WORDS, plain, when

__all__ = [
    "SECRETS",
    "WORDS",
    "MailSettings",
    "Postman",
    "Told",
    "access_changed",
    "address_confirmed",
    "approver_added",
    "approver_confirmed",
    "consent_recorded",
    "enrolled",
    "foreign_logins",
    "invited",
    "is_final",
    "key_changed",
    "log_lost",
    "passkeys_removed",
    "person_changed",
    "plain",
    "queue",
    "request_waiting",
    "reset_told",
    "reset_undelivered",
    "revoked",
    "send",
    "visit_closed",
    "visit_opened",
    "when",
    "zone_of",
]
