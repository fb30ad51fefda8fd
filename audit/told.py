"""What an entry tells, in plain words: one line each. Pure; standard library alone.

A report begins with these lines, and its verifier makes them again from the entries that it proved, so that the words
cannot say anything else than the log.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_LONGEST: Final = 300
_SIGNED: Final = 1_200
_SPANS: Final = ("behind_ms",)
_IDS: Final = ("operation", "session", "system", "grant", "request", "subject")
_ONLY_LOOKED: Final = (["plan"], ["changes"])
"""Of an operation that wrote nothing: what it would change was shown, or what was changed before."""
_OWN_WORDS: Final = 4_000
"""Of what an engineer says was done on a visit that is not recorded here: as long as it may be."""
_SENTENCES: Final[Mapping[str, str]] = {
    "customer.added": "this log was begun for {name}",
    "approver.added": "{name} became an approver ({approver})",
    "approver.removed": "the approver {approver} was removed",
    "agreement.set": "an agreement was drawn up (version {version}): {operations}",
    "agreement.confirmed": "the agreement (version {version}) was confirmed by {by}: {how}",
    "agreement.withdrawn": "the agreement (version {version}) was withdrawn by {by}: {how}",
    "helper.sent": "Frameroom's helper was being put on {host}, with an administrator's login there ({login})",
    "helper.ran": "putting Frameroom's helper on {host} came to: {outcome}",
    "system.added": "the phone system {name} was added",
    "console.signed": "{approver} signed with their own key, {words}",
    "console.changed": "at the prompt of {system} these more commands are on since ({how}, {by}): {entries}",
    "login.foreign": "OUR LOGIN TO {system} WAS USED, AND NOT BY US: on {at_ms} by its own clock, from {address}",
    "login.unread": "who uses our login to {system} could not be looked at since {since_ms}: {code}",
    "addresses.asked": "{approver} had the people of {system} read, to look at their mail addresses",
    "addresses.read": "{count} people were read, with {new} addresses to confirm",
    "addresses.confirmed": "{approver} signed the mail addresses of {system} with their own key: {right} are right, "
    "{wrong} are wrong",
    "request.submitted": "engineer {engineer} asked for: {operations}. Ticket: {ticket}. Reason: {reason}",
    "request.narrowed": "{approver} made the request less: {operations}, until {until_ms}; yeses to more are void",
    "approver.key_enrolled": "{approver} enrolled a key ({how})",
    "approver.key_removed": "a key of {approver} counts no more",
    "agreement.signed": "{approver} signed the agreement with their own key: {words}",
    "job.asked": "{approver} asked for work ({job}): {what}, for {for_whom}, by {until_ms}; it takes: {operations}",
    "job.signed": "{approver} signed the job {job} with their own key: {words}",
    "job.taken": "engineer {engineer} took the job {job}",
    "job.done": "the job {job} is done, says the engineer: {words}",
    "job.withdrawn": "the job {job} was withdrawn",
    "approval.signed": "{approver} signed with their own key: {request}",
    "request.asked": "asked for an answer ({occasion}): {approvers}",
    "request.granted": "permitted until {until_ms}, {how}: {operations}",
    "request.denied": "refused: {reason}",
    "request.expired": "the request ran out without an answer",
    "request.withdrawn": "the request was withdrawn",
    "consent.recorded": "{to} entered a yes by telephone, said by {by} on {at_ms}: {words}",
    "grant.revoked": "the permission was ended: {reason}",
    "grant.expired": "the permission ran out",
    "session.opened": "engineer {engineer} came in, signed in by {factor}, from {address}",
    "session.closed": "the visit ended: {reason}; {operations} operations, {segments} segments of {bytes} bytes",
    "session.failed": "the visit ended by a failure: {reason}",
    "visit.started": "engineer {engineer} began a visit that is NOT RECORDED HERE ({session}), signed in by {factor}, "
    "from {address}",
    "visit.ended": "the visit {session}, which is NOT RECORDED HERE, ended: {reason}",
    "visit.told": "in the engineer's own words, NOT RECORDED HERE and proof of nothing, what was done ({session}): "
    "{words}",
    "operation.intended": "{name} was begun ({operation}): {line}",
    "operation.done": "{name} was done ({operation}): {before} → {after}",
    "operation.refused": "{name} was refused by the phone system ({operation}): {code}",
    "operation.failed": "{name} failed ({operation}): {code}",
    "operation.unknown": "{name}: it cannot be told whether it happened ({operation}): {code}",
    "recording.segment": "segment {n} of the recording was stored",
    "recording.closed": "the recording ended with {segments} segments",
    "secret.issued": "a {secret} password was made and sent to {to} ({address})",
    "secret.opened": "the new password was shown, once ({operation})",
    "secret.handed": "an approver says that they handed the new password over ({operation})",
    "secret.sent": "the mail with it left ({operation})",
    "notice.sent": "a mail was sent to {address}: {what}",
    "notice.failed": "a mail did not leave for {address}: {what}",
    "heartbeat": "the log goes on; visits that are open: {sessions}",
    "looked.session": "{who} looked at the visit {session} ({how}): {why}",
    "looked.recording": "{who} looked at the recording of {session}: {why}",
    "looked.audit": "{who} looked at the log: {why}",
    "looked.subject": "{who} looked at what is held of {subject}: {why}",
    "looked.log": "the log was read with the token {who}",
    "log.key_changed": "the log's signing key {old} was handed over to {vkey}",
    "log.restored": "THE LOG WENT ON AFTER A LOSS: {lost} entries were lost",
}


class _Fields(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "-"


def harmless(text: str, longest: int = _LONGEST) -> str:
    """Text from outside on one line: nothing that moves a terminal or turns the direction of writing."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"} else c for c in text)
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def at(time_ms: int) -> str:
    """2026-11-25 14:03:07 UTC; out of the calendar's range the number itself."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def _in_words(text: str, words: Callable[[Any], str]) -> str:
    """What was signed, parsed and put into words; the text itself where it is not of that kind."""
    try:
        told = words(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        told = text
    return harmless(told, _SIGNED)


def request_words(text: str) -> str:
    """The bytes of a request that a yes was signed over, in words."""
    return _in_words(text, _request)


def _request(asked: Any) -> str:
    return (
        f"yes to {asked['engineer_name']} ({asked['engineer']}) in {asked['system_name']} ({asked['system']}) for "
        f"{', '.join(asked['operations'])}, from {at(asked['from'])} until {at(asked['until'])}. "
        f"Ticket: {asked['ticket'] or 'none'}. Reason: {asked['reason']}"
    )


def job_words(text: str) -> str:
    """The bytes of a job that was signed, in words."""
    return _in_words(text, _job)


def _job(asked: Any) -> str:
    return (
        f"in {asked['system_name']} ({asked['system']}), by {at(asked['until'])}: {asked['what']}, for "
        f"{asked['for'] or 'nobody in particular'}. For that an engineer may: {', '.join(asked['operations'])}"
    )


def agreement_words(text: str) -> str:
    """The bytes of an agreement that was signed, in words."""
    return _in_words(text, _agreement)


def _agreement(signed: Any) -> str:
    terms = json.loads(signed["terms"])
    told = "; ".join(f"{name.replace('_', ' ')}: {shown('', value)}" for name, value in sorted(terms.items()))
    return f"version {signed['agreement']}: {told}"


def visit_words(text: str) -> str:
    """What an engineer says was done where Frameroom was not in between, whole."""
    return harmless(text, _OWN_WORDS)


def shown(name: str, value: Any) -> str:
    """A value as people read it: `name` says what it is."""
    if name.endswith("_ms") and type(value) is int:
        return f"{value} ms" if name in _SPANS else at(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown('', item)}" for key, item in value.items() if item not in (None, "", []))
    if isinstance(value, list | tuple):
        return ", ".join(shown("", item) for item in value)
    return str(value)


def console_words(text: str) -> str:
    """The bytes of a list of commands that was signed, in words."""
    return _in_words(text, _console)


def _console(signed: Any) -> str:
    more = ", ".join(signed["entries"]) or "none"
    return f"that at the prompt of {signed['system_name']} ({signed['system']}) these more commands are on: {more}"


_WORDS: Final = {
    "approval.signed": ("request", request_words),
    "job.signed": ("words", job_words),
    "console.signed": ("words", console_words),
    "agreement.signed": ("words", agreement_words),
    "visit.told": ("words", visit_words),
}


def line(body: Mapping[str, Any], clear: Mapping[str, Any]) -> str:
    """When and what, of one entry: `body` as parsed, `clear` its personal fields (or why one is not there)."""
    data = body.get("data")
    ids = {name: body[name] for name in _IDS if name in body}
    values = ids | (dict(data) if isinstance(data, Mapping) else {}) | dict(clear)
    fields = _Fields({name: harmless(shown(name, value)) or "-" for name, value in values.items()})
    kind = str(body.get("kind", "?"))
    if kind in _WORDS:
        name, words_of = _WORDS[kind]
        fields[name] = words_of(str(clear.get(name, "-")))
    sentence = _operation(kind, values) or _SENTENCES.get(kind)
    words = sentence.format_map(fields) if sentence else _plain(kind, fields)
    time_ms = body.get("time")
    return f"{at(time_ms) if isinstance(time_ms, int) else '?'}  {words}"


def _operation(kind: str, values: Mapping[str, Any]) -> str | None:
    """What is said of an operation that there is less to say of: nothing was typed, nobody was changed."""
    if kind == "operation.done" and not {"before", "after"} & values.keys():
        return "{name} was done ({operation})"
    if kind != "operation.intended" or "line" in values:
        return None
    if values.get("fields") in _ONLY_LOOKED:
        return "it was looked at what {name} would do, or did ({operation})"
    return "{name} was begun ({operation})" + (": {fields}" if values.get("fields") else "")


def _plain(kind: str, fields: Mapping[str, str]) -> str:
    rest = "; ".join(f"{name} {value}" for name, value in fields.items())
    return f"{harmless(kind)}: {rest}" if rest else harmless(kind)
