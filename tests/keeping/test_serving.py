"""How a gateway starts, speaks, is watched, drained and stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
import time
from datetime import datetime
from pathlib import Path

import psycopg
import pyotp
import pytest
from sqlalchemy import text

from audit.events import OPERATOR_LOG, Event
from audit.storage import StorageError
from gateway.cli.demo import Demo, permit, started
from gateway.cli.story import Master
from gateway.session.deliver import ResetServer
from gateway.wiring import backup
from gateway.wiring.app import App
from gateway.wiring.parts import parts
from gateway.wiring.restore import Restored, Wanted, restore
from gateway.wiring.serve import SETTLED_S, serve_until
from tests.keeping.deployment import Deployment, begin, serving
from tests.support.need import need_tool
from tests.support.postgres import Postgres


async def get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


def figures(body: str) -> dict[str, float]:
    return {
        name: float(value)
        for line in body.splitlines()
        if not line.startswith("#")
        for name, _, value in [line.rpartition(" ")]
    }


# -- stopping --


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_with_0_however_often_it_comes(deployment: Deployment, number: signal.Signals) -> None:
    async with serving(deployment) as gateway:
        for _ in range(5):
            gateway.process.send_signal(number)
        assert await gateway.ended() == 0, gateway.said
    assert "Traceback" not in gateway.said
    kinds = [row["kind"] for row in await asyncio.to_thread(deployment.json, "audit", "tail", "--why", "t")]
    assert kinds.count("log.stopped") == kinds.count("log.started") == 1


async def test_a_database_that_is_gone_at_the_end_is_said_in_one_line(
    deployment: Deployment, request: pytest.FixtureRequest
) -> None:
    async with serving(deployment) as gateway:
        holder = None
        if deployment.database[0].startswith("postgresql"):
            server: Postgres = request.getfixturevalue("postgres")
            name = deployment.database[0].split("@/")[1].split("?")[0]
            with psycopg.connect(server.url("postgres", "owner"), autocommit=True) as connection:
                connection.execute(f"drop database {name} with (force)")
        else:
            holder = sqlite3.connect(deployment.data / "frameroom.db", isolation_level=None)
            holder.execute("begin immediate")
        assert await gateway.stop() == 1, gateway.said
        if holder is not None:
            holder.close()
    last = [line for line in gateway.lines if line.startswith("frameroom: ")]
    assert len(last) == 1, gateway.said
    assert "database" in last[0]
    assert "Traceback" not in gateway.said


# -- what it wants before it starts --


async def refused(deployment: Deployment, **environment: str) -> str:
    process = await begin(deployment, **environment)
    assert process.stderr is not None
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 1, said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("name", ["log-signing.pem", "ssh_host_ed25519", "ssh_host_ecdsa", "master.key"])
async def test_a_key_that_others_can_read_is_refused(embedded: Deployment, name: str) -> None:
    key = embedded.data / "keys" / name
    key.chmod(0o640)
    assert f"{name} can be read by others" in await refused(embedded)
    key.unlink()
    assert name in await refused(embedded)


async def test_a_distribution_that_owns_one_of_our_names_is_refused(embedded: Deployment, tmp_path: Path) -> None:
    info = tmp_path / "site" / "settings_for_all-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: settings-for-all\nVersion: 1.0\n")
    (info / "RECORD").write_text("config/__init__.py,,\n")
    said = await refused(embedded, PYTHONPATH=str(info.parent))
    assert "'config' also belongs to settings-for-all" in said
    assert "environment of its own" in said


async def test_a_clock_far_behind_the_log_is_refused(deployment: Deployment) -> None:
    async with parts(deployment.settings()) as opened:
        opened.audit.clock.observe(time.time_ns() // 1_000_000 + 3_600_000)
        async with opened.store.operator_log() as scope:
            await opened.audit.append(scope.connection, Event("heartbeat", OPERATOR_LOG, "t", data={}))
    said = await refused(deployment)
    assert "59 min" in said or "1 h 0 min" in said
    assert "timedatectl" in said
    with deployment.config.open("a") as file:
        file.write("[process]\nclock_behind_limit_s = 7200\n")
    async with serving(deployment) as gateway:
        assert await gateway.stop() == 0
    assert "clock is behind the log" in gateway.said


async def test_an_address_that_is_taken_is_said_in_words(embedded: Deployment) -> None:
    blocker = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = blocker.sockets[0].getsockname()[1]
    embedded.config.write_text(embedded.config.read_text().replace("[ops]\nport = 0", f"[ops]\nport = {port}"))
    said = await refused(embedded)
    assert f"port {port}" in said
    blocker.close()


async def test_its_memory_is_closed_and_leaves_no_core(embedded: Deployment) -> None:
    async with serving(embedded) as gateway:
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        # An undumpable process's files in /proc are root's, and its own user's no longer: nobody's but root's to read.
        status = Path(f"/proc/{gateway.process.pid}/mem").stat()
        assert (status.st_uid, status.st_mode & 0o077) == (0, 0)
        assert await gateway.stop() == 0


# -- what it says --


async def test_it_speaks_json_lines_in_utc_and_never_a_name_typed_before_sign_in(embedded: Deployment) -> None:
    embedded.config.write_text(embedded.config.read_text() + '[log]\nlevel = "debug"\n')
    ssh = need_tool("ssh", "openssh-client")
    async with serving(embedded) as gateway:
        attempt = await asyncio.create_subprocess_exec(
            ssh, "-p", str(gateway.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "BatchMode=yes", "MyPasswordHunter2@127.0.0.1", "help",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await attempt.wait() == 255
        assert await gateway.stop() == 0
    told = [json.loads(line) for line in gateway.lines if not line.startswith("listening")]
    assert told[-1]["event"] == "stopped"
    assert all(datetime.fromisoformat(line["time"]).utcoffset().total_seconds() == 0 for line in told)  # type: ignore[union-attr]
    assert "Hunter2" not in gateway.said
    everything = b"".join(path.read_bytes() for path in embedded.data.rglob("*") if path.is_file())
    assert b"Hunter2" not in everything


SPEAKS = """
import asyncio, logging, structlog
from gateway.wiring import telling
telling.configure("info", "{form}")
def typed(secret):
    raise ValueError("the password is " + secret)
