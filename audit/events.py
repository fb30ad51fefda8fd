"""The closed set of events, and how one becomes an entry of the log.

An event's personal fields never stand in its entry: only a salted commitment does (audit/sealing.py). Ids are
random and opaque. What each kind may carry is data (`KINDS`); anything else is refused when the event is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OPERATOR_LOG: Final = "_operator"
SCHEMA: Final = 1
MAX_ENTRY: Final = 65_535


class EventError(ValueError):
    """An event outside the closed set, or one that lacks what its kind needs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What events of one kind carry: ids it must have, data keys and personal fields it may have."""

    ids: frozenset[str]
    data: frozenset[str] = frozenset()
    personal: frozenset[str] = frozenset()


def _kind(ids: str = "", data: str = "", personal: str = "") -> Kind:
    return Kind(frozenset(ids.split()), frozenset(data.split()), frozenset(personal.split()))


_OP = "system session grant operation"
_SIGNED = "approver credential digest authenticator_data client_data signature"
KINDS: Final[Mapping[str, Kind]] = {
    "log.started": _kind("", "version node behind_ms"),
    "log.stopped": _kind("", "node"),
    "log.restored": _kind("", "size lost checkpoint_size root"),
    "log.key_changed": _kind("", "old vkey"),
    "keys.rewrapped": _kind("", "old new kind keys damaged"),
    "keys.retired": _kind("", "key kind"),
    "backup.made": _kind("", "digest bytes parts to"),
    "heartbeat": _kind("", "behind_ms sessions"),
    "staff.added": _kind("", "staff", "name"),
    "engineer.added": _kind("", "engineer roles", "name email"),
    "engineer.changed": _kind("", "engineer what", "name email"),
    "engineer.disabled": _kind("", "engineer"),
    "engineer.enabled": _kind("", "engineer"),
    "engineer.key_added": _kind("", "engineer fingerprint kind"),
    "engineer.key_removed": _kind("", "engineer fingerprint"),
    "engineer.totp_enrolled": _kind("", "engineer"),
    "engineer.codes_issued": _kind("", "engineer count"),
    "auth.refused": _kind("", "count", "address"),
    "auth.failed": _kind("", "engineer factor reason count", "address"),
    "auth.succeeded": _kind("", "engineer factor fingerprint", "address"),
    "door.refused": _kind("", "engineer what count"),
    "customer.added": _kind("", "region", "name"),
    "site.added": _kind("", "site", "name town postcode"),
    "site.changed": _kind("", "site", "name town postcode"),
    "contact.added": _kind("", "contact notices standing marketing_out", "name email phone mobile position"),
    "contact.changed": _kind("", "contact notices standing marketing_out", "name email phone mobile position"),
    "contacts.exported": _kind("", "who kind count"),
    "channel.added": _kind("", "channel person service", "name"),
    "channel.removed": _kind("", "channel person"),
    "asking.ordered": _kind("", "order together"),
    "deputy.set": _kind("", "approver deputy"),
    "absence.set": _kind("", "approver absence deputy from_ms until_ms"),
    "absence.ended": _kind("", "approver absence"),
    "notices.set": _kind("", "approver notices"),
    "approver.added": _kind("", "approver", "name email phone"),
    "approver.changed": _kind("", "approver", "name email phone"),
    "contact.removed": _kind("", "contact"),
    "invitation.sent": _kind("", "approver by until_ms"),
    "portal.signed_in": _kind("", "approver sign_in factor", "address"),
    "portal.signed_out": _kind("", "approver sign_ins"),
    "portal.refused": _kind("", "approver factor reason count"),
    "oidc.set": _kind("", "provider issuer client domains claim contacts"),
    "oidc.removed": _kind("", "provider"),
    "oidc.account_bound": _kind("", "approver provider"),
    "oidc.account_forgotten": _kind("", "approver"),
    "approver.code_added": _kind("", "approver"),
    "approver.code_removed": _kind("", "approver"),
    "approver.removed": _kind("", "approver"),
    "approver.confirmed": _kind("", "approver how", "by to words"),
    "address.confirmed": _kind("system subject", "approver", "by to words"),
    "recovery.begun": _kind("", "proposal basis due_ms proposed_by approved_by"),
    "recovery.stopped": _kind("", "proposal"),
    "recovery.done": _kind("", "proposal"),
    "approver.key_enrolled": _kind("", "approver credential public_key rp_id how"),
    "approver.key_removed": _kind("", "approver credential"),
    "agreement.set": _kind("", "version digest operations consent_by_phone approvals_needed standing max_minutes"),
    "agreement.signed": _kind("", f"version {_SIGNED}", "words"),
    "agreement.confirmed": _kind("", "version how", "by how"),
    "agreement.withdrawn": _kind("", "version how", "by how"),
    "access.changed": _kind("", "mode until_ms hours zone how", "by how"),
    "roster.changed": _kind("", "engineer state"),
    "helper.sent": _kind("", "connector key script", "host login"),
    "helper.ran": _kind("", "connector key outcome", "host"),
    "system.added": _kind("system", "connector secrecy pin", "name host"),
    "system.changed": _kind("system", "what connector secrecy pin", "name host"),
    "system.removed": _kind("system"),
    "console.signed": _kind("system", f"list entries {_SIGNED}", "words"),
    "console.changed": _kind("system", "list entries how", "by how"),
    "login.foreign": _kind("system", "login at_ms", "address"),
    "login.unread": _kind("system", "code since_ms"),
    "addresses.asked": _kind("system", "approver"),
    "addresses.read": _kind("system", "approver reading count new"),
    "addresses.confirmed": _kind("system", f"at_ms baseline before right root size wrong {_SIGNED}"),
    "request.submitted": _kind("system request", "engineer operations from_ms until_ms digest job", "ticket reason"),
    "request.asked": _kind("system request", "occasion approvers"),
    "request.narrowed": _kind("system request", "approver operations until_ms digest"),
    "request.granted": _kind("system request grant", "how until_ms operations"),
    "request.denied": _kind("system request", "how", "reason"),
    "request.expired": _kind("system request"),
    "request.withdrawn": _kind("system request"),
    "approval.signed": _kind("system request", _SIGNED, "request"),
    "job.asked": _kind("system", "job number approver operations from_ms until_ms digest", "what for_whom"),
    "job.signed": _kind("system", f"job {_SIGNED}", "words"),
    "job.taken": _kind("system request", "job engineer"),
    "job.done": _kind("system", "job", "words"),
    "job.withdrawn": _kind("system", "job"),
    "consent.recorded": _kind("system request", "approver at_ms digest", "by to words"),
    "grant.revoked": _kind("system grant", "how in_flight", "reason"),
    "grant.expired": _kind("system grant"),
    "session.opened": _kind("system session grant", "engineer factor fingerprint", "address"),
    "session.closed": _kind("system session grant", "reason operations segments bytes", "reason"),
    "session.failed": _kind("system session grant", "reason", "reason"),
    "session.refused": _kind("system", "engineer reason"),
    "visit.started": _kind("system session grant", "engineer factor fingerprint", "address"),
    "visit.ended": _kind("system session grant", "engineer reason"),
    "visit.told": _kind("system session grant", "engineer late", "words"),
    "operation.intended": _kind(_OP, "name fields job list", "person line"),
    "operation.done": _kind(_OP, "name count", "before after person"),
    "operation.refused": _kind(_OP, "name code count"),
    "operation.failed": _kind(_OP, "name code"),
    "operation.unknown": _kind(_OP, "name code"),
    "recording.segment": _kind("session", "n digest first_us last_us bytes"),
    "recording.closed": _kind("session", "segments digest bytes"),
    "secret.issued": _kind(_OP, "link secret to opens baseline leaf index size path", "address person salt"),
    "secret.sent": _kind("operation", "link"),
    "secret.undelivered": _kind("operation", "link"),
    "secret.unconfirmed": _kind("operation", "link"),
    "secret.opened": _kind("operation", f"link {_SIGNED}", "words"),
    "secret.handed": _kind("operation", "link"),
    "secret.expired": _kind("operation", "link"),
    "note.written": _kind("system", "note", "text"),
    "notice.sent": _kind("", "what size channel", "address"),
    "notice.failed": _kind("", "what code channel", "address"),
    "reader.added": _kind("", "reader", "name"),
    "reader.removed": _kind("", "reader"),
    "looked.log": _kind("", "who"),
    "looked.recording": _kind("session", "who", "why"),
    "looked.session": _kind("session", "who how", "why"),
    "looked.audit": _kind("", "who", "why"),
    "looked.subject": _kind("subject", "who", "why"),
    "proposal.made": _kind("", "proposal what basis target", "words"),
    "proposal.withdrawn": _kind("", "proposal what target"),
    "erased": _kind("subject", "proposal basis keys events holds proposed_by approved_by pending_until_ms part"),
    "erasure.scheduled": _kind("subject", "proposal basis why until_ms proposed_by approved_by"),
    "erasure.done": _kind("subject", "proposal"),
    "hold.placed": _kind("", "proposal target basis proposed_by approved_by"),
    "hold.released": _kind("", "proposal target proposed_by approved_by"),
    "look.permitted": _kind("session", "proposal basis until_ms proposed_by approved_by"),
    "person.restricted": _kind("system subject", "", "why"),
    "person.unrestricted": _kind("system subject", "", "why"),
    "retention.set": _kind("", "months contract_ends_ms"),
    "retention.deleted": _kind("", "what why sessions keys count from_ms until_ms by"),
}

# `how` and `reason`: in the entry what Frameroom says itself, sealed what somebody typed.
# Every first gets exactly one of the others, joined by the id they share.
PROMISES: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "request.submitted": (
        "request",
        frozenset({"request.granted", "request.denied", "request.expired", "request.withdrawn"}),
    ),
    "operation.intended": (
        "operation",
        frozenset({"operation.done", "operation.refused", "operation.failed", "operation.unknown"}),
    ),
    "session.opened": ("session", frozenset({"session.closed", "session.failed"})),
    "visit.started": ("session", frozenset({"visit.ended"})),
}

IDS: Final = ("system", "session", "grant", "request", "operation", "subject")


@dataclass(frozen=True, slots=True)
class Personal:
    """A field that tells of a person: its value is sealed under `key_id` ("session:ses_…", "subject:sub_…")."""

    field: str
    value: Any
    key_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `log` is the customer's id, or OPERATOR_LOG; `actor` an id, never a name."""

    kind: str
    log: str
    actor: str
    system: str | None = None
    session: str | None = None
    grant: str | None = None
    request: str | None = None
    operation: str | None = None
    subject: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    personal: tuple[Personal, ...] = ()

    def __post_init__(self) -> None:
        kind = KINDS.get(self.kind)
        if kind is None:
            raise EventError(f"{self.kind!r} is not an event of this log")
        missing = [name for name in sorted(kind.ids) if getattr(self, name) is None]
        if missing:
            raise EventError(f"{self.kind} needs {', '.join(missing)}")
        stray = set(self.data) - kind.data
        stray |= {p.field for p in self.personal} - kind.personal
        if stray:
            raise EventError(f"{self.kind} does not carry {', '.join(sorted(stray))}")
