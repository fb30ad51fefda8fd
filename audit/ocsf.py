"""Entries of the log as events of OCSF 1.5.0 (Open Cybersecurity Schema Framework, schema.ocsf.io).

`MAPPED` names for every kind of event the class that fits, or the base event where none does. Nothing personal is in
an entry, and so nothing personal is in what is made of it: persons are their opaque ids. The entry itself goes along
as `raw_data`, byte for byte, so that whoever keeps it can recompute its leaf hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

VERSION: Final = "1.5.0"
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_SERVICE: Final = "frameroom"


class Class(IntEnum):
    """Classes of OCSF, by class_uid; the category is the thousands."""

    BASE_EVENT = 0
    DETECTION_FINDING = 2004
    ACCOUNT_CHANGE = 3001
    AUTHENTICATION = 3002
    ENTITY_MANAGEMENT = 3004
    USER_ACCESS = 3005
    APPLICATION_LIFECYCLE = 6002
    API_ACTIVITY = 6003


class Severity(IntEnum):
    """severity_id."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class Status(IntEnum):
    """status_id."""

    UNKNOWN = 0
    SUCCESS = 1
    FAILURE = 2


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a kind of event is in OCSF. An operation's activity is that of its name (`_OPERATIONS`)."""

    what: Class
    activity: int
    status: Status = Status.SUCCESS
    severity: Severity = Severity.INFORMATIONAL


_GONE = Mapped(Class.ENTITY_MANAGEMENT, _DELETE)
_MADE = Mapped(Class.ENTITY_MANAGEMENT, _CREATE)
_CHANGED = Mapped(Class.ENTITY_MANAGEMENT, _UPDATE)
_LOOKED = Mapped(Class.API_ACTIVITY, _READ)
_BASE = Mapped(Class.BASE_EVENT, _OTHER)
_BASE_FAILED = Mapped(Class.BASE_EVENT, _OTHER, Status.FAILURE, Severity.LOW)
_LOGON, _LOGOFF = Mapped(Class.AUTHENTICATION, 1), Mapped(Class.AUTHENTICATION, 2)
_NO_LOGON = Mapped(Class.AUTHENTICATION, 1, Status.FAILURE, Severity.MEDIUM)
_PERMITTED = Mapped(Class.USER_ACCESS, 1, Status.SUCCESS, Severity.LOW)
_ENDED = Mapped(Class.USER_ACCESS, 2, Status.SUCCESS, Severity.LOW)
_ACCOUNT, _ACCOUNT_GONE = Mapped(Class.ACCOUNT_CHANGE, 1), Mapped(Class.ACCOUNT_CHANGE, 6)
_ACCOUNT_OTHER = Mapped(Class.ACCOUNT_CHANGE, _OTHER)
_FACTOR, _NO_FACTOR = Mapped(Class.ACCOUNT_CHANGE, 10), Mapped(Class.ACCOUNT_CHANGE, 11)

