"""A real rsyslog over TLS, killed and started again: what it writes is every entry, byte for byte."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from audit.tables import entries
from gateway.wiring.parts import Parts
from tests.connectors.asterisk.conftest import certificate
from tests.streams.receiver import Receiver
from tests.streams.test_streams import ON_ONE, confirm, grow, kept, opened, sizes, steps, stream  # noqa: F401 - a fixture
from tests.support.need import need_tool

_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
       defaultNetstreamDriverCAFile="{folder}/siem.pem" defaultNetstreamDriverCertFile="{folder}/siem.pem"
       defaultNetstreamDriverKeyFile="{folder}/siem.key")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="all" type="string" string="%protocol-version%|%msgid%|%structured-data%|%msg%\\n")
ruleset(name="keep") {{ action(type="omfile" file="{folder}/kept.log" template="all") }}
input(type="imtcp" address="127.0.0.1" port="{port}" listenPortFileName="{folder}/port" ruleset="keep")
"""


@dataclass
class Rsyslog:
    """A running one."""

    folder: Path
    port: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def pem(self) -> Path:
        return self.folder / "siem.pem"

    def lines(self) -> list[list[str]]:
        """version, msgid, structured data, message of each that it has written."""
        kept = self.folder / "kept.log"
        text = kept.read_text() if kept.exists() else ""
        return [line.split("|", 3) for line in text.splitlines() if line.count("|") >= 3]

    def told(self) -> set[tuple[str, int]]:
        """(log, index) of each."""
        found = set()
        for _, _, told, _ in self.lines():
            fields = dict(re.findall(r'(\w+)="([^"]*)"', told))
            found.add((fields["log"], int(fields["index"])))
        return found

    async def start(self) -> None:
        config, port = self.folder / "rsyslog.conf", self.folder / "port"
        config.write_text(_CONFIG.format(folder=self.folder, port=self.port))
        port.unlink(missing_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            need_tool("rsyslogd", "rsyslog rsyslog-openssl"), "-n", "-f", str(config), "-i", str(self.folder / "pid"),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        if self.port == 0:
            await until(lambda: port.exists() and port.read_text().strip().isdigit())
            self.port = int(port.read_text())
        await until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        await self.process.wait()


async def until(fine: Callable[[], bool]) -> None:
    """What another process does is looked for, for it tells nobody."""
    async with asyncio.timeout(60):
        while not fine():  # noqa: ASYNC110 - it is another process's file: there is no event of it to wait for
            await asyncio.sleep(0.05)


@pytest.fixture
async def rsyslog(tmp_path: Path) -> AsyncIterator[Rsyslog]:
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    need_tool("rsyslogd", "rsyslog rsyslog-openssl")
    pem, key = certificate()
    (folder / "siem.pem").write_text(pem)
    (folder / "siem.key").write_text(key)
    made = Rsyslog(folder)
    await made.start()
    yield made
    if made.process is not None and made.process.returncode is None:
        await made.stop(signal.SIGKILL)


@ON_ONE
async def test_rsyslog_keeps_every_entry_also_when_it_is_killed_and_comes_back(
    opened: Parts, rsyslog: Rsyslog  # noqa: F811
) -> None:  # fmt: skip
    await grow(opened, 300)
    receiver: Receiver = rsyslog  # type: ignore[assignment]
    working, wanted = stream(opened, receiver), await sizes(opened)
    await steps(working, lambda: working._next == wanted)
    # It closes in its turn when we end the connection, and has read all by then.
    await confirm(working)
    assert await kept(opened) == wanted
    await until(lambda: len(rsyslog.told()) == sum(wanted.values()))
    await rsyslog.stop(signal.SIGKILL)
    await grow(opened, 300)
    for _ in range(3):
        working._again_at = 0.0
        await working.step()
    await rsyslog.start()
    wanted = await sizes(opened)
    everything = {(log, index) for log, size in wanted.items() for index in range(size)}
    await steps(working, lambda: working._next == wanted)
    await confirm(working)
    await until(lambda: rsyslog.told() == everything)
    async with opened.store.look_at_everyone() as scope:
        logged = {row.entry.decode() for row in await scope.execute(select(entries.c.entry))}
    assert {line[3].lstrip() for line in rsyslog.lines()} == logged
    assert {line[0] for line in rsyslog.lines()} == {"1"}
