"""Visits that are not recorded here, in reports: permitted, begun, ended and told of once, and never called proof."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from audit.events import Event, Personal
from audit.report import Reporter
from audit.reportfile import MARK, Report
from audit.verify import main

from .conftest import House
from .reported import ENGINEER, GRANT, SYSTEM, UNTIL, Story

VISIT = "vis_" + "2" * 24
IDS = {"system": SYSTEM, "session": VISIT, "grant": GRANT}
WORDS = "Changed the line card of extension 2001"


@dataclass
class Outside(Story):
    """A permission for a visit, and what came of it."""

    wanted: tuple[str, ...] = ("visit",)

    @property
    def granted(self) -> dict[str, Any]:
        return {"how": "signed", "until_ms": UNTIL, "operations": list(self.wanted)}

    def of_visit(self, kind: str, words: str = WORDS, **ids: str) -> Event:
        """One of its entries."""
        data: dict[str, dict[str, Any]] = {
            "visit.started": {"factor": "totp"}, "visit.ended": {"reason": "the engineer is done"},
            "visit.told": {"late": False},
        }  # fmt: skip
        personal = (Personal("words", words, f"visit:{VISIT}"),) if kind == "visit.told" else ()
        return self.event(kind, {"engineer": ENGINEER, **data[kind]}, *personal, **(IDS | ids))

    async def report_of(self, *events: Event, about: str = GRANT) -> Report:
        """The permission's, or the visit's, after these."""
        await self.permitted()
        await self.add(*events, self.event("heartbeat", {"sessions": 0}))
        await self.house.sequence()
        async with self.house.engine.connect() as connection:
            reporter = Reporter(connection, self.house.audit, self.house.objects, self.note)
            return await (reporter.permission if about == GRANT else reporter.visit)(about)


def check(report: Report, folder: Path, vkey: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    file = folder / "report.txt"
    file.write_text(report.text(), encoding="utf-8")
    code = main([str(file), "--vkey", vkey])
    said = capsys.readouterr()
    return code, said.out + said.err


WHOLE = ("visit.started", "visit.ended", "visit.told")


async def test_it_holds_and_says_what_that_proves(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Outside(house)
    words = "What was done: " + "x" * 3_900 + " end"
    report = await story.report_of(*(story.of_visit(kind, words) for kind in WHOLE))
    code, said = check(report, tmp_path, house.signer.vkey, capsys)
    assert code == 0, said
    assert "NOT RECORDED HERE" in said
    assert "what was done is not" in said
    text = report.text().partition(MARK)[0]
    assert "in the engineer's own words, NOT RECORDED HERE and proof of nothing" in text
    assert words in text, "all that was said stands there"


@pytest.mark.parametrize(
    ("kinds", "fault"),
    [
        (("visit.started", "visit.started"), "stands twice"), ((*WHOLE, "visit.ended"), "stands twice"),
        ((*WHOLE, "visit.told"), "stands twice"), (("visit.started", "visit.told"), "that had not ended"),
        (("visit.ended",), "never begun"),
    ],
)  # fmt: skip
async def test_what_cannot_have_been_is_named(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], kinds: tuple[str, ...], fault: str
) -> None:
    story = Outside(house)
    report = await story.report_of(*(story.of_visit(kind) for kind in kinds))
    code, said = check(report, tmp_path, house.signer.vkey, capsys)
    assert code == 1
    assert fault in said


async def test_one_that_was_not_permitted_is_named(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Outside(house, wanted=("alter",))
    code, said = check(
        await story.report_of(story.of_visit("visit.started")), tmp_path, house.signer.vkey, capsys
    )  # fmt: skip
    assert (code, "visit was begun, and the permission does not name it" in said) == (1, True)


async def test_one_begun_by_somebody_else_is_named(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Outside(house)
    report = await story.report_of(story.of_visit("visit.started", actor="eng_" + "1" * 24))
    code, said = check(report, tmp_path, house.signer.vkey, capsys)
    assert (code, "to whom the permission was not given" in said) == (1, True)


@pytest.mark.parametrize(("kind", "ids"), [
    ("visit.told", {"actor": "sam"}), ("visit.told", {"system": "sys_other"}), ("visit.ended", {"system": "sys_other"}),
])  # fmt: skip
async def test_an_account_that_is_not_of_who_began_it_is_named(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, ids: dict[str, str]
) -> None:
    """Words that staff wrote are not the engineer's own, and an end elsewhere is not this visit's."""
    story = Outside(house)
    events = [story.of_visit(one, **(ids if one == kind else {})) for one in WHOLE]
    code, said = check(await story.report_of(*events), tmp_path, house.signer.vkey, capsys)
    assert (code, "of another visit, or by somebody else, than was begun" in said) == (1, True), said


async def test_a_report_of_it_alone_holds_and_leaves_nothing_out(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Outside(house)
    begun, ended, told = (story.of_visit(kind) for kind in WHOLE)
    beat = story.event("heartbeat", {"sessions": 0})
    report = await story.report_of(begun, beat, ended, beat, told, beat, about=VISIT)
    code, said = check(report, tmp_path, house.signer.vkey, capsys)
    assert (code, f"nothing is left out of the visit {VISIT}, from its beginning to its end" in said) == (0, True), said
    assert "signed by 1 approvers" in said
    for kind, fault in (("visit.told", "was left out of the report"), ("visit.started", "the beginning of the visit")):
        less = tuple(one for one in report.entries if one.body()["kind"] != kind)
        code, said = check(replace(report, entries=less), tmp_path, house.signer.vkey, capsys)
        assert (code, fault in said) == (1, True), said


async def test_a_report_of_one_that_was_not_told_of_reaches_to_the_log_s_end(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Outside(house)
    report = await story.report_of(*(story.of_visit(kind) for kind in WHOLE[:2]), about=VISIT)
    code, said = check(report, tmp_path, house.signer.vkey, capsys)
    assert (code, "up to now: it is not told of yet" in said) == (0, True), said


async def test_other_words_than_the_log_committed_to_are_named(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = Outside(house)
    report = await story.report_of(*(story.of_visit(kind) for kind in WHOLE))
    place = next(at for at, one in enumerate(report.entries) if one.body()["kind"] == "visit.told")
    entries = list(report.entries)
    clear = dict(entries[place].clear)
    clear["words"] = replace(clear["words"], text='"Changed nothing"')
    entries[place] = replace(entries[place], clear=clear)
    code, said = check(replace(report, entries=tuple(entries)), tmp_path, house.signer.vkey, capsys)
    assert (code, "is not what the log committed to" in said) == (1, True)