MAPPED: Final[Mapping[str, Mapped]] = {
    "log.started": Mapped(Class.APPLICATION_LIFECYCLE, 3),
    "log.stopped": Mapped(Class.APPLICATION_LIFECYCLE, 4),
    "log.restored": Mapped(Class.DETECTION_FINDING, _CREATE, Status.UNKNOWN, Severity.HIGH),
    "log.key_changed": Mapped(Class.APPLICATION_LIFECYCLE, 8, Status.SUCCESS, Severity.MEDIUM),
    "keys.rewrapped": Mapped(Class.APPLICATION_LIFECYCLE, 8, Status.SUCCESS, Severity.MEDIUM),
    "keys.retired": Mapped(Class.APPLICATION_LIFECYCLE, 8, Status.SUCCESS, Severity.MEDIUM),
    "backup.made": _BASE,
    "heartbeat": _BASE,
    "staff.added": _ACCOUNT,
    "engineer.added": _ACCOUNT,
    "engineer.changed": _ACCOUNT_OTHER,
    "engineer.disabled": Mapped(Class.ACCOUNT_CHANGE, 5),
    "engineer.enabled": Mapped(Class.ACCOUNT_CHANGE, 2),
    "engineer.key_added": _FACTOR,
    "engineer.key_removed": _NO_FACTOR,
    "engineer.totp_enrolled": _FACTOR,
    "engineer.codes_issued": _FACTOR,
    "auth.refused": _NO_LOGON,
    "auth.failed": _NO_LOGON,
    "auth.succeeded": _LOGON,
    "door.refused": Mapped(Class.API_ACTIVITY, _OTHER, Status.FAILURE, Severity.MEDIUM),
    "customer.added": _MADE,
    "site.added": _MADE,
    "site.changed": _CHANGED,
    "contact.added": _ACCOUNT,
    "contact.changed": _ACCOUNT_OTHER,
    "contact.removed": _ACCOUNT_GONE,
    "contacts.exported": _LOOKED,
    "approver.added": _ACCOUNT,
    "approver.changed": _ACCOUNT_OTHER,
    "approver.removed": _ACCOUNT_GONE,
    "approver.confirmed": _ACCOUNT_OTHER,
    "approver.key_enrolled": _FACTOR,
    "approver.key_removed": _NO_FACTOR,
    "recovery.begun": Mapped(Class.ACCOUNT_CHANGE, _OTHER, Status.SUCCESS, Severity.HIGH),
    "recovery.stopped": _ACCOUNT_OTHER,
    "recovery.done": Mapped(Class.ACCOUNT_CHANGE, _OTHER, Status.SUCCESS, Severity.MEDIUM),
    "channel.added": _MADE,
    "channel.removed": _GONE,
    "asking.ordered": _CHANGED,
    "deputy.set": _CHANGED,
    "absence.set": _MADE,
    "absence.ended": _GONE,
    "notices.set": _ACCOUNT_OTHER,
    "address.confirmed": _ACCOUNT_OTHER,
    "invitation.sent": _BASE,
    "portal.signed_in": _LOGON,
    "portal.signed_out": _LOGOFF,
    "portal.refused": _NO_LOGON,
    "oidc.set": Mapped(Class.ENTITY_MANAGEMENT, _UPDATE, Status.SUCCESS, Severity.MEDIUM),
    "oidc.removed": _GONE,
    "oidc.account_bound": _FACTOR,
    "oidc.account_forgotten": _NO_FACTOR,
    "approver.code_added": _FACTOR,
    "approver.code_removed": _NO_FACTOR,
    "agreement.set": _CHANGED,
    "agreement.signed": _CHANGED,
    "agreement.confirmed": Mapped(Class.ENTITY_MANAGEMENT, 10),
    "agreement.withdrawn": Mapped(Class.ENTITY_MANAGEMENT, 11, Status.SUCCESS, Severity.LOW),
    "access.changed": Mapped(Class.ENTITY_MANAGEMENT, _UPDATE, Status.SUCCESS, Severity.MEDIUM),
    "roster.changed": _CHANGED,
    "helper.sent": Mapped(Class.ENTITY_MANAGEMENT, _UPDATE, Status.UNKNOWN, Severity.MEDIUM),
    "helper.ran": Mapped(Class.ENTITY_MANAGEMENT, _UPDATE, Status.UNKNOWN, Severity.MEDIUM),
    "system.added": _MADE,
    "system.changed": _CHANGED,
    "system.removed": _GONE,
    "addresses.asked": _LOOKED,
    "addresses.read": _LOOKED,
    "addresses.confirmed": _CHANGED,
    "console.signed": _CHANGED,
    "console.changed": Mapped(Class.ENTITY_MANAGEMENT, _UPDATE, Status.SUCCESS, Severity.MEDIUM),
    "login.foreign": Mapped(Class.DETECTION_FINDING, _CREATE, Status.UNKNOWN, Severity.CRITICAL),
    "login.unread": Mapped(Class.DETECTION_FINDING, _CREATE, Status.FAILURE, Severity.MEDIUM),
    "request.submitted": _MADE,
    "request.asked": _BASE,
    "request.narrowed": _CHANGED,
    "request.granted": _PERMITTED,
    "request.denied": Mapped(Class.USER_ACCESS, 1, Status.FAILURE, Severity.LOW),
    "request.expired": _GONE,
    "request.withdrawn": _GONE,
    "job.asked": _MADE,
    "job.signed": _CHANGED,
    "job.taken": _CHANGED,
    "job.done": _CHANGED,
    "job.withdrawn": _GONE,
    "approval.signed": _CHANGED,
    "consent.recorded": Mapped(Class.ENTITY_MANAGEMENT, _UPDATE, Status.SUCCESS, Severity.LOW),
    "grant.revoked": _ENDED,
    "grant.expired": _ENDED,
    "session.opened": _LOGON,
    "session.closed": _LOGOFF,
    "visit.started": Mapped(Class.ENTITY_MANAGEMENT, _CREATE, Status.SUCCESS, Severity.MEDIUM),
    "visit.ended": _CHANGED,
    "visit.told": _CHANGED,
    "session.failed": Mapped(Class.AUTHENTICATION, 2, Status.FAILURE, Severity.MEDIUM),
    "session.refused": _NO_LOGON,
    "operation.intended": Mapped(Class.API_ACTIVITY, 0, Status.UNKNOWN),
    "operation.done": Mapped(Class.API_ACTIVITY, 0),
    "operation.refused": Mapped(Class.API_ACTIVITY, 0, Status.FAILURE, Severity.LOW),
    "operation.failed": Mapped(Class.API_ACTIVITY, 0, Status.FAILURE, Severity.LOW),
    "operation.unknown": Mapped(Class.API_ACTIVITY, 0, Status.UNKNOWN, Severity.MEDIUM),
    "recording.segment": _BASE,
    "recording.closed": _BASE,
    "secret.issued": Mapped(Class.ACCOUNT_CHANGE, 4, Status.SUCCESS, Severity.LOW),
    "secret.sent": _BASE,
    "secret.undelivered": _BASE_FAILED,
    "secret.unconfirmed": _BASE_FAILED,
    "secret.opened": _BASE,
    "secret.handed": _BASE,
    "secret.expired": _BASE,
    "note.written": _MADE,
    "notice.sent": _BASE,
    "notice.failed": _BASE_FAILED,
    "reader.added": _ACCOUNT,
    "reader.removed": _ACCOUNT_GONE,
    "looked.log": _LOOKED,
    "looked.recording": _LOOKED,
    "looked.session": _LOOKED,
    "looked.audit": _LOOKED,
    "looked.subject": _LOOKED,
    "proposal.made": _MADE,
    "proposal.withdrawn": _GONE,
    "erased": _GONE,
    "erasure.scheduled": _CHANGED,
    "erasure.done": _GONE,
    "hold.placed": _MADE,
    "hold.released": _GONE,
    "look.permitted": _PERMITTED,
    "person.restricted": Mapped(Class.ENTITY_MANAGEMENT, 12),
    "person.unrestricted": Mapped(Class.ENTITY_MANAGEMENT, 13),
    "retention.set": _CHANGED,
    "retention.deleted": _GONE,
}
_OPERATIONS: Final[Mapping[str, int]] = {
    "find": _READ, "list-all": _READ, "view": _READ, "alter": _UPDATE, "remove": _DELETE, "reset-voicemail": _UPDATE,
    "reset-sip": _UPDATE, "reset-portal": _UPDATE, "console-look": _READ,
}  # fmt: skip
_PERSONS: Final = ("engineer", "approver", "contact", "reader")
_THINGS: Final = ("request", "subject", "grant", "session", "system")
_SUBJECTS: Final = ("version", "proposal", "note", "site", "engineer")


