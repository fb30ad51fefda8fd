"""A Frameroom with a lab, as a process of its own that can be made to die at a named moment, and started again.

Run by tests/faults: `python -m tests.faults.process FOLDER [OWNER_URL APP_URL]`. One JSON line out when it serves;
then each line in is the moment at which it shall kill itself, or `hold MOMENT`, or `go`; answered by the same line.
A folder without a lab is a second node: it serves the same phone system, which is another process's.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh
from sqlalchemy import update

from audit.steps import Step, Steps
from config import load as loading
from connectors.lab import server as lab_server
from gateway.cli.demo import LOGIN, started
from gateway.store.engine import Store
from gateway.store.tables import systems
from gateway.wiring import telling
from gateway.wiring.app import App
from gateway.wiring.parts import database_url
from gateway.wiring.serve import serve_until


class Killer(Steps):
    """kill -9, of itself, at the armed moment; or there it waits until it is let go."""

    def __init__(self) -> None:
        self.armed: Step | None = None
        self.held: Step | None = None
        self.let_go = asyncio.Event()

    async def reached(self, step: Step) -> None:
        """No handler, no flush, no goodbye."""
        if step is self.armed:
            os.kill(os.getpid(), signal.SIGKILL)
        if step is self.held:
            print(f"at {step.value}", flush=True)
            await self.let_go.wait()


@asynccontextmanager
async def again(folder: Path, steps: Steps) -> AsyncIterator[App]:
    """The same folder served again; the lab has moved to another port, as a phone system may."""
    settings = loading.load(folder / "frameroom.toml", {})
    async with AsyncExitStack() as held:
        if (folder / "lab").exists():
            lab = await held.enter_async_context(lab_server.start(folder / "lab"))
            store = Store(database_url(settings))
            async with store.everyone() as scope:
                await scope.execute(update(systems).values(port=lab.ssh_port))
            await store.close()
        group = await held.enter_async_context(asyncio.TaskGroup())
        stop, ready = asyncio.Event(), asyncio.Event()
        apps: list[App] = []

        def on_ready(app: App) -> None:
            apps.append(app)
            ready.set()

        serving = group.create_task(serve_until(settings, stop, on_ready, steps))
        await ready.wait()
        host_key = (settings.storage.data_dir / "keys" / "ssh_host_ed25519").read_bytes()
        public = asyncssh.import_private_key(host_key).export_public_key().decode()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{apps[0].door.port} {public}", encoding="utf-8")
        yield apps[0]
        stop.set()
        await serving


async def obey(folder: Path, app: App, killer: Killer) -> None:
    """Say where it is, then arm what is asked for, until there is no more input."""
    command = [
        "ssh", "-p", str(app.door.port), "-i", str(folder / "ana_key"), "-o",
        f"UserKnownHostsFile={folder / 'known_hosts'}", "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip
    told = {"ssh": command, "who": f"{LOGIN}@127.0.0.1", "port": app.door.port, "node": app.node.id}
    print(json.dumps(told), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["hold", step]:
                killer.held = Step(step)
            case ["go"]:
                killer.held = None
                killer.let_go.set()
            case [step]:
                killer.armed = Step(step)
        print(line.strip(), flush=True)


async def main(folder: Path, database: tuple[str, str] | None) -> None:
    """Furnish the folder the first time, serve it again every other time."""
    killer = Killer()
    telling.configure("warning")  # to stderr: what is read of stdout is an answer
    if (folder / "frameroom.toml").exists():
        async with again(folder, killer) as app:
            await obey(folder, app, killer)
    else:
        folder.mkdir()
        async with started(folder, database=database, steps=killer) as demo:
            await obey(folder, demo.app, killer)


if __name__ == "__main__":
    urls = (sys.argv[2], sys.argv[3]) if len(sys.argv) > 2 else None
    asyncio.run(main(Path(sys.argv[1]), urls))
