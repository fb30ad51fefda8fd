"""A report is checked with the verifier's folder alone; whatever is altered in it, or before it, is named."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit import reportfile
from audit.checkpoint import Checkpoint
from audit.events import Event
from audit.recording.session import recording_digest
from audit.report import Reporter
from audit.reportfile import MARK, Report
from audit.verify import main

from .conftest import CUSTOMER, NEIGHBOUR, House
from .reported import APPROVER, GRANT, ORIGIN, SESSION, SYSTEM, UNTIL, Story

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def story(house: House) -> Story:
    made = Story(house)
    await made.whole()
    return made


class Desk:
    """A customer with a report, the verifier key on their agreement, and what came by mail."""

    def __init__(self, folder: Path, vkey: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.vkey, self._capsys = folder, vkey, capsys

    def check(self, report: Report | str, *more: str) -> tuple[int, str]:
        """(exit code, everything that was said)."""
        file = self.folder / "report.txt"
        file.write_text(report if isinstance(report, str) else report.text(), encoding="utf-8")
        code = main([str(file), "--vkey", self.vkey, *more])
        said = self._capsys.readouterr()
        assert ("Everything holds." in said.out) == (code == 0)
        return code, said.out + said.err

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)


@pytest.fixture
def desk(tmp_path: Path, house: House, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, house.signer.vkey, capsys)


async def test_a_report_of_a_visit_holds_and_says_what_holds(story: Story, desk: Desk) -> None:
    report = await story.report()
    code, said = desk.check(report)
    assert code == 0, said
    for words in (
        "signed by the pinned key", "nothing is left out of the visit", "signed by 1 approvers with their own keys",
        "the recording of ses_333333333333333333333333 is what was recorded, and opens", "exactly one outcome",
    ):  # fmt: skip
        assert words in said
    text = report.text().partition(MARK)[0]
    for words in ("Ticket: T-7. Reason: Grace married", "name Grace → name Grace Bell", "192.0.2.7", "Kate Brook"):
        assert words in text


async def test_it_runs_from_one_copied_folder_with_cryptography_alone(story: Story, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(ROOT / "audit", alone / "audit")
    # What may be imported besides the standard library: cryptography and what it stands on.
    site = Path(sysconfig.get_paths()["purelib"])
    for name in [
        *site.glob("cryptography*"),
        *site.glob("cffi*"),
        *site.glob("_cffi_backend*"),
        *site.glob("pycparser*"),
    ]:
        (alone / name.name).symlink_to(name)
    file = tmp_path / "report.txt"
    file.write_text((await story.report()).text(), encoding="utf-8")
    command = [sys.executable, "-S", "-m", "audit.verify", str(file), "--vkey", story.house.signer.vkey, "--json"]
    done = subprocess.run(command, cwd=alone, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"] is True
    file.write_text(file.read_text().replace("T-7", "T-8"))
    assert subprocess.run(command, cwd=alone, env={}, capture_output=True, check=False).returncode == 1


def altered(report: Report, place: int, **what: Any) -> Report:
    entries = list(report.entries)
    entries[place] = replace(entries[place], **what)
    return replace(report, entries=tuple(entries))


def kinds(report: Report) -> list[str]:
    return [one.body()["kind"] for one in report.entries]


async def test_whatever_is_altered_in_a_report_is_named(story: Story, desk: Desk) -> None:
    good = await story.report()
    place = kinds(good).index("operation.done")
    one = good.entries[place]
    flipped = one.entry.replace(b'"alter"', b'"view_"')
    clear = dict(one.clear)
    clear["after"] = replace(clear["after"], text='{"name":"Nobody"}')
    cases = {
        "is not in the log": altered(good, place, entry=flipped),
        "stands in the log|is not in the log": altered(good, place, index=one.index + 1),
        "is not what the log committed to": altered(good, place, clear=clear),
        "is neither shown nor said to be erased": altered(good, place, clear={}),
        "is not in the log:|was left out": replace(good, entries=good.entries[:place] + good.entries[place + 1 :]),
        "stands twice or out of order": replace(
            good, entries=(*good.entries[:place], good.entries[place + 1], one, *good.entries[place + 2 :])
        ),
        "the recording has 1 segments": replace(
            good, recordings=(replace(good.recordings[0], segments=good.recordings[0].segments[:1]),)
        ),
        "segment 0 of the recording is not what was recorded": replace(
            good, recordings=(replace(good.recordings[0], segments=good.recordings[0].segments[::-1]),)
        ),
        "does not open with its key": replace(good, recordings=(replace(good.recordings[0], key=bytes(32)),)),
        "the checkpoint does not hold": replace(good, checkpoint=good.checkpoint.replace("\n18\n", "\n19\n", 1)),
    }
    for words, bad in cases.items():
        code, said = desk.check(bad)
        assert code == 1, (words, said)
        assert any(part in said for part in words.split("|")), (words, said)
    code, said = desk.check(good.text().replace("Grace Bell", "Grace Ball", 1))
    assert code == 1
    assert "the words in the report are not what its entries say" in said


async def test_a_report_signed_by_another_key_or_of_another_log_is_refused(story: Story, desk: Desk) -> None:
    good = await story.report()
    other = Story(story.house, NEIGHBOUR)
    await other.whole()
    theirs = await Reporter_of(other).visit("ses_" + "3" * 24)
    swapped = replace(good, entries=(*good.entries[:-1], theirs.entries[-1]))
    assert desk.check(swapped)[0] == 1
    assert desk.check(replace(theirs, origin=good.origin))[0] == 1
    # A neighbour's report holds, as theirs: whoever says which log is their own is told that it is another.
    assert desk.check(theirs)[0] == 0
    assert desk.check(good, "--origin", ORIGIN)[0] == 0
    code, said = desk.check(theirs, "--origin", ORIGIN)
    assert (code, f"not of {ORIGIN}" in said) == (1, True)


class Reporter_of:
    """Makes reports of a story's log."""

    def __init__(self, story: Story) -> None:
        self._story = story

    async def visit(self, session: str, *held: str) -> Report:
        house = self._story.house
        async with house.engine.connect() as connection:
            return await Reporter(connection, house.audit, house.objects, self._story.note).visit(session, held)

    async def permission(self, grant: str) -> Report:
        house = self._story.house
        async with house.engine.connect() as connection:
            return await Reporter(connection, house.audit, house.objects, self._story.note).permission(grant)

    async def since(self, since_ms: int) -> Report:
        house = self._story.house
        async with house.engine.connect() as connection:
            return await Reporter(connection, house.audit, house.objects, self._story.note).since(since_ms)