def mapped_of(kind: str) -> Mapped:
    """How a kind is mapped; what is no kind of ours (a tampered entry) is a base event."""
    return MAPPED.get(kind, _BASE)


def to_ocsf(body: Mapping[str, Any], *, index: int | None, leaf: bytes, entry: bytes) -> dict[str, Any]:
    """One entry as an OCSF event. `body` is the entry parsed, `entry` its bytes, `leaf` its leaf hash."""
    kind, raw = str(body.get("kind", "")), body.get("data")
    data: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    mapped = mapped_of(kind)
    activity = _OPERATIONS.get(str(data.get("name")), _OTHER) if kind.startswith("operation.") else mapped.activity
    time = body.get("time")
    event: dict[str, Any] = {
        "class_uid": int(mapped.what),
        "category_uid": mapped.what // 1000,
        "activity_id": activity,
        "type_uid": mapped.what * 100 + activity,
        "severity_id": int(mapped.severity),
        "status_id": int(mapped.status),
        "time": time if isinstance(time, int) else 0,
        "message": kind,
        "metadata": {
            "version": VERSION,
            "product": {"name": "Frameroom", "vendor_name": "Frameroom"},
            "uid": str(body.get("id", "")),
            "event_code": kind,
            "log_name": str(body.get("log", "")),
            "tenant_uid": str(body.get("log", "")),
        },
        "raw_data": entry.decode("utf-8", "replace"),
        "unmapped": {"frameroom": {"leaf": leaf.hex(), **{k: v for k, v in body.items() if k not in _ELSEWHERE}}},
    }
    if index is not None:
        event["metadata"]["sequence"] = index
    if mapped.what in _REST:
        event |= _REST[mapped.what](kind, body, data)
    return event


