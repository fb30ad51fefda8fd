"""`frameroom serve` in a process of its own: it streams, is followed on a terminal, tells how far a receiver got."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.wiring.asking import ask
from tests.keeping.deployment import Deployment, make, serving
from tests.keeping.test_serving import figures, get
from tests.streams.receiver import Receiver
from tests.streams.test_streams import ON_ONE
from tests.streams.test_streams import siem as siem
from tests.support.warm import ROOT


async def asked(deployment: Deployment, command: str, /, **given: Any) -> Any:
    """What the command line asks a serving process, without a process for it."""
    answer = await ask(deployment.data / "control.sock", command, given)
    assert answer is not None
    assert "result" in answer, answer
    return answer["result"]


async def metrics(port: int) -> dict[str, float]:
    return figures((await get(port, "/metrics"))[1])


@pytest.fixture
def ops_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@ON_ONE
async def test_a_gateway_streams_while_it_serves(
    tmp_path: Path, database: tuple[str, str], siem: Receiver, ops_port: int
) -> None:
    deployment = await asyncio.to_thread(make, tmp_path / "fr", database)
    text = deployment.config.read_text().replace("[ops]\nport = 0", f"[ops]\nport = {ops_port}")
    deployment.config.write_text(
        text + "[streams]\nconfirm_s = 5\noverlap_s = 0\n[[streams.receivers]]\n"
        f'name = "siem"\nhost = "127.0.0.1"\nport = {siem.port}\nca_file = "{siem.pem}"\nhistory = true\n'
    )
    async with serving(deployment) as gateway:
        await siem.until(lambda: any(b" log.started " in frame for frame in siem.frames))
        assert (await metrics(ops_port))['frameroom_stream_up{receiver="siem"}'] == 1
        # What happens while it is away is there when it is back.
        await siem.kill()
        await asked(deployment, "customer add", name="Brook & Sons")
        told = await metrics(ops_port)
        assert told['frameroom_stream_unconfirmed{receiver="siem"}'] >= 1
        assert not any(b" customer.added " in frame for frame in siem.frames)
        await siem.start()
        await siem.until(lambda: any(b" customer.added " in frame for frame in siem.frames))
        (row,) = await asked(deployment, "audit streams")
        assert row["connected"] is True
        # By and by it is known to have read everything.
        async with asyncio.timeout(90):
            while (await metrics(ops_port))['frameroom_stream_unconfirmed{receiver="siem"}']:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        assert await gateway.stop() == 0, gateway.said
    assert "Traceback" not in gateway.said


@ON_ONE
async def test_a_log_is_followed_on_a_terminal_from_a_cursor_on(tmp_path: Path, database: tuple[str, str]) -> None:
    deployment = await asyncio.to_thread(make, tmp_path / "fr", database)
    async with serving(deployment):
        tail = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli.main", "-c", str(deployment.config), "audit", "tail", "--follow",
            "--format", "ocsf", "--after", "0", cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert tail.stdout is not None
        first = json.loads(await tail.stdout.readline())
        assert first["metadata"]["sequence"] == 1
        await asked(deployment, "engineer add", login="ana", name="Ana Silva", email="ana@company.example", roles=[])
        last = first["metadata"]["sequence"]
        async for line in tail.stdout:
            event = json.loads(line)
            assert event["metadata"]["sequence"] == last + 1
            last = event["metadata"]["sequence"]
            if event["metadata"]["event_code"] == "engineer.added":
                break
        assert event["class_uid"] == 3001
        assert b"Ana" not in line
        tail.terminate()
        await tail.wait()