async def test_it_extends_the_checkpoint_that_came_by_mail_or_says_that_it_does_not(story: Story, desk: Desk) -> None:
    mailed = story.note
    await story.visited("ses_" + "a" * 24, "op_" + "a" * 24)
    await story.house.sequence()
    mail = desk.file("mail.txt", f"Dear Kate,\r\n\r\nthe log:\r\n\r\n{mailed}\r\nYours")
    code, said = desk.check(await story.report(mailed), "--since", mail)
    assert (code, "extends the 1 checkpoints that you hold" in said) == (0, True)
    code, said = desk.check(await story.report(), "--since", mail)
    assert code == 3, said
    # A history that forked after the mail: same size, another root, signed by the real key.
    size = int(mailed.split("\n")[1])
    fork = desk.file("fork.txt", story.house.signer.sign(Checkpoint(ORIGIN, size, b"x" * 32)))
    assert desk.check(await story.report(mailed), "--since", fork)[0] == 3
    longer = desk.file("longer.txt", story.house.signer.sign(Checkpoint(ORIGIN, size + 500, b"x" * 32)))
    code, said = desk.check(await story.report(mailed), "--since", longer)
    assert (code, "is longer than the log of this report" in said) == (3, True)
    assert desk.check(await story.report(), "--since", desk.file("other.txt", "no checkpoint"))[0] == 2


