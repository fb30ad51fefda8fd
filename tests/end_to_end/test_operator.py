"""The operator's command line, as typed."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import pwd
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.recording.live import LiveView
from gateway.cli.demo import CUSTOMER, SYSTEM, Demo, permit
from gateway.cli.story import Master
from gateway.wiring.admin import Admin
from gateway.wiring.asking import Row
from tests.support.watchers import Watchers

ROOT = Path(__file__).parents[2]


def frameroom(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


async def started(demo: Demo, *words: str, **more: Any) -> asyncio.subprocess.Process:
    """A command on the demo's deployment, in a process of its own, left running."""
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE) | more
    config = str(demo.folder / "frameroom.toml")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli.main", "-c", config, *words, cwd=ROOT, stdin=subprocess.DEVNULL, **pipes
    )


async def typed(demo: Demo, *words: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a command."""
    out, err = await (process := await started(demo, *words)).communicate()
    assert b"Traceback" not in err, err.decode()
    return process.returncode or 0, out.decode(), err.decode()


async def told(demo: Demo, *words: str) -> Any:
    code, out, err = await typed(demo, *words, "--json")
    assert code == 0, err
    return json.loads(out)


async def kinds(demo: Demo) -> Sequence[str]:
    rows = await demo.admin("audit tail", customer=CUSTOMER, count=1000, why="test")
    return [row["kind"] for row in rows]


def test_init_makes_a_deployment_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "fr"
    made = frameroom("init", str(folder))
    assert made.returncode == 0, made.stderr
    assert (folder / "data").stat().st_mode & 0o077 == 0, "people's names and addresses stand in the database"
    key = (folder / "data" / "keys" / "master.key").read_bytes()
    again = frameroom("init", str(folder))
    assert again.returncode == 2
    assert "nothing was changed" in again.stderr
    assert (folder / "data" / "keys" / "master.key").read_bytes() == key
    config = ("-c", str(folder / "frameroom.toml"))
    assert frameroom(*config, "config", "check").returncode == 0
    assert json.loads(frameroom(*config, "--json", "db", "status").stdout)["has"] == "0001"
    assert frameroom(*config, "customer", "add", "Brook").returncode == 0
    twice = frameroom(*config, "customer", "add", "Brook")
    assert twice.returncode != 0
    assert "already" in twice.stderr
    assert "Traceback" not in twice.stderr
    assert json.loads(frameroom(*config, "--json", "audit", "verify").stdout)["ok"] is True
    bad_key = frameroom(*config, "engineer", "key", "add", "nobody", "ssh-rsa nonsense")
    assert bad_key.returncode == 2
    assert "not a public key" in bad_key.stderr


def test_a_wrong_configuration_is_said_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[ssh]\nprot = 1\n")
    done = frameroom("-c", str(file), "config", "check")
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert "did you mean ssh.port?" in done.stderr
    assert "Traceback" not in done.stderr
    for_a_program = json.loads(frameroom("-c", str(file), "config", "check", "--json").stdout)
    assert for_a_program["ok"] is False
    assert [(p["key"], p["line"]) for p in for_a_program["problems"]] == [("ssh.prot", 2)]
    file.write_text('[ssh]\nuser_ca_keys = ["nonsense"]\n')
    done = frameroom("-c", str(file), "config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ssh.user_ca_keys: a user CA key is one line" in done.stderr
    missing = frameroom("-c", str(tmp_path / "y.toml"), "config", "check")
    assert missing.stderr.count("y.toml") == 1


async def test_check_and_explain(demo: Demo) -> None:
    lines = await demo.admin("system check", system=SYSTEM)
    names = [line["what"] for line in lines]
    assert names[:3] == ["reach", "identity", "credential"]
    assert names[-2:] == ["how secrets are kept", "login record"]
    assert all(line["ok"] for line in lines)
    asked = {"engineer": "ana", "system": SYSTEM, "operation": "view", "at_ms": None}
    before = await demo.admin("explain", **asked)
    assert (before["permitted"], before["asked"][-1].endswith(": no")) == (False, True)
    await permit(demo, "view")
    assert (await demo.admin("explain", **asked))["permitted"] is True
    later = demo.app.parts.permission.now + 10 * 3_600_000
    assert (await demo.admin("explain", **(asked | {"at_ms": later})))["why"].startswith("The permission has ended")
    assert [c["name"] for c in await demo.admin("customer list")] == [CUSTOMER]


async def test_a_removed_phone_system_ends_the_visit_to_it(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    gone = await told(demo, "system", "remove", SYSTEM, "--yes")
    assert (gone["visits ended"], gone["permissions ended"], gone["credential"]) == (1, 1, "destroyed")
    await visit.over.wait()
    assert (await ssh.run("show 2001")).code != 0
    code, _, err = await typed(demo, "system", "check", SYSTEM)
    assert (code, "out of service" in err) == (1, True)
    assert (await told(demo, "audit", "verify"))["ok"] is True


async def test_a_key_taken_away_hangs_up_what_it_signed_in(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    (key,) = (await told(demo, "engineer", "show", "ana"))["keys"]
    assert (await told(demo, "engineer", "key", "remove", "ana", key["fingerprint"]))["connections ended"] == 1
    await visit.over.wait()
    assert (await ssh.run("show 2001")).code != 0


async def test_a_direct_number_is_read_as_the_customer_writes_it(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,alter")
    assert (await ssh.run("set 2001 ddi='020 7946 0123'")).code == 0
    (visit,) = await demo.admin("session list")
    shown = await demo.admin("session show", session=visit["id"], why="a look")
    (changed,) = [one["about"] for one in shown["operations"] if "ddis from" in one["about"]]
    assert changed.endswith(" to 020 7946 0123")


async def test_killing_a_visit(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await told(demo, "session", "kill", visit.id[:12], "--reason", "wrong customer")
    await visit.over.wait()
    shown = await told(demo, "session", "show", visit.id, "--why", "test")
    assert (shown["state"], shown["ended because"]) == ("closed", "by staff: wrong customer")
    code, _, err = await typed(demo, "session", "kill", visit.id)
    assert (code, "that visit is over" in err) == (2, True)


async def test_a_visit_and_its_recording_as_they_were(demo: Demo, ssh: Master, tmp_path: Path) -> None:
    grant = await permit(demo, "view,alter")
    assert (await ssh.run('set 2001 name="Grace Bell"')).code == 0
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    shown = await told(demo, "session", "show", visit.id[:12], "--why", "complaint")
    assert shown["how"] == "by telephone, recorded by the demo"
    changed = next(o for o in shown["operations"] if "Grace Bell" in o["about"])
    assert changed["outcome"] == "done"
    assert "name from Grace Okonkwo to Grace Bell" in changed["about"]
    (row,) = await told(demo, "recording", "list", "--engineer", "ana")
    assert (row["session"], row["recording"]) == (visit.id, "1 segment")
    code, out, _ = await typed(demo, "recording", "play", visit.id, "--why", "complaint")
    assert (code, "Grace Bell" in out, "\x1b" in out) == (0, True, False)
    code, out, _ = await typed(demo, "recording", "play", visit.id, "--why", "c", "--find", "grace bell")
    assert (code, "Grace Bell" in out.splitlines()[0]) == (0, True)
    late = await typed(demo, "recording", "play", visit.id, "--why", "c", "--from", "1:00:00")
    assert late[:2] == (0, "")
    assert "It shows nothing from 1:00:00.00 on." in late[2]
    file = tmp_path / "visit.cast"
    assert (await typed(demo, "recording", "export", visit.id, str(file), "--why", "for the customer"))[0] == 0
    assert json.loads(file.read_text().splitlines()[0])["version"] == 2
    assert file.stat().st_mode & 0o077 == 0
    looked = (await kinds(demo)).count("looked.recording")
    file.write_text("mine")
    code, _, err = await typed(demo, "recording", "export", visit.id, str(file), "--why", "again")
    assert (code, "left alone" in err, file.read_text()) == (1, True, "mine")
    # Refused before anything was shown, so there was no look.
    assert (await kinds(demo)).count("looked.recording") == looked == 4
    assert [p.name for p in tmp_path.glob(".visit*")] == []
    rows = await told(demo, "audit", "search", "--why", "test", "--kind", "looked.session")
    assert "why=complaint" in rows[0]["told"]
    code, _, err = await typed(demo, "recording", "play", visit.id, "--why", " ")
    assert (code, "say why you look" in err) == (2, True)


async def test_words_are_found_in_recordings_with_the_moment_to_play(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, "view,alter")
    assert (await ssh.run('set 2001 name="Grace Bell"')).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    code, out, err = await typed(demo, "recording", "search", "grace BELL", "--why", "complaint 7")
    assert (code, "recording play SESSION --at PLACE" in err) == (0, True)
    session, place, *_ = out.splitlines()[0].split()
    assert session == visit.id
    code, out, _ = await typed(demo, "recording", "play", session, "--at", place, "--why", "c")
    assert (code, "Grace Bell" in out) == (0, True)
    found = await told(demo, "recording", "search", "grace bell", "--why", "again", "--engineer", "ana")
    assert found["searched"]["found"] == len(found["found"]) > 0
    nothing = await told(demo, "recording", "search", "no such words", "--why", "third")
    assert (nothing["found"], nothing["searched"]["visits"]) == ([], 1)
    # Nothing found is a look too, and what was looked for stands nowhere.
    looks = await told(demo, "audit", "search", "--why", "t", "--kind", "looked.recording")
    assert len(looks) == 4
    assert "why=complaint 7" in looks[0]["told"]
    assert "no such words" not in str(looks)
    code, _, err = await typed(demo, "recording", "search", " ", "--why", "x")
    assert (code, "say what to look for" in err) == (2, True)
    assert (await typed(demo, "recording", "search", "x", "--why", " "))[0] == 2
    await demo.admin("customer add", name="Neighbour", region="uk")
    other = await told(demo, "recording", "search", "grace bell", "--why", "n", "--customer", "Neighbour")
    assert other["searched"]["of"] == 0


async def test_playing_on_a_terminal_leaves_it_as_it_was(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    (visit,) = demo.app.visits.all()
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await visit.over.wait()
    ours, theirs = pty.openpty()
    words = ("recording", "play", visit.id, "--why", "test", "--speed", "100", "--skip-idle", "0")
    process = await started(demo, *words, stdout=theirs)
    os.close(theirs)
    assert await process.wait() == 0
    seen = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "Grace Okonkwo" in seen
    assert seen.rstrip("\r\n").endswith("\x1b[0m")


async def test_watching_a_live_visit(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, "view")
    assert (await ssh.run("show 2002")).code == 0
    (visit,) = demo.app.visits.all()
    visit.recording.watchers = watchers = Watchers()
    watching = await started(demo, "session", "watch", visit.id, "--why", "training")
    await watchers.came.wait()
    # Logged before the first byte is shown.
    assert "looked.session" in await kinds(demo)
    shown = await ssh.run("show 2001")
    visit.recording.output(b"\x1b]0;owned\x07\x1b[31mred\x1b[0m \x9b31m\n")
    await demo.admin("grant revoke", grant=grant, reason="enough")
    out, err = await watching.communicate()
    assert watching.returncode == 0
    assert shown.out.splitlines()[1].strip() in out.decode().replace("\r", "")
    assert "red" in out.decode()
    assert not set(out.decode()) & set("\x1b\x07\x9b")
    assert "The visit has ended: the permission was ended by staff." in err.decode()
    code, _, err_text = await typed(demo, "session", "watch", visit.id, "--why", "again")
    assert (code, "that visit is over" in err_text) == (2, True)


async def test_a_watcher_who_leaves_or_is_slow_costs_the_visit_nothing(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2002")).code == 0
    (visit,) = demo.app.visits.all()
    visit.recording.watchers = watchers = Watchers()
    watching = await started(demo, "session", "watch", visit.id, "--why", "training")
    await watchers.came.wait()
    watching.send_signal(signal.SIGINT)
    _, err = await watching.communicate()
    assert (watching.returncode, b"the visit goes on" in err, b"Traceback" in err) == (0, True, False)
    await watchers.went.wait()
    assert not watchers

    class Stuck:
        async def rows(self, rows: list[dict[str, Any]]) -> None:
            await asyncio.Event().wait()

        async def progress(self, told: dict[str, Any]) -> None:
            """Never."""

    visit.recording.watchers = watchers = Watchers()
    slow = asyncio.ensure_future(LiveView(visit.recording, visit.over).show(Stuck()))
    await watchers.came.wait()
    for _ in range(80):
        visit.recording.output(b"x" * (32 << 10))
    assert await slow is False
    assert not visit.recording.watchers
    assert visit.ended is None
    assert (await ssh.run("show 2001")).code == 0


class _Reader:
    """Takes a log's end, and lets everything that was appended get its number meanwhile."""

    def __init__(self, demo: Demo) -> None:
        self.parts, self.shown = demo.app.parts, list[Row]()

    async def rows(self, rows: list[Row]) -> None:
        self.shown += rows
        await self.parts.sequence()

    async def progress(self, told: Row) -> None:
        """Nobody looks."""


async def test_an_entry_that_gets_its_number_while_the_log_is_read_is_shown_once(demo: Demo) -> None:
    grant = await permit(demo, "view")
    await demo.admin("grant revoke", grant=grant, reason="enough")
    reader = _Reader(demo)
    asked = {"customer": CUSTOMER, "count": 50, "why": "a test"}
    await Admin(demo.app.parts, demo.app).call("audit tail", "test", asked, reader)
    assert [row["kind"] for row in reader.shown].count("looked.audit") == 1
    assert reader.shown[-1]["kind"] == "looked.audit"


async def test_following_the_log(demo: Demo) -> None:
    following = await started(demo, "audit", "tail", "--customer", CUSTOMER, "--follow", "--json", "--count", "1")
    assert following.stdout is not None
    first = json.loads(await following.stdout.readline())
    await permit(demo, "view")
    seen = [first]
    while seen[-1]["kind"] != "request.granted":
        seen.append(json.loads(await following.stdout.readline()))
    assert [row["index"] for row in seen] == list(range(first["index"], first["index"] + len(seen)))
    following.send_signal(signal.SIGINT)
    _, err = await following.communicate()
    assert (following.returncode, err) == (0, b"")


async def test_the_event_names_whoever_the_kernel_says_is_calling(demo: Demo) -> None:
    await told(demo, "customer", "add", "Northern Mills")
    (row,) = await told(
        demo, "audit", "search", "--why", "t", "--customer", "Northern Mills", "--kind", "customer.added"
    )
    assert row["actor"] == pwd.getpwuid(os.getuid()).pw_name


async def test_a_call_that_asks_for_nothing_known_is_answered(demo: Demo) -> None:
    path = str(demo.settings.storage.data_dir / "control.sock")
    for line in (b"nonsense\n", b"{}\n", b'{"name": "call", "given": {}}\n', b'{"name": "customer add", "given": {}}\n',
                 b"[" * 100_000 + b"\n"):  # fmt: skip
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        assert "error" in json.loads(await reader.readline())
        writer.close()
    assert (await told(demo, "customer", "list"))[0]["name"] == CUSTOMER
