"""`frameroom serve`: the app and its control socket, until a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from audit.steps import Steps
from config.settings import Settings
from gateway.session.deliver import ResetServer
from gateway.wiring.admin import Admin
from gateway.wiring.app import App, parts
from gateway.wiring.control import Control


async def serve_forever(settings: Settings, on_ready: Callable[[App], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve_until(settings, stop, on_ready)


async def serve_until(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[App], None], steps: Steps | None = None
) -> None:
    """Serve until `stop` is set. `steps` is for tests that stop the process at a named moment."""
    resets = ResetServer()
    try:
        async with parts(settings, steps) as opened:
            app = App(opened, resets)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(app.run())
                control = Control(Admin(opened, app), settings.storage.data_dir / "control.sock")
                controlling = group.create_task(control.run())
                ready = group.create_task(app.ready.wait())
                await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
                if app.ready.is_set():
                    on_ready(app)
                    await stop.wait()
                for task in (ready, controlling, running):
                    task.cancel()
    finally:
        resets.stop()
