"""The product itself, whole: `frameroom serve` in a process of its own, furnished with permissions, before a lab.

Policy, audit log and recording are as an operator has them; nothing is switched off. The engineers sign in with a
software FIDO2 key, because a one-time code works once in 30 s.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aiosmtpd.smtp import SMTP

from bench.load import Target, cpu_ms, memory_kib
from bench.openssh import free_port
from config import load as loading
from config.settings import Settings
from connectors.contract import Credential, Operation
from gateway.access.directory import Directory
from gateway.cli.demo import Mails
from gateway.model import Terms
from gateway.wiring.parts import Parts, make_keys, migrate, parts
from tests.support.fido import SoftwareFido

LAB, BULK = "Lab", "Bulk"
ENGINEERS = 40
LOOKS = frozenset({Operation.FIND, Operation.VIEW, Operation.DIAG})
SHOW, DIAG = f"--system {LAB} show 2001", f"--system {BULK} diag pjsip show aors"


@dataclass(frozen=True)
class System:
    """A phone system as an operator adds it."""

    name: str
    connector: str
    port: int
    pin: str
    credential: Credential
    settings: str = "{}"


def labs(lab: dict[str, Any], target: dict[str, Any]) -> tuple[System, System]:
    """The training phone system, and one whose output has no end."""
    credential = Credential("frameroom", None, Path(lab["private_key_file"]).read_text())
    return (
        System(LAB, "lab", lab["ssh_port"], lab["host_key"], credential),
        System(BULK, "lab", target["port"], target["host_key"], credential),
    )


@dataclass(frozen=True)
class Gateway:
    """A running product. Each engineer's target enters a visit: one look at one person."""

    engineers: list[Target]
    pid: int

    def cpu_ms(self) -> float:
        """CPU of the serving process."""
        return cpu_ms(self.pid)

    def memory_kib(self) -> int:
        """Memory of the serving process."""
        return memory_kib(self.pid)


@contextmanager
def process(module: str, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A module as a process of its own, and the JSON line that it prints when it is ready; ended with the block."""
    child = subprocess.Popen(  # noqa: S603 - our own modules
        [sys.executable, "-m", module, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield child, json.loads(_first_line(child.stdout))
    finally:
        child.terminate()
        child.communicate(timeout=20)


def _first_line(stream: IO[str] | None) -> str:
    return stream.readline() if stream is not None else ""


def settings_in(folder: Path, port: int = 0, mail_port: int = 0, portal_port: int = 0) -> Settings:
    """Those of a deployment in `folder`, whose file is frameroom.toml; ports that are 0 are chosen when it begins."""
    file = folder / "frameroom.toml"
    file.write_text(
        f'[deployment]\nname = "bench.example"\n[ssh]\nhost = "127.0.0.1"\nport = {port}\n'
        f"[portal]\nport = {portal_port}\n[ops]\nport = 0\n"
        f'[mail]\nhost = "127.0.0.1"\nport = {mail_port or 9}\ntls = "none"\nsender = "frameroom@company.example"\n',
        encoding="utf-8",
    )
    return loading.load(file, {})


async def _furnish(
    opened: Parts, systems: Sequence[System], operations: frozenset[Operation], keys: list[SoftwareFido]
) -> None:
    """A customer with a contact, phone systems, and engineers who all have a yes given by telephone."""
    directory: Directory = opened.directory
    customer = await directory.add_customer("bench", "Brook & Sons")
    # As most customers wish it: mail about changes.
    await directory.add_contact(
        "bench", customer,
        {"name": "Kate", "email": "kate@customer.example", "phone": "", "position": "", "notices": "changes"},
    )  # fmt: skip
    approver = await directory.add_approver("bench", customer, "Kate", "kate@customer.example", "")
    terms = Terms(
        operations=operations, consent_by_phone=True, ticket_required=False, mail_domains=("customer.example",)
    )
    await directory.set_agreement("bench", customer, terms)
    await directory.confirm_agreement("bench", customer, "Kate", "letter")
    for one in systems:
        values = {
            "name": one.name, "connector": one.connector, "host": "127.0.0.1", "port": one.port, "pin": one.pin,
            "settings": one.settings, "site": "", "asset": "",
        }  # fmt: skip
        await directory.add_system("bench", customer, values, one.credential, [])
    for number, key in enumerate(keys):
        login = f"engineer{number}"
        engineer = await opened.engineers.add("bench", login, login, f"{login}@company.example", frozenset())
        await opened.engineers.add_key("bench", login, key.line().strip())
        await directory.name_engineer("bench", customer, engineer.id)
        for _, system in await directory.systems_for(engineer.id):
            request = await opened.permission.submit(engineer.id, system, operations, 120, "", "bench")
            now = opened.permission.now
            await opened.permission.record_consent("bench", "bench", customer, request.id, approver, now, "yes")


async def listening(port: int, child: asyncio.subprocess.Process, words: Path) -> None:
    """Until `child` listens on the port. RuntimeError with what it said when it ended instead."""
    async with asyncio.timeout(30):
        while True:
            if child.returncode is not None:
                raise RuntimeError(f"frameroom serve ended: {await asyncio.to_thread(words.read_text)}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def _all_told(settings: Settings) -> None:
    """Wait until the mail that the furnishing caused has gone out: it is no part of what is measured."""
    waiting = "select count(*) from outbox where due_ms <= ?"
    with closing(sqlite3.connect(settings.storage.data_dir / "frameroom.db")) as database:
        while database.execute(waiting, (int(time.time() * 1000),)).fetchone()[0]:
            time.sleep(0.2)


@asynccontextmanager
async def running(
    folder: Path, systems: Sequence[System], operations: frozenset[Operation] = LOOKS, engineers: int = ENGINEERS
) -> AsyncIterator[Gateway]:
    """`frameroom serve` with a mail catcher; ended with the block, by SIGTERM, as an operator ends it."""
    mails = Mails()
    catcher = await asyncio.get_running_loop().create_server(lambda: SMTP(mails, hostname="localhost"), "127.0.0.1", 0)
    port = free_port()
    settings = settings_in(folder, port, catcher.sockets[0].getsockname()[1])
    make_keys(settings.storage.data_dir / "keys")
    await asyncio.to_thread(migrate, settings)
    keys = [SoftwareFido(1 | 4) for _ in range(engineers)]
    async with parts(settings) as opened:
        await _furnish(opened, systems, operations, keys)
    said = folder / "serve.log"
    with said.open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli.main", "-c", str(folder / "frameroom.toml"), "serve",
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        await listening(port, child, said)
        await asyncio.to_thread(_all_told, settings)
        enter = (f"use {systems[0].name}", "show 2001")
        yield Gateway([Target(port, f"engineer{n}", key, enter) for n, key in enumerate(keys)], child.pid)
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()
        catcher.close()
