"""Mail to the customer: written into the outbox with the change it tells of, sent by a loop.

Reading order: `letters`, `asking_letters`, `access_letters`, `portal_letters`, `contact_letters`, `alarms` (what
people read), `outbox` (to whom, and when), `turns` and `chaser` (who is asked, and asked again), `deliveries` (what
became of it), `postman` (the loop that mails), `smtp` (one mail), `courier` (the loop for other channels), `carrier`
and `apprise_child` (one message by one of them), `words` (text from outside made harmless).
"""

from gateway.notify.access_letters import access_changed
from gateway.notify.alarms import address_confirmed, approver_added, approver_confirmed, asking_changed, log_lost
from gateway.notify.carrier import Carried, Carrier, Ways
from gateway.notify.chaser import Chaser, Waits, request_waiting
from gateway.notify.contact_letters import contact_changed, wish_changed
from gateway.notify.courier import Courier
from gateway.notify.deliveries import Delivered, by_person, deliveries_of
from gateway.notify.letters import (
    Told,
    consent_recorded,
    key_changed,
    person_changed,
    reset_told,
    reset_undelivered,
    revoked,
    visit_closed,
    visit_opened,
)
from gateway.notify.outbox import queue, wishes_of, zone_of
from gateway.notify.portal_letters import enrolled, invited, passkeys_removed
from gateway.notify.postman import Postman
from gateway.notify.smtp import MailSettings, is_final, send
from gateway.notify.turns import Approver, Rota, rota_of
from gateway.notify.words import SECRETS, WORDS, plain, when

__all__ = [
    "SECRETS",
    "WORDS",
    "Approver",
    "Carried",
    "Carrier",
    "Chaser",
    "Courier",
    "Delivered",
    "MailSettings",
    "Postman",
    "Rota",
    "Told",
    "Waits",
    "Ways",
    "access_changed",
    "address_confirmed",
    "approver_added",
    "approver_confirmed",
    "asking_changed",
    "by_person",
    "consent_recorded",
    "contact_changed",
    "deliveries_of",
    "enrolled",
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
    "rota_of",
    "send",
    "visit_closed",
    "visit_opened",
    "when",
    "wish_changed",
    "wishes_of",
    "zone_of",
]