async def test_a_report_of_a_permission_and_of_everything_since(story: Story, desk: Desk) -> None:
    await story.visited("ses_" + "a" * 24, "op_" + "a" * 24)
    await story.house.sequence()
    code, said = desk.check(await Reporter_of(story).permission(GRANT))
    assert (code, said.count("nothing is left out of the visit")) == (0, 2)
    since = await Reporter_of(story).since(story.house.wall[0])
    code, said = desk.check(since)
    assert (code, "nothing is left out from entry 0 to the end" in said) == (0, True)
    story.house.wall[0] += 60_000
    await story.add(story.event("heartbeat", {"sessions": 0}))
    await story.house.sequence()
    last = await Reporter_of(story).since(story.house.wall[0])
    assert desk.check(last)[0] == 0
    assert len(last.entries) == 2, "the entry before shows where it begins"
    code, said = desk.check(replace(last, entries=last.entries[1:]))
    assert (code, "the entry before is not in it" in said) == (1, True)


async def test_what_was_going_on_when_a_report_begins_is_told_as_what_it_was(story: Story, desk: Desk) -> None:
    """A look at a plan has no outcome that says so: without its beginning it would read as if it had been done."""
    ids = {"system": SYSTEM, "session": SESSION, "grant": GRANT, "operation": "op_" + "e" * 24}
    await story.add(story.event("operation.intended", {"name": "alter", "fields": ["plan"]}, **ids))
    story.house.wall[0] += 60_000
    await story.add(story.event("heartbeat", {"sessions": 0}), story.event("operation.done", {"name": "alter"}, **ids))
    await story.house.sequence()
    last = await Reporter_of(story).since(story.house.wall[0])
    assert [one.body()["kind"] for one in last.entries][1:] == ["operation.intended", "heartbeat", "operation.done"]
    assert "what alter would do, or did, was shown" in last.text()
    assert "alter was done" not in last.text()
    code, said = desk.check(last)
    assert code == 0, said


async def test_an_erased_person_reads_so_and_everything_still_holds(story: Story, desk: Desk) -> None:
    before = await story.report()
    story.house.keys.destroy(CUSTOMER, "subject:sub_" + "9" * 24)
    after = await story.report()
    assert "Grace Bell" not in after.text()
    assert "erased" in after.text()
    for report in (before, after):
        code, said = desk.check(report)
        assert code == 0, said


# --- what is no report ---


async def test_no_damage_makes_the_verifier_fail_otherwise_than_in_words(story: Story, desk: Desk) -> None:
    """Cut short, bytes changed, parts doubled, at places that a fixed seed picks: a code, words, and never a yes."""
    good = await story.report(story.note)
    text, chance = good.text(), random.Random(7)  # noqa: S311 - places, not secrets
    for _ in range(300):
        at, length = chance.randrange(len(text)), chance.randrange(1, 40)
        piece = chance.choice(["", text[at : at + length] * 2, "9", '"', "null", "{}", "\0", "AA==", "["])
        damaged = text[:at] + piece + text[at + length :]
        code, said = desk.check(damaged)
        assert code in {1, 2, 5} or reportfile.parse(damaged) == (good, good.words()), (code, said)


@pytest.mark.parametrize(
    "text", ["", "x", MARK, MARK + "{}", MARK + "[" * 100_000, MARK + '{"format": []}', "\ufeff" + MARK]
)
async def test_what_is_no_report_is_said_to_be_none(story: Story, desk: Desk, text: str) -> None:
    code, said = desk.check(text)
    assert (code, "cannot be checked" in said) == (2, True)


