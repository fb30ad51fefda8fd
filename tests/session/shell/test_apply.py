"""A file of changes: every mistake named before anything is done, a result per row, and a way on after a stop."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any

import pytest

from connectors.contract import Operation
from gateway.cli.demo import Demo, permit
from gateway.errors import UsageError
from gateway.model import Terms
from gateway.session.commands.change_file import MAX_BYTES, MAX_ROWS, ChangeFile
from gateway.session.performing import Performing
from gateway.session.visit import Did
from tests.session.shell.conftest import BOTH, Send, by_backup_code

EVERYTHING = "find,view,alter,remove,reset-voicemail,reset-sip,diag"
TERMS = Terms(operations=frozenset(Operation), mail_domains=("customer.example",))


def names(demo: Demo, *extensions: str) -> list[str]:
    """What the phone system calls these people now; empty for one that is gone."""
    return [(demo.lab.store.get(extension) or {"name": ""})["name"] for extension in extensions]


@BOTH
async def test_a_file_is_planned_asked_about_and_applied(demo: Demo, send: Send) -> None:
    await permit(demo, EVERYTHING)
    before = names(demo, "2001", "2002", "2003")
    file = (
        b"\xef\xbb\xbfuser,name,email,ddi,do\r\n"
        b'2001,"Bell, Grace",grace@customer.example,-,\r\n'
        b"020 7946 0001,Ned,,,set\r\n"
        b"2003,,,,remove\r\n"
        b"2004,,,,reset-voicemail\r\n"
    )
    plan = await send("apply - --plan --json", file)
    assert plan.code == 0, plan.err
    assert [row["do"] for row in json.loads(plan.out)] == ["set", "set", "remove", "reset-voicemail"]
    assert "name from Grace Okonkwo to Bell, Grace" in json.loads(plan.out)[0]["changes"]
    assert "cannot be brought back" in plan.err
    unasked = await send("apply -", file)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    assert names(demo, "2001", "2002", "2003") == before
    done = await send("apply - --yes --json", file)
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert [(row["row"], row["result"]) for row in rows] == [(2, "done"), (3, "done"), (4, "done"), (5, "done")]
    assert "sent to" in rows[3]["about"]
    assert names(demo, "2001", "2002", "2003") == ["Bell, Grace", "Ned", ""]
    grace = demo.lab.store.get("2001")
    assert grace is not None
    assert (grace["email"], grace["ddis"]) == ("grace@customer.example", [])
    once_more = await send("apply - --yes", file)
    assert once_more.code == 2
    assert "4 of 4 rows are done" in once_more.err
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


@BOTH
async def test_it_stops_at_a_refusal_and_the_same_file_goes_on(demo: Demo, send: Send) -> None:
    await permit(demo, EVERYTHING)
    file = b"user,name\n2001,One\n2002,Two\n2003,Three\n"
    demo.lab.faults.add("refuse")
    stopped = await send("apply - --yes --json", file)
    assert stopped.code == 4, stopped.err
    assert [row["result"] for row in json.loads(stopped.out)] == ["refused"]
    assert "Stopped at line 2" in stopped.err
    on = await send("apply - --yes --go-on --resume --json", file)
    assert on.code == 4
    assert [row["result"] for row in json.loads(on.out)] == ["refused"] * 3
    demo.lab.faults.clear()
    assert (await send("apply - --yes", file)).code == 2, "without --resume a file that was begun is not begun again"
    resumed = await send("apply - --yes --resume --json", file)
    assert resumed.code == 0, resumed.err
    assert [row["result"] for row in json.loads(resumed.out)] == ["done"] * 3
    assert names(demo, "2001", "2002", "2003") == ["One", "Two", "Three"]


@BOTH
async def test_a_file_is_told_in_one_mail_and_not_once_more_at_the_visits_end(demo: Demo, send: Send) -> None:
    grant = await permit(demo, EVERYTHING)
    changes = b"".join(b"%d,,020 7946 0%d,\n" % (2010 + n, 900 + n) for n in range(8))
    file = b"user,email,ddi,do\n2001,grace@customer.example,,\n" + changes + b"2004,,,reset-voicemail\n2003,,,remove\n"
    assert (await send("apply - --yes", file)).code == 0
    await demo.admin("grant revoke", grant=grant, reason="enough")
    closing = await demo.mails.wait_for("left Head office")
    await demo.mails.wait_for("applied a file of changes to Head office", 2)
    told = [m for m in demo.mails.caught if "applied a file of changes to Head office" in m["text"]]
    assert sorted(mail["to"] for mail in told) == ["kate@customer.example", "omar@customer.example"]
    for words in (
        "11 done", "Grace Okonkwo: email from user2001@customer.example to grace@customer.example",
        "ddi from 020 7946 0009 to 020 7946 0900", "was removed", "voicemail PIN",
    ):  # fmt: skip
        assert told[0]["text"].count(words) == 1, words
    assert "a file of changes was applied (11 done); a mail of its own tells what it changed" in closing
    assert "grace@customer.example" not in closing
    assert "ddi from" not in closing
    # Whoever had the address that changed, at once; the approvers with the file, and in no other mail.
    alone = [m["to"] for m in demo.mails.caught if "was changed on" in m["text"]]
    assert alone == ["user2001@customer.example"]
    assert not [m for m in demo.mails.caught if "from a file:" in m["text"]]


@BOTH
async def test_an_unknown_outcome_is_shown_and_never_repeated_silently(demo: Demo, send: Send) -> None:
    await permit(demo, EVERYTHING)
    file = b"user,name,do\n2001,One,\n2002,,remove\n2003,Three,\n"
    demo.lab.faults.add("close-after-write")
    stopped = await send("apply - --yes --json", file)
    assert stopped.code == 5, stopped.err
    assert json.loads(stopped.out)[0]["result"] == "unknown"
    demo.lab.faults.clear()
    demo.lab.store.alter("2001", {"name": "Put right by hand"})
    resumed = await send("apply - --yes --resume --json", file)
    assert resumed.code == 5, "an unknown outcome is still to be looked at"
    assert "line 2: its outcome is unknown" in resumed.err
    assert [row["row"] for row in json.loads(resumed.out)] == [3, 4]
    assert names(demo, "2001", "2002", "2003") == ["Put right by hand", "", "Three"]
    retried = await send("apply - --yes --resume --retry-unknown --json", file)
    assert retried.code == 0, retried.err
    assert names(demo, "2001") == ["One"]


async def test_a_permission_that_ends_on_the_way_stops_it_and_says_how_far_it_came(
    demo: Demo, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = await permit(demo, EVERYTHING)
    file = b"user,name\n" + b"".join(b"%d,New %d\n" % (2001 + n, n) for n in range(40))
    reached, go, worked, count = asyncio.Event(), asyncio.Event(), Performing._work, 0

    async def stalled(self: Performing, *rest: Any) -> Did:
        nonlocal count
        count += 1
        if count == 6:  # the plan, four rows, and this one
            reached.set()
            await go.wait()
        return await worked(self, *rest)

    monkeypatch.setattr(Performing, "_work", stalled)
    applying = asyncio.ensure_future(send("apply - --yes", file))
    await reached.wait()
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="enough")
    stopped = await applying
    assert stopped.code == 3, stopped.err
    assert "4 done; the last was line 5. --resume goes on" in stopped.err
    go.set()
    await visit.over.wait()
    monkeypatch.undo()
    await demo.mails.wait_for("left Head office")
    told = [m["text"].count("to New 0") for m in demo.mails.caught if m["to"] == "kate@customer.example"]
    assert sum(told) == 1, "in the file's own mail, or in the visit's: never in both, nor in none"
    # The fifth had its intent before the permission ended: it came to its outcome, and nothing started after it.
    done = [name for name in names(demo, *(str(2001 + n) for n in range(40))) if name.startswith("New")]
    assert len(done) == 5
    await permit(demo, EVERYTHING)
    resumed = await send("apply - --yes --resume --json", file)
    assert resumed.code == 0, resumed.err
    assert [row["row"] for row in json.loads(resumed.out)] == list(range(7, 42))


async def test_somebody_who_is_restricted_is_in_no_file(demo: Demo, send: Send) -> None:
    """Neither by extension, nor by number, nor by name: as if there were no such person."""
    await permit(demo, EVERYTHING)
    assert (await send("show 2002", b"")).code == 0
    (visit,) = await demo.admin("session list")
    await demo.admin("subject restrict", subject="2001", system=visit["system"], why="she disputes it")
    for user in ("2001", "020 7946 0000", "+442079460000", "Grace"):
        refused = await send("apply - --yes", f"user,name\n{user},Other\n".encode())
        assert refused.code == 2, user
        assert "Nobody matches" in refused.err
        assert "Okonkwo" not in refused.out + refused.err
    others = await send("apply - --yes --go-on", b"user,name\n2001,Other\n2002,Another\n")
    assert others.code == 0, others.err
    assert names(demo, "2001", "2002") == ["Grace Okonkwo", "Another"]


async def test_a_permission_that_ended_between_plan_and_apply(demo: Demo, send: Send) -> None:
    grant = await permit(demo, EVERYTHING)
    file = b"user,name\n2001,New\n"
    assert (await send("apply - --plan", file)).code == 0
    await demo.admin("grant revoke", grant=grant, reason="enough")
    refused = await send("apply - --yes", file)
    assert refused.code == 3, refused.err
    assert names(demo, "2001") == ["Grace Okonkwo"]


async def test_rows_that_cannot_be_done_are_named_before_anything_is_written(demo: Demo, send: Send) -> None:
    await permit(demo, EVERYTHING)
    file = (
        b"user,name,do\n2001,New,\nsmith,Ambiguous,\n9999,Nobody,\nuser2001@customer.example,Twice,\n2005,,reset-sip\n"
    )
    refused = await send("apply - --yes", file)
    assert refused.code == 2
    assert names(demo, "2001") == ["Grace Okonkwo"]
    for words in (
        "line 3: Several people match", "line 4: Nobody matches 9999", "line 5: the same person as line 2",
        "line 6: telephones will drop",
    ):  # fmt: skip
        assert words in refused.err
    others = await send("apply - --yes --go-on --json", file)
    assert [row["row"] for row in json.loads(others.out)] == [2]
    assert names(demo, "2001") == ["New"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "column"),
        (b"user,name\n", "no rows"),
        (b"name,email\nGrace,\n", "column user is missing"),
        (b"user\n2001\n", "nothing to do but users"),
        (b"user,emial\n2001,x\n", "no column “emial”"),
        (b"user,name,Name\n2001,a,b\n", "name is there twice"),
        (b"user,name\n2001,Caf\xe9\n", "Line 2 is not UTF-8"),
        ("user,name\n2001,Zoë\n".encode("utf-16"), "not UTF-8"),
        (b'user,name\n2001,"Grace\n', "no CSV"),
        (b"user,name\n2001," + b"x" * 200_000 + b"\n", "no CSV"),
        (b"user,name\n" + b"".join(b"%d,x\n" % n for n in range(MAX_ROWS + 1)), "more than 100,000"),
    ],
    ids=range(11),
)
def test_a_file_that_is_none_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        ChangeFile(data, TERMS)
    assert refused.value.next_step or words == "name is there twice"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2001,x,,", "3 cells|4 cells where the header has 5"),
        (",x,,,", "no user"),
        ("2002,,,,", "nothing to set"),
        ("2002,x,,,remove", "takes no name"),
        ("2002,,,,delete", "nothing to do"),
        ("2002,,nobody,,", "no mail address"),
        ("2002,,x@evil.example,,", "agreement allows"),
        ("2002,,,020-CALL-ME,", "not a telephone number"),
        ("2001,again,,,", "the same user as line 2"),
        ("2002,a\x1bb,,,", "control characters"),
        ("2002," + "x" * 500 + ",,,", "longer than 400"),
    ],
)
def test_a_mistake_in_a_row_is_named_with_its_line(row: str, words: str) -> None:
    data = f"user,name,email,ddi,do\n2001,Grace,,,\n{row}\n".encode()
    with pytest.raises(UsageError) as refused:
        ChangeFile(data, TERMS)
    (problem,) = refused.value.problems  # type: ignore[attr-defined]
    assert problem.strip().startswith("line 3: ")
    assert any(word in problem for word in words.split("|"))


def test_a_hundred_thousand_rows_take_little_more_than_the_file() -> None:
    data = b"user,name\n" + b"".join(b"%d,Somebody %d\n" % (n, n) for n in range(100_000))
    tracemalloc.start()
    file = ChangeFile(data, TERMS)
    kept = tracemalloc.get_traced_memory()[0]
    assert sum(1 for _ in file.lines()) == file.total == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept < 1 << 20, "the file itself is the caller's; nothing is kept for each row"
    assert peak < 64 << 20


async def test_a_file_that_is_too_long_is_refused_while_it_comes(demo: Demo, send: Send) -> None:
    await permit(demo, EVERYTHING)
    row = b"2001," + b"x" * 1000 + b"\n"
    refused = await send("apply - --yes", b"user,name\n" + row * (MAX_BYTES // len(row) + 10))
    assert refused.code == 2
    assert "over 16 MB" in refused.err


async def test_a_byte_that_is_no_utf8_is_named_with_its_line_through_ssh(demo: Demo, send: Send) -> None:
    await permit(demo, EVERYTHING)
    refused = await send("apply - --yes", b"user,name\n2001,Grace\n2002,Zo\xeb\n")
    assert refused.code == 2
    assert "Line 3 is not UTF-8" in refused.err


async def test_input_that_nobody_reads_waits_at_the_clients_end_and_a_close_counts_at_once(demo: Demo) -> None:
    connection = await by_backup_code(demo)
    process = await connection.create_process('request "Head office" --ops view --ticket T --reason r --wait')
    process.stdin.write("x" * (4 << 20))
    assert "Waiting" in await process.stderr.readline() + await process.stderr.readline()
    assert (await connection.run("whoami")).exit_status == 0
    (owner,) = demo.app.door.connections.values()
    waiting = max(owner.channels, key=lambda channel: channel.unread)
    assert 0 < waiting.unread < 1 << 20
    process.channel.abort()
    async with asyncio.timeout(20):
        await waiting.closed.wait()
    connection.close()
    await connection.wait_closed()
