"""A Frameroom in another process, as its users meet it: ssh, the operator's socket, and kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from audit.checkpoint import Signer
from audit.clock import LogClock
from audit.inspect import Report, verify_database
from audit.log import AuditLog
from audit.publisher import note_names
from audit.recording.player import Player
from audit.sealing import FileKeyStore
from audit.steps import Step
from audit.storage import LocalObjects
from config import load as loading
from gateway.store.engine import Store
from gateway.store.tables import operations, requests, sessions
from gateway.wiring.asking import ask
from gateway.wiring.masters import open_masters
from tests.support import warm

CUSTOMER, SYSTEM = "Brook & Sons", "Head office"
DEPLOYMENT = "demo.frameroom.example"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command gave; `code` 255 when the connection was lost."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Running:
    """One process on one folder. `database`: (owner's, application's URL), None for SQLite in the folder."""

    folder: Path
    database: tuple[str, str] | None
    process: warm.Process = field(init=False)
    told: dict[str, Any] = field(init=False)

    def second(self, folder: Path) -> Running:
        """Another node of the same deployment: its own folder, with the keys and objects that all nodes share."""
        (folder / "data").mkdir(parents=True)
        for name in ("keys", "keyring", "objects"):
            (folder / "data" / name).symlink_to(self.folder / "data" / name)
        for name in ("frameroom.toml", "ana_key"):
            shutil.copy(self.folder / name, folder / name)
        return Running(folder, self.database)

    async def start(self) -> None:
        """Start it and wait until it serves."""
        self.process = await warm.begin("tests.faults.process", str(self.folder), *(self.database or ()))
        line = await self.process.stdout.readline()
        assert line, "it ended before it served"
        self.told = json.loads(line)

    async def tell(self, line: str) -> None:
        """Have it do as process.py says."""
        self.process.stdin.write(f"{line}\n".encode())
        await self.hears(line)

    async def hears(self, line: str) -> None:
        """The next thing that it says is this."""
        assert await self.process.stdout.readline() == f"{line}\n".encode()

    async def arm(self, step: Step) -> None:
        """Have it kill itself when it next reaches `step`."""
        await self.tell(step.value)

    async def died(self) -> None:
        """Wait until it has killed itself."""
        assert await self.process.wait() == -signal.SIGKILL

    async def kill(self) -> None:
        """kill -9; nothing when it is gone."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def admin(self, name: str, /, **given: Any) -> Any:
        """A command of the operator's."""
        answer = await ask(self.folder / "data" / "control.sock", name, given)
        assert answer is not None, "nobody serves"
        assert "error" not in answer, answer
        return answer["result"]

    async def sign_in(self) -> None:
        """A connection that commands share, with key and a fresh backup code."""
        code = (await self.admin("engineer codes", login="ana"))["codes"][0]
        helper = self.folder / "askpass"
        helper.write_text(f"#!/bin/sh\necho {code}\n")
        helper.chmod(0o700)
        environment = os.environ | {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        process = await asyncio.create_subprocess_exec(
            *self.told["ssh"], "-M", "-S", str(self._socket), "-f", "-N", self.told["who"], env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == 0, "the engineer could not sign in"

    @property
    def _socket(self) -> Path:
        return self.folder / f"m{self.told['port']}"

    async def shell(self) -> asyncio.subprocess.Process:
        """An interactive shell over the open connection, on a terminal of its own."""
        return await asyncio.create_subprocess_exec(
            *self.told["ssh"], "-tt", "-S", str(self._socket), self.told["who"], stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def ssh(self, command: str, data: bytes = b"") -> Ran:
        """A command over the open connection, with `data` on its standard input."""
        process = await asyncio.create_subprocess_exec(
            *self.told["ssh"], "-S", str(self._socket), self.told["who"], command, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(data)
        return Ran(process.returncode or 0, out.decode(), err.decode())

    async def shows(self, number: int = 2001) -> Ran:
        """A visit, and what it shows. One that a busy machine could not confirm within a second ends, as it must; then
        the engineer comes in again."""
        for _ in range(10):
            ran = await self.ssh(f"show {number}")
            if "could not be confirmed" not in ran.err:
                break
        return ran

    async def submit(self) -> str:
        """Ask the customer; the request's id."""
        asked = await self.ssh(f'request "{SYSTEM}" --ops find,view,alter --for 2h --ticket T --reason why --json')
        assert asked.code == 0, asked.err
        return str(json.loads(asked.out)[0]["request"])

    async def consent(self, request: str) -> str:
        """The customer's yes by telephone; the grant's id."""
        said = await self.admin(
            "request record-consent", request=request, by="Omar Aziz", recorded_by="t", at_ms=None, words="yes"
        )
        return str(said["grant"])

    # --- what is left of it, read past the process ---

    def objects(self) -> LocalObjects:
        """Its object store."""
        return LocalObjects(self.folder / "data" / "objects")

    def published(self) -> dict[str, bytes]:
        """Each log's checkpoint as the object store has it."""
        objects = self.objects()
        names = [name for name in objects.list("log") if name.endswith("/checkpoint")]
        return {name.split("/")[1]: objects.get(name) or b"" for name in names}

    def held(self) -> list[str]:
        """The checkpoints that anybody outside could have by now."""
        return [note.decode() for note in self.published().values()]

    def _keys(self) -> FileKeyStore:
        settings = loading.load(self.folder / "frameroom.toml", {})
        return FileKeyStore(
            self.folder / "data" / "keyring", open_masters(self.folder / "data" / "keys", settings.keys)
        )

    async def rows(self, table: Any) -> list[Any]:
        """A whole table."""
        store = Store(self.database[1] if self.database else f"sqlite:///{self.folder / 'data' / 'frameroom.db'}")
        async with store.look_at_everyone() as scope:
            rows = list((await scope.execute(select(table))).all())
        await store.close()
        return rows

    async def verify(self, held: list[str]) -> Report:
        """`audit verify`, against the checkpoints that were held before."""
        signing: Any = load_pem_private_key((self.folder / "data" / "keys" / "log-signing.pem").read_bytes(), None)
        open_ids = {row.id for row in await self.rows(sessions) if row.state == "open"}
        open_ids |= {row.id for row in await self.rows(operations) if row.state == "intended"}
        open_ids |= {row.id for row in await self.rows(requests) if row.state == "waiting"}
        published = {name: self.objects().get(name) or b"" for name in note_names(self.objects())}
        store = Store(self.database[1] if self.database else f"sqlite:///{self.folder / 'data' / 'frameroom.db'}")
        async with store.look_at_everyone() as scope:
            report = await verify_database(
                scope.connection, AuditLog(self._keys(), LogClock()), self.objects(), Signer(DEPLOYMENT, signing).vkey,
                DEPLOYMENT, open_ids=frozenset(open_ids), held=held, published=published,
            )  # fmt: skip
        await store.close()
        return report

    async def played(self, session: str) -> str:
        """Everything that a session's recording shows."""
        (customer,) = {row.customer_id for row in await self.rows(sessions) if row.id == session}
        player = Player(self.objects(), self._keys(), customer, session)
        return b"".join(frame.data for frame in player.frames()).decode(errors="replace")

    def name_of(self, person: str) -> str:
        """What the phone system itself holds."""
        people = json.loads((self.folder / "lab" / "people.json").read_text())
        return str(people[person]["name"])
