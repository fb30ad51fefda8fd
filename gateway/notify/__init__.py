"""Mail to the customer: written into the outbox with the change it tells of, sent by a loop.

Reading order: `letters`, `access_letters`, `portal_letters`, `alarms` (what people read), `outbox` (to whom, and
when), `postman` (the loop), `smtp` (one message), `words` (text from outside made harmless).
"""

from gateway.notify.access_letters import access_changed
from gateway.notify.alarms import (
    address_confirmed,
    approver_added,
    approver_confirmed,
    approver_removed,
    log_lost,
    recovery_begun,
    recovery_stopped,
)
from gateway.notify.answer_letters import answered_no, answered_yes
from gateway.notify.letters import (
    FileApplied,
    Held,
    Told,
    consent_recorded,
    file_applied,
    hold_for_approvers,
    key_changed,
    let_go,
    person_changed,
    request_waiting,
    reset_told,
    reset_undelivered,
    revoked,
    visit_closed,
    visit_opened,
)
from gateway.notify.outbox import queue, zone_of
from gateway.notify.own_letters import agreement_signed, engineer_named, job_asked, job_done
from gateway.notify.portal_letters import enrolled, invited, passkeys_removed
from gateway.notify.postman import Postman
from gateway.notify.smtp import MailSettings, is_final, send
from gateway.notify.words import SECRETS, WORDS, bullets, plain, times, when

__all__ = [
    "SECRETS",
    "WORDS",
    "FileApplied",
    "Held",
    "MailSettings",
    "Postman",
    "Told",
    "access_changed",
    "address_confirmed",
    "agreement_signed",
    "answered_no",
    "answered_yes",
    "approver_added",
    "approver_confirmed",
    "approver_removed",
    "bullets",
    "consent_recorded",
    "engineer_named",
    "enrolled",
    "file_applied",
    "hold_for_approvers",
    "invited",
    "is_final",
    "job_asked",
    "job_done",
    "key_changed",
    "let_go",
    "log_lost",
    "passkeys_removed",
    "person_changed",
    "plain",
    "queue",
    "recovery_begun",
    "recovery_stopped",
    "request_waiting",
    "reset_told",
    "reset_undelivered",
    "revoked",
    "send",
    "times",
    "visit_closed",
    "visit_opened",
    "when",
    "zone_of",
]