@pytest.mark.parametrize(
    "more",
    [["--vkey", "nonsense"], ["--since", "/nowhere"], ["--approvers", "/nowhere"], ["--extract", "/dev/null/x"]],
    ids=lambda more: more[0],
)
async def test_what_cannot_be_read_is_said_with_its_own_code(story: Story, desk: Desk, more: list[str]) -> None:
    code, said = desk.check(await story.report(), *more)
    assert code == 2
    assert "cannot be checked" in said
    assert more[1] in said or more[0] in said


async def test_a_report_written_and_read_is_the_same(story: Story) -> None:
    report = await story.report(story.note)
    assert reportfile.parse(report.text()) == (report, report.words())


async def test_what_is_extracted_is_for_tools_of_others(story: Story, desk: Desk, tmp_path: Path) -> None:
    report = await story.report()
    assert desk.check(report, "--extract", str(tmp_path / "out"))[0] == 0
    first = report.entries[0]
    assert (tmp_path / "out" / f"{first.index}.entry").read_bytes() == first.entry
    assert (tmp_path / "out" / f"{first.index}.tlog-proof").read_text().startswith("c2sp.org/tlog-proof@v1\nindex ")
    assert len(list((tmp_path / "out").glob("*.frames.zst"))) == 2
    assert APPROVER in (tmp_path / "out" / f"{report.entries[1].index}.entry").read_text()


OTHER_GRANT, OTHER_REQUEST = "gra_" + "b" * 24, "req_" + "c" * 24
OTHER_SESSION, OTHER_ENGINEER = "ses_" + "d" * 24, "eng_" + "e" * 24


def _other(story: Story, kind: str, data: dict[str, Any], **ids: str) -> Event:
    given = {"actor": OTHER_ENGINEER, "system": SYSTEM, "session": OTHER_SESSION, "grant": OTHER_GRANT}
    return story.event(kind, data, **(given | ids))


@pytest.mark.parametrize("ends", ["meanwhile", "after"])
async def test_somebody_else_who_was_in_meanwhile_spoils_no_report(
    house: House, desk: Desk, ends: str
) -> None:  # fmt: skip
    story = Story(house)
    await story.permitted()
    operations = ["alter", "visit"]
    asked = {"engineer": OTHER_ENGINEER, "operations": operations, "until_ms": UNTIL, "digest": "00"}
    about = {"system": SYSTEM, "request": OTHER_REQUEST}
    consent = {"approver": APPROVER, "at_ms": 1, "digest": "00"}
    granted = {"how": "by telephone", "until_ms": UNTIL, "operations": operations}
    begins = [
        story.event("request.submitted", asked, actor=OTHER_ENGINEER, **about),
        story.event("consent.recorded", consent, **about),
        story.event("request.granted", granted, **about, grant=OTHER_GRANT),
        _other(story, "session.opened", {"engineer": OTHER_ENGINEER, "factor": "totp"}),
        _other(story, "recording.segment", {"n": 0, "digest": "aa", "bytes": 1}),
    ]
    over = [
        _other(story, "operation.intended", {"name": "alter"}, operation="op_" + "f" * 24),
        _other(story, "operation.done", {"name": "alter"}, operation="op_" + "f" * 24),
        _other(story, "visit.started", {"engineer": OTHER_ENGINEER, "factor": "totp"}, session="vis_" + "a" * 24),
        _other(story, "recording.segment", {"n": 1, "digest": "bb", "bytes": 1}),
        _other(story, "recording.closed", {"segments": 2, "digest": recording_digest(["aa", "bb"]), "bytes": 2}),
        _other(story, "session.closed", {"reason": "they left", "operations": 1, "segments": 2, "bytes": 2}),
    ]
    inside = {"meanwhile": over, "after": over[:3]}[ends]
    first, rest = (begins, []) if ends == "meanwhile" else ([], begins)
    await story.add(*first)
    await story.visited(between=[*rest, *inside])
    await story.add(*([] if ends == "meanwhile" else over[3:]))
    await house.sequence()
    code, said = desk.check(await story.report(recording=False))
    assert code == 0, said
