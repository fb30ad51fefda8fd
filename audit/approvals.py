"""That every permission rests on the customer's own yes, and goes no further than what was said yes to.

Followed entry by entry: keys enrolled and removed, requests asked and made less, yeses signed or given by telephone,
and the permission that they became. Standard library and cryptography alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit.checked import Checked, Fault
from audit.reportfile import Entry
from audit.signed import EnrolledKeys
from audit.switched import SwitchedOn
from audit.told import harmless

COUNTS_AS_ONE_MS: Final = 7 * 86_400_000
"""As gateway/access/persons.py counts, which says why."""
_APPROVER: Final = "apr_"


@dataclass(slots=True)
class _Asked:
    """A request as it stands: what a yes would be to, and who has said one to just that."""

    digest: str
    engineer: str
    system: str
    operations: frozenset[str]
    until_ms: int
    from_ms: int = 0
    job: str = ""
    signed: set[str] = field(default_factory=set)
    spoken: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Seen:
    """What the entries so far have told. `whole`: what a permission rests on is in the report, or is nowhere."""

    by: Checked
    whole: bool
    keys: EnrolledKeys
    asked: dict[str, _Asked] = field(default_factory=dict)
    jobs: dict[str, _Asked] = field(default_factory=dict)
    drawn_up: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    agreed: dict[int, set[str]] = field(default_factory=dict)
    """Who signed which version of the agreement."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """What the log says in clear of the confirmed agreement."""
    named: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Approvers whom another one named: by whom, and when."""
    prompts: SwitchedOn = field(init=False)

    def __post_init__(self) -> None:
        self.prompts = SwitchedOn(self.whole)

    @property
    def needed(self) -> int:
        """How many persons have to say yes."""
        return int(self.terms.get("approvals_needed", 1))

    @property
    def takes_calls(self) -> bool:
        """Whether a yes may be given by telephone; True where the agreement is not in the report."""
        return bool(self.terms.get("consent_by_phone", True))

    def persons(self, approvers: Collection[str], at_ms: int) -> int:
        """How many persons they count as: a newcomer together with whoever named them, for a week."""

        def origin(approver: str) -> str:
            # Each step at most once: a log that was made up may go round in circles.
            for _ in range(len(self.named)):
                by, since_ms = self.named.get(approver, ("", 0))
                if not by or at_ms - since_ms >= COUNTS_AS_ONE_MS:
                    break
                approver = by
            return approver

        return len({origin(approver) for approver in approvers})


def check_approvals(by: Checked, *, whole: bool) -> None:
    """Every permission in the report. Fault. Unless `whole`, what stands before its first entry is passed over."""
    seen = _Seen(by, whole, EnrolledKeys(by, whole))
    for index, body, one in by.bodies:
        seen.keys.read(body)
        kind, data = str(body.get("kind")), body.get("data", {})
        if kind in _STEPS:
            _STEPS[kind](seen, index, body, data, one)


