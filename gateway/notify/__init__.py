"""Mail to the customer: written into the outbox with the change it tells of, sent by a loop.

Reading order: `letters`, `outside_letters`, `asking_letters`, `access_letters`, `portal_letters`, `sign_in_letters`,
`contact_letters`, `alarms` (what people read), `outbox` (to whom, and when), `turns` and `chaser` (who is asked, and
asked again), `deliveries` (what became of it), `postman` (the loop that mails), `courier` (the loop
for other channels), `carrier` and `apprise_child` (one message by one of them), `words` (text from outside made
harmless).
"""

from gateway.notify.access_letters import access_changed, console_changed
from gateway.notify.alarms import (
    address_confirmed,
    addresses_confirmed,
    approver_added,
    approver_confirmed,
    approver_removed,
    asking_changed,
    foreign_logins,
    log_lost,
    recovery_begun,
    recovery_stopped,
)
from gateway.notify.answer_letters import answered_no, answered_yes
from gateway.notify.carrier import Carried, Carrier, Ways
from gateway.notify.chaser import Chaser, Waits, request_waiting
from gateway.notify.contact_letters import contact_changed, wish_changed
from gateway.notify.courier import Courier
from gateway.notify.deliveries import Delivered, by_person, deliveries_of
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
    reset_told,
    reset_undelivered,
    revoked,
    visit_closed,
    visit_opened,
)
from gateway.notify.outbox import country_of, queue, wishes_of, zone_of
from gateway.notify.outside_letters import (
    NOT_RECORDED,
    NOT_TOLD,
    outside_began,
    outside_over,
    outside_told,
    plain_line,
)
from gateway.notify.own_letters import agreement_signed, engineer_named, job_asked, job_done
from gateway.notify.portal_letters import enrolled, invited, passkeys_removed
from gateway.notify.postman import Postman
from gateway.notify.sign_in_letters import (
    account_bound,
    account_forgotten,
    code_link,
    codes_guessed,
    codes_turned,
    provider_removed,
    provider_set,
)
from gateway.notify.turns import Approver, Rota, rota_of
from gateway.notify.words import SECRETS, WORDS, bullets, plain, times, when

__all__ = [
    "NOT_RECORDED",
    "NOT_TOLD",
    "SECRETS",
    "WORDS",
    "Approver",
    "Carried",
    "Carrier",
    "Chaser",
    "Courier",
    "Delivered",
    "FileApplied",
    "Held",
    "Postman",
    "Rota",
    "Told",
    "Waits",
    "Ways",
    "access_changed",
    "account_bound",
    "account_forgotten",
    "address_confirmed",
    "addresses_confirmed",
    "agreement_signed",
    "answered_no",
    "answered_yes",
    "approver_added",
    "approver_confirmed",
    "approver_removed",
    "asking_changed",
    "bullets",
    "by_person",
    "code_link",
    "codes_guessed",
    "codes_turned",
    "consent_recorded",
    "console_changed",
    "contact_changed",
    "country_of",
    "deliveries_of",
    "engineer_named",
    "enrolled",
    "file_applied",
    "foreign_logins",
    "hold_for_approvers",
    "invited",
    "job_asked",
    "job_done",
    "key_changed",
    "let_go",
    "log_lost",
    "outside_began",
    "outside_over",
    "outside_told",
    "passkeys_removed",
    "person_changed",
    "plain",
    "plain_line",
    "provider_removed",
    "provider_set",
    "queue",
    "recovery_begun",
    "recovery_stopped",
    "request_waiting",
    "reset_told",
    "reset_undelivered",
    "revoked",
    "rota_of",
    "times",
    "visit_closed",
    "visit_opened",
    "when",
    "wish_changed",
    "wishes_of",
    "zone_of",
]
