"""What a report has to hold, one check after another; the first that does not is named. Pure but for cryptography.

Checks, in this order: 1 the words are what the entries say, 2 the checkpoint is signed by the pinned key or one that
it was handed over to, 3 every entry stands where it says under that checkpoint, in this log, 4 personal fields are
what the log committed to, 5 the checkpoint extends every one that was sent before, 6 nothing is left out of a visit,
7 every promise was kept, 8 recordings are those that were recorded, 9 every permission rests on the customer's
approvals, and goes no further (audit/approvals.py), 10 what was addressed to an approver opened with their key alone
(audit/delivered.py), 11 every operation was permitted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import checkpoint
from audit.approvals import check_approvals
from audit.checked import NOT_EXTENDED, Checked, Fault
from audit.checkpoint import NoteError
from audit.delivered import check_delivered
from audit.events import PROMISES
from audit.merkle import leaf_hash
from audit.permitted import Permissions
from audit.proofs import ProofError, check_consistency, check_inclusion
from audit.reportfile import Report
from audit.rotation import follow, lineage
from audit.told import harmless

LATE_MS: Final = 5_000
"""On PostgreSQL a transaction that commits late is numbered after younger ones; this is how late it may be."""
_ENDS: Final = frozenset({"session.closed", "session.failed"})


def check(report: Report, words: str, by: Checked) -> None:
    """Every check. Fault names the first that fails; ReportError when an entry is none."""
    if words != report.words():
        raise Fault("the words in the report are not what its entries say")
    by.told.append("the words are what the entries say")
    _checkpoint(report, by)
    _entries(report, by)
    try:
        _personal(by)
        _extended(report, by)
        _complete(report, by)
        _promises(report, by)
        _recordings(report, by)
        _outside(report, by)
        check_approvals(by, whole="since" not in report.about)
        check_delivered(by, whole="since" not in report.about)
        _permitted(report, by)
    except (KeyError, TypeError, AttributeError) as error:
        raise Fault(f"an entry lacks what its kind has ({error}): it was not written by Frameroom") from error


def _checkpoint(report: Report, by: Checked) -> None:
    try:
        by.trusted = follow(by.vkey, report.handovers)
        name, _ = checkpoint.parse_vkey(by.vkey)
        if not report.origin.startswith(name + "/"):
            raise Fault(f"the report is of {harmless(report.origin)}, and the key of {name}")
        by.root = checkpoint.verify(report.checkpoint, by.trusted, report.origin)
    except NoteError as error:
        raise Fault(f"the checkpoint does not hold: {error}") from error
    after = f", after {len(by.trusted) - 1} handovers" if len(by.trusted) > 1 else ""
    by.told.append(f"the checkpoint of {by.root.size} entries is signed by the pinned key{after}")


def _entries(report: Report, by: Checked) -> None:
    log, last, newest = report.origin.partition("/")[2], -1, 0
    for one in report.entries:
        try:
            check_inclusion(leaf_hash(one.entry), one.index, by.root.size, list(one.path), by.root.root)
        except ProofError as error:
            raise Fault(f"entry {one.index} is not in the log: {error}") from error
        if one.index <= last:
            raise Fault(f"entry {one.index} stands twice or out of order in the report")
        last, body = one.index, one.body()
        if body.get("log") != log:
            raise Fault(f"entry {one.index} belongs to another log")
        if not isinstance(time_ms := body.get("time"), int) or time_ms < newest - LATE_MS:
            raise Fault(f"entry {one.index}: its time is before the entry in front of it")
        newest = max(newest, time_ms)
        by.bodies.append((one.index, body, one))
    by.told.append(f"{len(report.entries)} entries stand in the log where the report says")


def _personal(by: Checked) -> None:
    opened = erased = 0
    for index, body, one in by.bodies:
        committed = body.get("commit", {})
        if not isinstance(committed, dict):
            raise Fault(f"entry {index} is no entry of this log")
        for name, clear in one.clear.items():
            if committed.get(name) != clear.commitment():
                raise Fault(f"{harmless(name)} of entry {index} is not what the log committed to")
        if missing := sorted(committed.keys() - one.clear.keys() - one.gone.keys()):
            raise Fault(f"{harmless(missing[0])} of entry {index} is neither shown nor said to be erased")
        if invented := sorted((one.clear.keys() | one.gone.keys()) - committed.keys()):
            raise Fault(f"{harmless(invented[0])} of entry {index} is not in the log")
        opened, erased = opened + len(one.clear), erased + len(one.gone)
    by.told.append(f"{opened} personal fields are what the log committed to" + (f", {erased} erased" if erased else ""))


def _extended(report: Report, by: Checked) -> None:
    # Whoever pinned a newer key still holds checkpoints by those before it: each handover is signed by both.
    known = [*by.trusted, *lineage(by.vkey, report.handovers)]
    proven: dict[tuple[int, bytes], None] = {(by.root.size, by.root.root): None}
    for one in report.held:
        try:
            old = checkpoint.verify(one.checkpoint, known, report.origin)
            check_consistency(old.size, old.root, by.root.size, by.root.root, list(one.proof))
        except NoteError as error:
            raise Fault(f"an earlier checkpoint in the report does not hold: {error}") from error
        except ProofError as error:
            raise Fault(f"the log does not extend a checkpoint that was sent before: {error}", NOT_EXTENDED) from error
        proven[old.size, old.root] = None
    for note in by.since:
        try:
            old = checkpoint.verify(note, known, report.origin)
        except NoteError as error:
            raise Fault(f"the checkpoint that you hold does not hold itself: {error}", NOT_EXTENDED) from error
        if (old.size, old.root) not in proven:
            what = "is longer than" if old.size > by.root.size else "is not shown to be the beginning of"
            raise Fault(
                f"the checkpoint that you hold, of {old.size} entries, {what} the log of this report "
                f"({by.root.size} entries). Ask for one made with --held and your checkpoint; if that cannot be had, "
                "the log was cut or forked",
                NOT_EXTENDED,
            )
    if by.since:
        by.told.append(f"the log extends the {len(by.since)} checkpoints that you hold")
    elif report.held:
        by.told.append(f"the log extends {len(report.held)} checkpoints that were sent before (yours: --since FILE)")


def _visits(by: Checked) -> Iterator[tuple[str, int, int | None]]:
    """(session, index of its beginning, of its end or None) of each visit in the report."""
    ends = {body.get("session"): index for index, body, _ in by.bodies if body.get("kind") in _ENDS}
    for index, body, _ in by.bodies:
        if body.get("kind") == "session.opened":
            yield str(body["session"]), index, ends.get(body["session"])


def _outside_visits(by: Checked) -> Iterator[tuple[str, int, int | None]]:
    """The same of visits that are not recorded here, which end when they are told of."""
    told = {body.get("session"): index for index, body, _ in by.bodies if body.get("kind") == "visit.told"}
    for index, body, _ in by.bodies:
        if body.get("kind") == "visit.started":
            yield str(body["session"]), index, told.get(body["session"])


def _is_about(report: Report, body: Mapping[str, Any]) -> bool:
    """False for what others did meanwhile, of which a report has what fell into the visit that it is of."""
    about = report.about
    return "since" in about or any(name in body and body[name] == about.get(name) for name in ("session", "grant"))


def _complete(report: Report, by: Checked) -> None:
    there = {index for index, _, _ in by.bodies}
    mine = {index for index, body, _ in by.bodies if _is_about(report, body)}
    visits = [visit for visit in _visits(by) if visit[1] in mine]
    wanted = report.about.get("session")
    visits += [visit for visit in _outside_visits(by) if visit[0] == wanted]
    if wanted is not None and wanted not in [session for session, _, _ in visits]:
        raise Fault("the beginning of the visit is not in the report")
    for session, first, last in visits:
        until = by.root.size if last is None else last + 1
        for index in range(first, until):
            if index not in there:
                raise Fault(
                    f"entry {index}, in the middle of the visit {harmless(session)}, was left out of the report"
                )
        going_on = "it is not told of yet" if session.startswith(_OUTSIDE) else "it is not over"
        over = "from its beginning to its end" if last is not None else f"up to now: {going_on}"
        by.told.append(f"nothing is left out of the visit {harmless(session)}, {over}")
    since = report.about.get("since")
    if isinstance(since, int):
        _complete_since(since, there, by)


def _complete_since(since: int, there: set[int], by: Checked) -> None:
    first = min(there, default=by.root.size)
    for index in range(first, by.root.size):
        if index not in there:
            raise Fault(f"entry {index} was left out of the report")
    if first and (not by.bodies or int(by.bodies[0][1].get("time", since)) >= since):
        raise Fault("the report does not show that it begins where it says: the entry before is not in it")
    by.told.append(f"nothing is left out from entry {first} to the end")


def _promises(report: Report, by: Checked) -> None:
    """Of what the report holds the beginning of: sessions and operations, wherever the visit is over."""
    done = {session for session, _, last in _visits(by) if last is not None}
    for first, (joined, outcomes) in PROMISES.items():
        if joined == "request":
            continue  # its answer may come after the visit that the report is of
        ends = Counter(body.get(joined) for _, body, _ in by.bodies if body.get("kind") in outcomes)
        for index, body, _ in by.bodies:
            if body.get("kind") == first and body.get("session") in done and ends[body.get(joined)] != 1:
                raise Fault(f"{first} in entry {index} has {ends[body.get(joined)]} outcomes instead of one")
    by.told.append("every operation and visit has exactly one outcome")


def _recordings(report: Report, by: Checked) -> None:
    named: dict[str, list[str]] = {}
    begun = {session for session, _, _ in _visits(by)}
    for index, body, _ in by.bodies:
        data = body.get("data", {})
        if body.get("kind") == "recording.segment":
            named.setdefault(str(body["session"]), []).append(str(data.get("digest")))
        elif body.get("kind") == "recording.closed" and str(body["session"]) in begun:
            digests = named.get(str(body["session"]), [])
            whole = hashlib.sha256("".join(digests).encode()).hexdigest()
            if data.get("segments") != len(digests) or (digests and data.get("digest") != whole):
                raise Fault(f"the recording that entry {index} closes has other segments than the log names")
        elif body.get("kind") == "retention.deleted":
            for session in sorted(begun.intersection(map(str, data.get("sessions", ())))):
                by.told.append(
                    f"the recording of {harmless(session)} was deleted because its period was over, says entry {index}"
                )
    for one in report.recordings:
        digests, log = named.get(one.session, []), report.origin.partition("/")[2]
        if len(one.segments) != len(digests):
            raise Fault(f"the recording has {len(one.segments)} segments in the report, the log names {len(digests)}")
        for number, (sealed, digest) in enumerate(zip(one.segments, digests, strict=True)):
            if hashlib.sha256(sealed).hexdigest() != digest:
                raise Fault(f"segment {number} of the recording is not what was recorded")
            if one.key:
                open_segment(one.key, log, one.session, number, sealed)
        state = "and opens" if one.key else "and was erased: it opens no more"
        by.told.append(f"the recording of {harmless(one.session)} is what was recorded, {state}")


_OUTSIDE: Final = "vis_"
_NOT_RECORDED: Final = ("visit.started", "visit.ended", "visit.told")
_SAME: Final = ("system", "grant")


def _outside(report: Report, by: Checked) -> None:
    """Visits at which Frameroom was not in between: begun, ended and told of once, and what that proves."""
    seen: dict[str, Counter[str]] = {kind: Counter() for kind in _NOT_RECORDED}
    begun: dict[str, Mapping[str, Any]] = {}
    for index, body, _ in by.bodies:
        kind = str(body.get("kind"))
        if kind not in seen:
            continue
        visit = str(body["session"])
        seen[kind][visit] += 1
        if seen[kind][visit] > 1:
            raise Fault(f"entry {index}: {kind} stands twice for the visit {harmless(visit)}")
        first = begun.setdefault(visit, body) if kind == "visit.started" else begun.get(visit)
        # Anybody may end one, the clock too; what was done is told in the words of who was there.
        by_another = kind == "visit.told" and first is not None and body.get("actor") != first.get("actor")
        if first is not None and (by_another or any(body.get(name) != first.get(name) for name in _SAME)):
            raise Fault(f"entry {index}: {kind} is of another visit, or by somebody else, than was begun")
        if "since" in report.about or not _is_about(report, body):
            continue  # it may have begun before the report does
        if kind != "visit.started" and not seen["visit.started"][visit]:
            raise Fault(f"entry {index}: {kind} of a visit that was never begun")
        if kind == "visit.told" and not seen["visit.ended"][visit]:
            raise Fault(f"entry {index}: a visit was told of that had not ended")
    visits = {visit for counted in seen.values() for visit in counted}
    if visits:
        told = len(seen["visit.told"])
        by.told.append(
            f"{len(visits)} visits are NOT RECORDED HERE, {told} of them told of in the engineer's own words: when "
            "they were begun and told of is proved, and what was done is not"
        )


def open_segment(key: bytes, log: str, session: str, number: int, sealed: bytes) -> bytes:
    """The zstd frame of a segment (docs/formats.md, Recordings). Fault."""
    context = b"\0".join((b"segment", log.encode(), session.encode(), str(number).encode()))
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], context)
    except (InvalidTag, ValueError) as error:
        raise Fault(f"segment {number} of the recording does not open with its key") from error


def _permitted(report: Report, by: Checked) -> None:
    # A report of a time may begin in the middle of a permission; one of a visit holds what the visit rests on.
    permissions = Permissions(whole="since" not in report.about)
    for index, body, _ in by.bodies:
        if (broken := permissions.read(body)) is not None:
            raise Fault(f"entry {index}: {broken}")
    beyond = f", of which {len(permissions.unknown)} were given before this report" if permissions.unknown else ""
    by.told.append(f"{permissions.operations} operations are within the permissions they were begun under{beyond}")
