"""A deployment of a test's own, on either database, driven as an operator drives it: by the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage

from config import load as loading
from config.settings import Settings
from gateway.wiring.admin import Admin
from gateway.wiring.parts import make_keys, migrate, parts
from tests.support import warm


@dataclass(slots=True)
class Deployment:
    """Its folder, and the owner's and the application's URL of its database."""

    folder: Path
    database: tuple[str, str]
    identity: Any = field(default_factory=pyrage.x25519.Identity.generate)

    @property
    def config(self) -> Path:
        return self.folder / "frameroom.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def recipient(self) -> str:
        return str(self.identity.to_public())

    def settings(self) -> Settings:
        return loading.load(self.config, {})

    def identity_file(self, identity: Any = None) -> Path:
        file = self.folder.parent / "identity.txt"
        file.write_text(f"# created: today\n{identity or self.identity}\n")
        return file

    def run(self, *words: str, **rest: Any) -> subprocess.CompletedProcess[str]:
        return frameroom("-c", str(self.config), *words, **rest)

    def do(self, name: str, /, **given: Any) -> Any:
        """A command in this process, where how it is typed is not what is looked at."""

        async def one() -> Any:
            async with parts(self.settings()) as opened:
                return await Admin(opened).call(name, "operator", given)

        return asyncio.run(one())

    def json(self, *words: str) -> Any:
        done = self.run("--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def frameroom(*words: str, **rest: Any) -> subprocess.CompletedProcess[str]:
    done = warm.run("gateway.cli.main", *words, **rest)
    assert "Traceback" not in done.stderr + done.stdout
    assert "ExceptionGroup" not in done.stderr + done.stdout
    return done


def make(folder: Path, database: tuple[str, str], keys: str = "") -> Deployment:
    """A new one; `keys`: the section that says where its master key is, where that is no file."""
    folder.mkdir()
    storage = ""
    if database[0].startswith("postgresql"):
        storage = f'[storage]\nowner_url = "{database[0]}"\ndatabase_url = "{database[1]}"\n'
    (folder / "frameroom.toml").write_text(
        '[deployment]\nname = "keep.frameroom.example"\n[ssh]\nhost = "127.0.0.1"\nport = 0\n[portal]\nport = 0\n'
        '[ops]\nport = 0\n[mail]\nhost = "127.0.0.1"\nport = 9\ntls = "none"\n' + storage + keys
    )
    made = Deployment(folder, database)
    make_keys(made.data / "keys", made.settings().keys)
    migrate(made.settings())
    return made


@dataclass(slots=True)
class Serving:
    """A `frameroom serve` of its own process."""

    process: warm.Process
    port: int
    lines: list[str]

    async def ended(self) -> int:
        """Its exit code; `lines` holds all that it said by then."""
        async for line in self.process.stderr:
            self.lines.append(line.decode())
        return await self.process.wait()

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    @property
    def said(self) -> str:
        return "".join(self.lines)


async def begin(deployment: Deployment, **environment: str) -> warm.Process:
    words = ("-c", str(deployment.config), "serve")
    return await warm.begin("gateway.cli.main", *words, env=os.environ | environment)


@asynccontextmanager
async def serving(deployment: Deployment, **environment: str) -> AsyncIterator[Serving]:
    process = await begin(deployment, **environment)
    lines: list[str] = []
    try:
        while not (line := (await process.stderr.readline()).decode()).startswith("listening on port"):
            assert line, "".join(lines)
            lines.append(line)
        yield Serving(process, int(line.split()[-1]), lines)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