_ELSEWHERE: Final = frozenset({"kind", "time", "id", "log"})


def _user(body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Whom it is about: the person named, else the one it was done to, else whoever did it."""
    named = next((data[key] for key in _PERSONS if data.get(key)), None)
    return {"uid": str(named or body.get("subject") or body.get("actor", ""))}


def _actor(body: Mapping[str, Any]) -> dict[str, Any]:
    actor: dict[str, Any] = {"user": {"uid": str(body.get("actor", ""))}}
    if body.get("session"):
        actor["session"] = {"uid": str(body["session"])}
    return actor


def _authentication(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"user": _user(body, data), "service": {"name": _SERVICE}}
    if body.get("system"):
        made["service"]["uid"] = str(body["system"])
    if body.get("session"):
        made["session"] = {"uid": str(body["session"])}
    return made


def _account(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return {"user": _user(body, data), "actor": _actor(body)}


def _access(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    told = data.get("operations")
    operations = told if isinstance(told, list) else str(told or "").split()
    what = [str(one) for one in operations] or [str(body.get("grant") or data.get("proposal") or body.get("request"))]
    return _account(kind, body, data) | {"privileges": what}


def _entity(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    of = kind.partition(".")[0]
    # A visit that Frameroom is not in between at goes by a session's name.
    own = body.get("session" if of == "visit" else of)
    named = own or data.get(of) or next((data[key] for key in _SUBJECTS if data.get(key)), None)
    named = named or next((body[key] for key in _THINGS if body.get(key)), body.get("log", ""))
    return {"entity": {"uid": str(named), "name": of, "type": of}, "actor": _actor(body)}


def _api(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    operation = str(data.get("name") or kind)
    api: dict[str, Any] = {"operation": operation, "service": {"name": _SERVICE}}
    if body.get("operation"):
        api["request"] = {"uid": str(body["operation"])}
    made: dict[str, Any] = {"api": api, "actor": _actor(body), "src_endpoint": {"svc_name": _SERVICE}}
    if body.get("system"):
        made["dst_endpoint"] = {"uid": str(body["system"])}
    if data.get("code"):
        made["status_code"] = str(data["code"])
    return made


def _finding(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    titles = {
        "login.foreign": "A phone system's credential was used, and not by Frameroom",
        "login.unread": "A phone system's record of logins could not be read",
        "log.restored": "Entries of the log were lost, and it went on without them",
    }
    finding = {"uid": str(body.get("id", "")), "title": titles.get(kind, kind), "types": [kind]}
    made: dict[str, Any] = {"finding_info": finding}
    if body.get("system"):
        made["resources"] = [{"uid": str(body["system"]), "type": "phone system"}]
    return made


def _application(kind: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return {"app": {"name": "Frameroom", "vendor_name": "Frameroom", "version": str(data.get("version", ""))}}


_REST: Final[Mapping[Class, Callable[[str, Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]]] = {
    Class.AUTHENTICATION: _authentication,
    Class.ACCOUNT_CHANGE: _account,
    Class.USER_ACCESS: _access,
    Class.ENTITY_MANAGEMENT: _entity,
    Class.API_ACTIVITY: _api,
    Class.DETECTION_FINDING: _finding,
    Class.APPLICATION_LIFECYCLE: _application,
}


def table() -> str:
    """The mapping for people, as docs/streams.md has it: a Markdown table."""
    lines = ["| kind | class | activity_id | status_id | severity_id |", "|---|---|---|---|---|"]
    for kind, one in MAPPED.items():
        activity = "by name" if kind.startswith("operation.") else str(one.activity)
        name = one.what.name.lower()
        lines.append(f"| `{kind}` | {name} ({int(one.what)}) | {activity} | {int(one.status)} | {int(one.severity)} |")
    return "\n".join(lines) + "\n"