try:
    typed("hunter2")
except ValueError:
    structlog.get_logger().exception("could not")
    logging.getLogger("uvicorn.error").exception("in the application")
async def lost():
    async def fails(): typed("hunter2")
    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
asyncio.run(lost())
logging.getLogger("asyncssh").info("Auth for user %s", "hunter2")
"""


@pytest.mark.parametrize("form", ["json", "text"])
async def test_an_errors_message_is_never_told(form: str) -> None:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SPEAKS.format(form=form), cwd=Path(__file__).parents[2], stderr=asyncio.subprocess.PIPE
    )
    said = (await done.communicate())[1].decode()
    assert "hunter2" not in said
    assert "Traceback" not in said
    assert said.count("ValueError") >= 2
    assert "could not" in said
    assert "in the application" in said


# -- being watched --


async def test_what_is_watched(demo: Demo, ssh: Master) -> None:
    await permit(demo, "view")
    assert (await ssh.run("show 2001")).code == 0
    assert (await ssh.run("reset 2001 voicemail --yes")).code == 3
    ops = demo.app.ops_port
    assert await get(ops, "/healthz") == (200, "ok\n")
    assert await get(ops, "/readyz") == (200, "ok\n")
    await demo.app.parts.sequence()
    _, body = await get(ops, "/metrics")
    told = figures(body)
    assert told["frameroom_sessions"] == told["frameroom_connections"] == 1
    assert told['frameroom_operations_total{outcome="done"}'] >= 1
    assert told["frameroom_database_up"] == 1
    assert told["frameroom_recorder_up"] == 1
    assert told["frameroom_recorder_lag_seconds"] <= 1
    assert 0 < told["frameroom_disk_free_ratio"] <= 1
    assert told["frameroom_checkpoint_age_seconds"] < 3600
    for name in ("log_unsequenced", "outbox", "outbox_overdue_seconds", "clock_behind_seconds", "disk_low"):
        assert f"frameroom_{name}" in told
    for private in ("ana", "Ana", "Brook", "customer.example", "Head office", "2001", "eng_", "cus_"):
        assert private not in body


async def test_a_database_that_does_not_answer_is_seen(demo: Demo) -> None:
    ops = demo.app.ops_port
    store = demo.app.parts.store
    async with store.everyone() as scope:
        await scope.execute(text("select 1"))
    held = store.engine
    other = type(store)("sqlite:////nowhere/at/all.db")
    store.engine = other.engine
    try:
        code, words = await get(ops, "/readyz")
        assert code == 503
        assert "database" in words
        told = figures((await get(ops, "/metrics"))[1])
        assert told["frameroom_database_up"] == 0
        assert told["frameroom_database_errors"] > 0
    finally:
        store.engine = held
        await other.close()
    assert (await get(ops, "/readyz"))[0] == 200


async def test_checkpoints_that_cannot_be_published_are_seen(demo: Demo) -> None:
    """Signed they are, and young: to whoever looks at the database alone nothing is wrong."""
    ops, opened = demo.app.ops_port, demo.app.parts
    await opened.sequence()
    folder = opened.settings.storage.data_dir / "objects" / "log" / OPERATOR_LOG
    folder.rename(folder.with_name("away"))
    folder.write_bytes(b"in the way")
    try:
        async with opened.store.operator_log() as scope:
            await opened.audit.append(scope.connection, Event("heartbeat", OPERATOR_LOG, "frameroom"))
        with pytest.raises(StorageError):
            await opened.sequence()
        told = figures((await get(ops, "/metrics"))[1])
        assert told["frameroom_log_unpublished_seconds"] > 0
        assert told["frameroom_log_unsequenced"] == 0
    finally:
        folder.unlink()
        folder.with_name("away").rename(folder)
    await opened.sequence()
    assert figures((await get(ops, "/metrics"))[1])["frameroom_log_unpublished_seconds"] == 0


# -- draining --


async def test_a_drain_lets_the_visit_finish_and_takes_no_new_one(tmp_path: Path) -> None:
    async with started(tmp_path) as demo:
        await permit(demo, "view")
        master = Master(demo)
        await master.start(pyotp.TOTP(demo.totp).now())
        shell = await asyncio.create_subprocess_exec(
            *demo.ssh("-S", str(tmp_path / "master"), "-tt"), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b'use "Head office"\rshow 2001\r')
        await shell.stdin.drain()
        await shell.stdout.readuntil(b"Grace")
        asked = await demo.admin("drain")
        assert [(one["engineer"], one["system"]) for one in asked["left"]] == [("Ana Silva", "Head office")]
        await shell.stdout.readuntil(b"will restart when you have finished")
        assert (await get(demo.app.ops_port, "/readyz"))[0] == 503
        # The door is shut to newcomers, and to new channels of who is in.
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", demo.app.door.port)
        assert (await master.run("whoami")).code != 0
        # The visit goes on, as long as it likes.
        shell.stdin.write(b"show 2002\r")
        await shell.stdin.drain()
        await shell.stdout.readuntil(b"2002")
        assert not demo.app.drained.is_set()
        shell.stdin.write(b"exit\r")
        await shell.stdin.drain()
        await demo.app.drained.wait()
        await shell.wait()
        await master.stop()


async def test_a_drain_by_command_ends_with_0_and_says_so(deployment: Deployment) -> None:
    async with serving(deployment) as gateway:
        done = await asyncio.to_thread(deployment.run, "serve", "--drain")
        assert done.returncode == 0, done.stderr
        assert "No visit is open" in done.stderr
        assert "Drained" in done.stderr
        assert await gateway.ended() == 0, gateway.said
    again = await asyncio.to_thread(deployment.run, "drain")
    assert again.returncode == 1
    assert "nothing is running" in again.stderr


# -- after a restore --


async def test_what_stood_in_a_backup_permits_nothing_after_a_restore(demo: Demo, tmp_path: Path) -> None:
    """A permission that the customer ended after the backup must not come back with it; nor a link that was used."""
    grant = await permit(demo, "view")
    identity = Deployment(tmp_path / "fr", ("", ""))
    file, new = tmp_path / "b.age", tmp_path / "new"
    config = (demo.folder / "frameroom.toml").read_text()
    await backup.write(demo.app.parts, file, (identity.recipient,), backup.PARTS, config)
    await demo.admin("grant revoke", grant=grant, reason="enough")
    await asyncio.to_thread(restore, Wanted((file,), identity.identity_file(), new, None), Restored())
    restored = Deployment(new, ("", ""))
    async with parts(restored.settings()) as opened, opened.store.look_at_everyone() as scope:
        assert (await scope.execute(text("select state from grants"))).scalar_one() == "open"
    stop, apps = asyncio.Event(), []

    def on_ready(app: App) -> None:
        apps.append(app)
        stop.set()

    await serve_until(restored.settings(), stop, on_ready)
    assert apps
    async with parts(restored.settings()) as opened:
        async with opened.store.look_at_everyone() as scope:
            assert (await scope.execute(text("select state from grants"))).scalar_one() == "revoked"
            told = await opened.audit.read(scope.connection, OPERATOR_LOG, kinds=("log.restored",))
        assert len(told) == 1
    # Once: a later start ends nothing that was permitted since.
    assert not (new / "data" / "restored").exists()


class Watched(ResetServer):
    """What makes passwords, and whether it was wanted after its gateway had ended."""

    ended, late = False, False

    def be_there(self) -> None:
        type(self).late = self.ended

    def stop(self) -> None:
        type(self).ended = True


async def test_what_a_start_leaves_for_later_is_not_begun_by_a_gateway_that_has_ended(
    embedded: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.wiring.serve.ResetServer", Watched)
    stop = asyncio.Event()
    await serve_until(embedded.settings(), stop, lambda _: stop.set())
    assert Watched.ended
    after = asyncio.Event()
    asyncio.get_running_loop().call_later(SETTLED_S, after.set)  # set after the gateway's own, so it is called later
    await after.wait()
    assert not Watched.late


GOES_WRONG = """
import sys
from pathlib import Path
from sqlalchemy import text
from config import load
from gateway.wiring.app import App
from gateway.cli.keeping import serve
async def fails(self):
    async with self.parts.store.everyone() as scope:
        await scope.execute(text("insert into customers (name) values ('hunter2')"))
App._minute_loop = fails
serve(load.load(Path(sys.argv[1]), {}))
"""


async def test_what_ended_it_is_in_its_log_by_its_place_and_on_the_terminal_in_words(embedded: Deployment) -> None:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GOES_WRONG, str(embedded.config), cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said = (await done.communicate())[1].decode()
    assert done.returncode == 1
    assert "frameroom: something went wrong on our side (IntegrityError)" in said
    (told,) = [json.loads(line) for line in said.splitlines() if line.startswith("{") and "nobody expected" in line]
    assert told["error"] == "IntegrityError"
    assert told["at"].startswith("gateway.store.sqlite:"), told
    assert any(place.startswith("gateway.store.engine:") for place in told["by"]), told
    assert "hunter2" not in said
    assert "Traceback" not in said