def _named(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    by, approver = str(body["actor"]), str(data["approver"])
    if by.startswith(_APPROVER) and by != approver and approver not in seen.named:
        seen.named[approver] = by, int(body["time"])


def _drawn_up(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.drawn_up[int(data["version"])] = data


def _confirmed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    version = int(data["version"])
    persons = seen.agreed.get(version, set())
    if not persons and seen.keys.held:
        raise Fault(f"the agreement in entry {index} was confirmed without a signature, though the customer has keys")
    count = seen.persons(persons, int(body["time"]))
    if persons and count < seen.needed:
        raise Fault(f"the agreement in entry {index} has {count} signatures, the one before wants {seen.needed}")
    signed = f"signed by {len(persons)} approvers with their own keys" if persons else "NOT signed"
    seen.by.told.append(f"the agreement, version {version}, was {signed}: {one.told().partition('  ')[2]}")
    seen.terms = seen.drawn_up.get(version, {})


def _withdrawn(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.terms = {}


def _agreed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    version = int(data["version"])
    seen.keys.check(index, data)
    shown = one.clear.get("words")
    if shown is not None:
        text = str(shown.value())
        drawn = seen.drawn_up.get(version)
        if hashlib.sha256(text.encode()).hexdigest() != data["digest"]:
            raise Fault(f"the words of the agreement in entry {index} are not those that were signed")
        if drawn is not None and not _same_terms(text, version, drawn):
            raise Fault(f"the agreement that was signed in entry {index} is another than the log says")
    seen.agreed.setdefault(version, set()).add(str(data["approver"]))


def _same_terms(text: str, version: int, drawn: Mapping[str, Any]) -> bool:
    try:
        signed = json.loads(text)
        terms = json.loads(signed["terms"])
        return (
            signed["agreement"] == version and sorted(terms["operations"]) == drawn["operations"]
            and all(terms[name] == drawn[name] for name in ("approvals_needed", "consent_by_phone", "max_minutes"))
            and sorted(terms["standing"]) == drawn["standing"]
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _job(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    operations = frozenset(str(name) for name in data["operations"])
    seen.jobs[str(data["job"])] = _Asked(
        str(data["digest"]), "", str(body["system"]), operations, int(data["until_ms"])
    )


def _job_signed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    job = seen.jobs.get(str(data["job"]))
    seen.keys.check(index, data)
    if job is None and not seen.whole:
        return
    if job is None or data["digest"] != job.digest:
        raise Fault(f"the signature in entry {index} is for another job than the one that was asked for")
    _check_words(index, job, one, "words")
    job.signed.add(str(data["approver"]))


def _submitted(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.asked[str(body["request"])] = _Asked(
        str(data["digest"]), str(data["engineer"]), str(body["system"]),
        frozenset(str(name) for name in data["operations"]), int(data["until_ms"]), int(data.get("from_ms", 0)),
        str(data.get("job", "")),
    )  # fmt: skip


def _narrowed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    before = seen.asked.get(str(body["request"]))
    if before is None:
        return
    operations, until_ms = frozenset(str(name) for name in data["operations"]), int(data["until_ms"])
    if not operations <= before.operations or until_ms > before.until_ms:
        raise Fault(f"entry {index} makes a request wider than it was asked")
    seen.asked[str(body["request"])] = _Asked(
        str(data["digest"]), before.engineer, before.system, operations, until_ms
    )  # fmt: skip


def _spoken(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    asked = seen.asked.get(str(body["request"]))
    if not seen.takes_calls:
        raise Fault(f"a yes by telephone was written down in entry {index}, and the agreement takes none")
    if asked is not None and data["digest"] == asked.digest:
        asked.spoken[str(data["approver"])] = one.told().partition("  ")[2]


def _granted(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    grant, asked = harmless(str(body["grant"])), seen.asked.get(str(body["request"]))
    if asked is None:
        if seen.whole:
            raise Fault(f"the permission in entry {index} rests on no approval: nobody asked for it")
        seen.by.told.append(f"the permission {grant} was asked for before this report begins: not checked here")
        return
    operations, until_ms = frozenset(str(name) for name in data["operations"]), int(data["until_ms"])
    if not operations <= asked.operations or until_ms > asked.until_ms:
        raise Fault(f"the permission in entry {index} goes further than what was said yes to")
    if asked.job:
        _rests_on_job(seen, index, grant, asked, int(body["time"]))
        return
    persons = asked.signed | asked.spoken.keys()
    count = seen.persons(persons, int(body["time"]))
    if not persons:
        _rests_on_agreement(seen, index, grant, asked, str(data.get("how", "")))
        return
    if count < seen.needed:
        raise Fault(f"the permission in entry {index} has {count} yeses, the agreement wants {seen.needed}")
    if asked.signed:
        seen.by.told.append(f"the permission {grant} was signed by {len(asked.signed)} approvers with their own keys")
    for words in asked.spoken.values():
        seen.by.told.append(f"the permission {grant} was NOT signed: {words}")


def _rests_on_job(seen: _Seen, index: int, grant: str, asked: _Asked, at_ms: int) -> None:
    job = seen.jobs.get(asked.job)
    if job is None and not seen.whole:
        seen.by.told.append(f"the permission {grant} rests on a job from before this report: not checked here")
        return
    if job is None or not job.signed:
        raise Fault(f"the permission in entry {index} rests on no approval: nobody of the customer's asked for the job")
    count = seen.persons(job.signed, at_ms)
    if count < seen.needed:
        raise Fault(f"the job behind entry {index} has {count} signatures, the agreement wants {seen.needed}")
    if not asked.operations <= job.operations or asked.until_ms > job.until_ms or asked.system != job.system:
        raise Fault(f"the permission in entry {index} goes further than the job that was signed")
    signed = f"{len(job.signed)} approvers with their own keys"
    seen.by.told.append(f"the permission {grant} is for a job that was asked for and signed by {signed}")


def _rests_on_agreement(seen: _Seen, index: int, grant: str, asked: _Asked, how: str) -> None:
    """Nobody said yes to just this: then the confirmed agreement has to permit it without asking."""
    if not how.startswith("standing agreement"):
        raise Fault(f"the permission in entry {index} rests on no approval: nobody of the customer's said yes")
    if not seen.terms and not seen.whole:
        seen.by.told.append(f"the permission {grant} rests on an agreement from before this report: not checked here")
        return
    longest = int(seen.terms.get("max_minutes", 0)) * 60_000
    standing = frozenset(str(name) for name in seen.terms.get("standing", ()))
    if not asked.operations <= standing or asked.until_ms - asked.from_ms > longest:
        raise Fault(f"the permission in entry {index} rests on no approval: the agreement does not permit it standing")
    seen.by.told.append(f"the permission {grant} rests on the standing agreement")


def _signed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    asked = seen.asked.get(str(body["request"]))
    if asked is None and not seen.whole:
        seen.by.told.append(f"the approval in entry {index} rests on what stands before this report: not checked here")
        return
    if asked is None or data["digest"] != asked.digest:
        raise Fault(f"the approval in entry {index} is for another request than the one that was asked")
    _check_words(index, asked, one, "request")
    seen.keys.check(index, data)
    asked.signed.add(str(data["approver"]))


def _check_words(index: int, asked: _Asked, one: Entry, field_name: str) -> None:
    """The words that were signed, where they are not erased: they are what the log says was asked."""
    shown = one.clear.get(field_name)
    if shown is None:
        return
    text = str(shown.value())
    if hashlib.sha256(text.encode()).hexdigest() != asked.digest:
        raise Fault(f"the words of the request in entry {index} are not those that were signed")
    try:
        told = json.loads(text)
        same = (
            told.get("engineer", "") == asked.engineer and told["system"] == asked.system
            and frozenset(told["operations"]) == asked.operations and told["until"] == asked.until_ms
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        same = False
    if not same:
        raise Fault(f"the words that were signed in entry {index} ask for something else than the log says")


def _list_signed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.keys.check(index, data)
    seen.prompts.signed(index, body, data, one)


def _list_changed(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    count = seen.persons(seen.prompts.signers(body, data), int(body["time"]))
    by_call = seen.takes_calls and seen.needed < 2
    seen.by.told.append(seen.prompts.changed(index, body, data, count, seen.needed, by_call=by_call))


def _intended(seen: _Seen, index: int, body: Mapping[str, Any], data: Mapping[str, Any], one: Entry) -> None:
    seen.prompts.intended(index, body, data)


_STEPS: Final = {
    "approver.added": _named,
    "agreement.set": _drawn_up, "agreement.signed": _agreed, "agreement.confirmed": _confirmed,
    "agreement.withdrawn": _withdrawn, "job.asked": _job, "job.signed": _job_signed,
    "request.submitted": _submitted, "request.narrowed": _narrowed, "consent.recorded": _spoken,
    "approval.signed": _signed, "request.granted": _granted,
    "console.signed": _list_signed, "console.changed": _list_changed, "operation.intended": _intended,
}  # fmt: skip
