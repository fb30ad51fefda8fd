"""The pages of visits: in words, live, played, ended; and what of them is a look in the log."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import update

from audit.recording.frames import MARKER, OUTPUT, RESIZE, pack, seal_segment
from audit.recording.session import Limits, SessionRecording
from audit.sealing import MasterKeyAway
from connectors.contract import OUTSIDE, Operation
from gateway.lifecycle import GrantState, SessionState
from gateway.model import Grant, Request, Terms
from gateway.notify import summaries
from gateway.portal import visits
from gateway.portal.playing import sized
from gateway.store.tables import grants, sessions
from tests.portal.conftest import Site
from tests.session.resets.test_told import GRACE, done
from tests.support.furnished import OPERATIONS
from tests.support.watchers import Watchers


class _Journal:
    """Nothing is kept: what stands on a terminal is all that these tests look at."""

    limits = Limits()

    def wake(self, recording: SessionRecording) -> None: ...

    def spent(self, customer: str, more: int) -> int:
        return 0

    async def flush_within(self, limit_ms: int) -> bool:
        return True

    async def cut(self, recording: SessionRecording) -> None: ...

    async def finish(self, recording: SessionRecording) -> None: ...


@dataclass
class Going:
    """A visit that is served here."""

    recording: SessionRecording
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str | None = None
    lines: list[str] = field(default_factory=list)


@dataclass
class Stage:
    """Kate, signed in, and a visit under a permission of hers."""

    site: Site
    cookie: str
    kate: str
    grant: Grant
    session: str

    @property
    def csrf(self) -> str:
        """What her forms carry."""
        return hashlib.sha256(f"csrf:{self.cookie.rpartition('.')[2]}".encode()).hexdigest()

    async def page(self, path: str) -> str:
        """What she reads."""
        answer = await self.site.ask("GET", path, self.cookie)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def close(self, segments: int = 0) -> None:
        """The visit is over."""
        brook = self.site.brook
        here = (sessions.c.customer_id == brook.customer) & (sessions.c.id == self.session)
        async with brook.store.scope(brook.customer) as scope:
            values: dict[str, Any] = {"state": SessionState.CLOSED, "closed_ms": brook.clock.now()}
            await scope.execute(update(sessions).where(here).values(segments=segments, **values))

    def record(self, *frames: tuple[int, bytes], damaged: bool = False) -> None:
        """A recording of one segment, or of two of which the second does not hold."""
        brook = self.site.brook
        key = brook.audit.keys.get_or_create(brook.customer, f"session:{self.session}")
        packed = b"".join(pack(place * 1_000_000, kind, data) for place, (kind, data) in enumerate(frames))
        place = f"recordings/{brook.customer}/{self.session}/"
        self.site.objects.put_new(f"{place}0", seal_segment(key, brook.customer, self.session, 0, 1, packed))
        if damaged:
            self.site.objects.put_new(f"{place}1", seal_segment(key, brook.customer, "ses_another", 1, 2, packed))

    async def looks(self) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """(kind, data, personal) of each look."""
        brook = self.site.brook
        async with brook.store.look(brook.customer) as scope:
            rows = await brook.audit.read(scope.connection, brook.customer)
            return [
                (row.body["kind"], row.body["data"], await brook.audit.personal(scope.connection, row))
                for row in rows
                if row.body["kind"].startswith("looked.")
            ]


@pytest.fixture
async def stage(site: Site) -> Stage:
    kate = await site.brook.approver("Kate", "k@customer.example")
    key, _ = await site.enrol(await site.link(kate))
    request: Request = await site.brook.ask(reason="<b>Grace</b> married")
    grant = await site.brook.say_yes(request, kate)
    assert grant is not None
    return Stage(site, await site.cookie(key), kate, grant, await site.brook.session(grant))


async def test_the_list_says_who_is_in_and_what_was_done_so_far(stage: Stage) -> None:
    brook = stage.site.brook
    assert "Ana Silva is in Head office" in (page := await stage.page("/visits"))
    assert "nothing was looked at or changed" in page
    assert "&lt;b&gt;Grace&lt;/b&gt; married" in page
    assert "\u202e" not in page
    for name in (Operation.FIND, Operation.FIND, Operation.RESET_SIP):  # the last one only looked: nothing was reset
        await done(brook, stage.grant, stage.session, name)
    await done(brook, stage.grant, stage.session, Operation.ALTER, before=GRACE, after=GRACE | {"name": "G"})
    await done(brook, stage.grant, stage.session, Operation.ALTER, state="unknown")
    page = await stage.page("/visits")
    assert (
        "looked people up, twice; looked at what a change would do, once; changed a person&#39;s details; "
        "1 of which it cannot be told whether it happened" in page
    )
    assert "password" not in page
    assert await stage.looks() == []  # it names no user


async def test_a_list_goes_on_to_older_visits_and_misses_none(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "_A_PAGE", 2)
    await stage.close()
    for step in range(4):
        stage.site.brook.clock.at_ms += 60_000 if step % 2 else 0  # some at the same moment
        stage.session = await stage.site.brook.session(stage.grant)
        await stage.close()
    seen: list[str] = []
    path = "/visits"
    while path:
        page = await stage.page(path)
        seen += re.findall(r'href="/visits/(ses_\w+)"', page)
        path = "".join(re.findall(r'href="(/visits\?after=[^"]+)"', page))
    assert len(seen) == len(set(seen)) == 5
    for odd in ("x", "9" * 400, "1-ses_';--", "-1-ses_a"):
        assert "Ana Silva" in await stage.page(f"/visits?after={odd}")


async def test_one_visit_in_words_and_the_look_is_logged(stage: Stage) -> None:
    brook = stage.site.brook
    await done(brook, stage.grant, stage.session, Operation.VIEW)
    changed = GRACE | {"name": "<script>alert(1)</script>"}
    await done(brook, stage.grant, stage.session, Operation.ALTER, before=GRACE, after=changed)
    page = await stage.page(f"/visits/{stage.session}")
    assert "Grace: name from Grace to &lt;script&gt;" in page
    assert "One person&#39;s details were looked at, once" in page
    assert "By telephone, recorded by Bo; Kate said yes" in page
    ((kind, data, personal),) = await stage.looks()
    assert (kind, data) == ("looked.session", {"who": stage.kate, "how": "page"})
    assert personal == {"why": "customer's own look"}


async def test_numbers_read_as_the_customer_writes_them(stage: Stage) -> None:
    brook = stage.site.brook
    moved = GRACE | {"ddis": ["+442079460001", "+4930123456", "4711"]}
    await done(brook, stage.grant, stage.session, Operation.ALTER, before=GRACE | {"ddis": []}, after=moved)
    path = f"/visits/{stage.session}"
    assert "Grace: ddi from nothing to 020 7946 0001, +49 30 123456, 4711" in await stage.page(path)
    await brook.directory.set_agreement("t", brook.customer, Terms(operations=OPERATIONS, zone="Europe/Berlin"))
    assert "Grace: ddi from nothing to +44 20 7946 0001, 030 123456, 4711" in await stage.page(path)


async def test_end_now_ends_the_permission_and_is_not_an_error_when_it_is_over(stage: Stage) -> None:
    path = f"/visits/{stage.session}/end"
    answer = await stage.site.ask("POST", path, stage.cookie, data={"csrf": stage.csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/visits/{stage.session}")
    (grant,) = await stage.site.brook.rows(grants)
    assert grant.state == GrantState.REVOKED
    assert "The permission has ended" in await stage.page(f"/visits/{stage.session}")
    kinds = await stage.site.brook.kinds()
    again = await stage.site.ask("POST", path, stage.cookie, data={"csrf": stage.csrf})
    assert again.status_code == 303
    assert (await stage.site.brook.kinds()).count("grant.revoked") == kinds.count("grant.revoked") == 1
    mails = [row for row in await stage.site.brook.waiting() if row.what == "revoked"]
    assert all("ended by Kate in the portal" in row.body for row in mails)


async def test_an_act_that_had_begun_is_named_when_the_permission_has_ended(stage: Stage) -> None:
    await stage.site.brook.operation(stage.grant, stage.session, Operation.ALTER, "intended")
    await stage.site.ask("POST", f"/visits/{stage.session}/end", stage.cookie, data={"csrf": stage.csrf})
    page = await stage.page(f"/visits/{stage.session}")
    assert "is being finished: change a person&#39;s name, email or direct number" in page
    assert 'http-equiv="refresh"' in page


def _events(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(data)) for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)]


async def test_10_a_live_terminal_begins_with_what_stands_on_it_and_is_sanitised(stage: Stage) -> None:
    recording = SessionRecording(_Journal(), stage.site.brook.customer, stage.session, b"", _nothing, lambda _: None)
    recording.resize(90_000, 3)
    recording.output(b"before\n\x1b]0;owned\x07")
    going = Going(recording, ended="the permission was ended by the customer", lines=["Grace\x1b[2J was\nchanged"])
    stage.site.live[stage.session] = going
    answer = await stage.site.ask("GET", f"/visits/{stage.session}/live", stage.cookie)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    first, told, over = _events(answer.text)
    assert first == ("message", {"cols": 300, "rows": 3, "past": "before\r\n"})
    assert told == ("told", ["Grace [2J was changed"])
    assert over == ("over", {"why": "The visit has ended: the permission was ended by the customer."})
    assert recording.watchers == set()
    ((kind, data, _),) = await stage.looks()
    assert (kind, data) == ("looked.session", {"who": stage.kate, "how": "watch"})


async def test_a_live_terminal_goes_dark_when_the_sign_in_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.portal.playing._LOOK_S", 0.01)
    monkeypatch.setattr("gateway.portal.playing._CONFIRM_EVERY_S", 0.0)
    recording = SessionRecording(_Journal(), stage.site.brook.customer, stage.session, b"", _nothing, lambda _: None)
    recording.watchers = watchers = Watchers()
    stage.site.live[stage.session] = Going(recording)
    path = f"/visits/{stage.session}/live"
    watching = asyncio.ensure_future(stage.site.ask("GET", path, stage.cookie))
    await watchers.came.wait()
    who = await stage.site.sign_ins.who(stage.cookie)
    assert who is not None
    await stage.site.sign_ins.end(who, everywhere=True)
    assert _events((await watching).text)[-1] == ("over", {"why": "You are signed out; the visit goes on."})
    assert recording.watchers == set()


async def _nothing(_: Any) -> None:
    """Segments go nowhere."""


async def test_too_many_watchers_are_refused_and_whoever_left_makes_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.portal.playing._WATCHERS_A_CUSTOMER", 0)
    recording = SessionRecording(_Journal(), stage.site.brook.customer, stage.session, b"", _nothing, lambda _: None)
    stage.site.live[stage.session] = Going(recording, ended="x")
    path = f"/visits/{stage.session}/live"
    assert (await stage.site.ask("GET", path, stage.cookie)).status_code == 503
    assert await stage.looks() == []
    monkeypatch.setattr("gateway.portal.playing._WATCHERS_A_CUSTOMER", 1)
    for _ in range(2):
        assert (await stage.site.ask("GET", path, stage.cookie)).status_code == 200


async def test_a_recording_is_played_with_moments_in_words_and_one_look(stage: Stage) -> None:
    stage.record(
        (RESIZE, b"90000x90000"), (MARKER, b"view op_1"), (OUTPUT, b"one\ntwo\r\n\x1b]52;c;eA==\x07"), (RESIZE, b"-1x0")
    )
    await stage.close(1)
    page = await stage.site.ask("GET", f"/visits/{stage.session}/play", stage.cookie)
    assert await stage.looks() == []  # nothing was shown yet
    for word in (
        "script-src 'self' 'wasm-unsafe-eval';",
        "trusted-types default",
        "require-trusted-types-for 'script'",
    ):
        assert word in page.headers["content-security-policy"]
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    answer = await stage.site.ask("GET", f"/visits/{stage.session}/cast", stage.cookie)
    head, *rest = [json.loads(line) for line in answer.text.splitlines()]
    assert (head["width"], head["height"]) == (300, 120)
    assert rest == [
        [1.0, "m", "see one person's name, email and direct number"], [2.0, "o", "one\r\ntwo\r\n"], [3.0, "r", "80x24"],
    ]  # fmt: skip
    ((kind, data, personal),) = await stage.looks()
    assert (kind, data, personal) == ("looked.recording", {"who": stage.kate}, {"why": "customer's own look"})


async def test_a_recording_of_which_a_piece_does_not_hold_says_so_at_that_place(stage: Stage) -> None:
    stage.record((RESIZE, b"80x24"), (OUTPUT, b"fine"), damaged=True)
    await stage.close(2)
    text = (await stage.site.ask("GET", f"/visits/{stage.session}/cast", stage.cookie)).text
    *_, fine, marker, said = [json.loads(line) for line in text.splitlines()]
    assert fine[2] == "fine"
    assert marker[1:] == ["m", "the rest of this recording does not hold: have the log verified"]
    assert "does not hold" in said[2]


async def test_a_recording_that_is_gone_or_still_being_made_is_said_to_be(stage: Stage) -> None:
    cast = f"/visits/{stage.session}/cast"
    assert (await stage.site.ask("GET", cast, stage.cookie)).status_code == 404
    assert (await stage.site.ask("GET", f"/visits/{stage.session}/play", stage.cookie)).status_code == 303
    await stage.close(1)
    told = await stage.site.ask("GET", cast, stage.cookie, headers={"Content-Type": "application/json"})
    assert (told.status_code, told.json()["error"]) == (404, "This recording cannot be opened any more.")
    assert (await stage.site.ask("GET", f"/visits/{stage.session}/watch", stage.cookie)).status_code == 303
    assert await stage.looks() == []


async def test_a_recording_whose_master_key_is_away_is_not_said_to_be_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.record((RESIZE, b"80x24"), (OUTPUT, b"fine"))
    await stage.close(1)
    keys = stage.site.brook.audit.keys

    def away(context: bytes, wrapped: bytes) -> bytes:
        raise MasterKeyAway("there is no token frameroom")

    with monkeypatch.context() as unplugged:
        unplugged.setattr(keys.master, "unwrap", away)
        keys._cache.clear()
        told = await stage.site.ask(
            "GET", f"/visits/{stage.session}/cast", stage.cookie, headers={"Content-Type": "application/json"}
        )
        assert (told.status_code, told.json()["error"]) == (503, "This recording cannot be opened just now.")
    assert "fine" in (await stage.site.ask("GET", f"/visits/{stage.session}/cast", stage.cookie)).text


async def test_without_its_player_the_pages_work_and_say_what_is_missing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(visits, "VENDOR", tmp_path)
    stage.site.live[stage.session] = Going(
        SessionRecording(_Journal(), stage.site.brook.customer, stage.session, b"", _nothing, lambda _: None)
    )
    page = await stage.page(f"/visits/{stage.session}/watch")
    assert "make frontend" in page
    assert "vendor/" not in page
    assert "End now" in page
    await stage.close(1)
    assert "make frontend" in await stage.page(f"/visits/{stage.session}/play")


async def test_a_visit_that_another_node_serves_is_not_watched_from_here_but_ended(stage: Stage) -> None:
    page = await stage.page(f"/visits/{stage.session}")
    assert "another of our machines" in page
    assert "Watch live" not in page
    assert "End now" in page
    assert (await stage.site.ask("GET", f"/visits/{stage.session}/live", stage.cookie)).status_code == 404


async def test_whoever_only_reads_sees_visits_and_no_button_that_ends_them(stage: Stage) -> None:
    reader = await stage.site.reader(stage.kate)
    for path in ("/visits", f"/visits/{stage.session}", f"/visits/{stage.session}/watch"):
        page = (await stage.site.ask("GET", path, reader)).text
        assert "Head office" in page
        assert "End now" not in page


@pytest.mark.parametrize(
    ("claimed", "drawn"),
    [("80x24", (80, 24)), ("0x0", (10, 2)), ("999999x999999", (300, 120)), ("x", (80, 24)), ("-5x7", (80, 24)),
     ("9999999999x1", (80, 24)), ("٣x٣", (10, 3))],
)  # fmt: skip
def test_a_size_is_one_that_a_browser_can_draw(claimed: str, drawn: tuple[int, int]) -> None:
    assert sized(claimed) == drawn


def test_operations_are_all_counted_in_words() -> None:
    # What Frameroom is not in between at is no operation of a session: nobody can count it.
    counted = set(Operation) - OUTSIDE
    told = summaries.did(dict.fromkeys((*counted, "prepare"), 2))
    assert len(told.split("; ")) == len(counted) + 1
