"""What an engineer sees is told to the customer, by whatever way it was seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gateway.cli.demo import Demo, permit
from gateway.cli.story import Master
from gateway.session.commands.completion import complete


async def test_people_whom_ambiguous_words_list_count_as_seen(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    listed = await ssh.run("show a")
    assert (listed.code, len(listed.err.splitlines())) == (2, 22), "twenty people, without leave to find or list"
    await ssh.run("show smith")
    rows = await demo.admin("audit tail", customer="Brook & Sons", count=50, why="test")
    told = [row["told"] for row in rows if row["kind"] == "operation.refused"]
    assert [("count=20" in one, "count=2;" in one) for one in told] == [(True, False), (False, True)]
    await ssh.stop()
    letter = await demo.mails.wait_for("What was looked at")
    assert "20 people were seen" in letter


def test_what_could_steer_a_terminal_is_not_completed_into_the_line() -> None:
    hostile = {"2001\x1b]0;owned\x07": "Grace", "2002\u202e": "Tom", "2003": "Rose\x1b[2J"}
    caller: Any = SimpleNamespace(people=hostile, systems=["Head\x9b2J office"])
    assert complete(("show", "use"), caller, "show ") == ("show 2003 ", ["2003 Rose\N{REPLACEMENT CHARACTER}[2J"])
    assert complete(("show", "use"), caller, "show 2001") == ("show 2001", [])
    assert complete(("show", "use"), caller, "use ") == ("use ", [])


async def test_a_request_that_its_approver_would_not_see_as_it_is_is_refused(demo: Demo, ssh: Master) -> None:
    for words in (
        "--ticket '\x1b[31m' --reason why", "--ticket T --reason 'a\nb'", "--ticket T --reason 'pay \u202e001'",
        "--ticket T --reason ' '", f"--ticket T --reason {'r' * 501}", f"--ticket {'t' * 101} --reason why",
    ):  # fmt: skip
        asked = await ssh.run(f"request 'Head office' --ops view --for 1h {words}")
        assert (asked.code, asked.out) == (2, ""), words
    assert await demo.admin("request list") == []
