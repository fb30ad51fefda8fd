"""`frameroom serve`: the app and its control socket, until a signal or until it is drained."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from audit.steps import Steps
from config.settings import Settings
from gateway.session.deliver import ResetServer
from gateway.session.reset_child import harden
from gateway.wiring import telling
from gateway.wiring.admin import Admin, load
from gateway.wiring.app import App
from gateway.wiring.control import Control
from gateway.wiring.ending import log_unexpected
from gateway.wiring.machine import check_names
from gateway.wiring.parts import parts

log = structlog.get_logger()

SETTLED_S: Final = 2.0
"""After it was ready, what nobody waits for: the process that makes passwords, the collector's first round."""


async def serve_forever(settings: Settings, on_ready: Callable[[App], None]) -> None:
    """Serve until SIGTERM, SIGINT or a finished drain. UnavailableError when the machine is not fit for it."""
    telling.configure(settings.log.level, settings.log.form)
    check_names()
    if not settings.process.dumpable:
        harden()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # However often they come: the first stops, and stopping writes every visit's last event.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await serve_until(settings, stop, on_ready)
    except BaseException as error:
        log_unexpected(error)
        raise
    log.info("stopped")


async def serve_until(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[App], None], steps: Steps | None = None
) -> None:
    """Serve until `stop` is set or a drain has finished. `steps` is for tests that stop the process at a moment."""
    load()
    loop = asyncio.get_running_loop()
    resets = ResetServer(settings.connectors.also, later=True)
    settling: asyncio.TimerHandle | None = None
    try:
        async with parts(settings, steps) as opened:
            app = App(opened, resets)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(app.run())
                control = Control(Admin(opened, app), settings.storage.data_dir / "control.sock")
                controlling = group.create_task(control.run())
                waits = [group.create_task(event.wait()) for event in (app.ready, stop, app.drained)]
                ready, stopping, drained = waits
                await asyncio.wait({ready, stopping, running}, return_when=asyncio.FIRST_COMPLETED)
                if app.ready.is_set():
                    on_ready(app)
                    settling = loop.call_later(SETTLED_S, _settle, resets)
                    await asyncio.wait({stopping, drained, running}, return_when=asyncio.FIRST_COMPLETED)
                for task in (*waits, controlling, running):
                    task.cancel()
    finally:
        if settling is not None:
            settling.cancel()
        resets.stop()


def _settle(resets: ResetServer) -> None:
    """What nobody has to wait for at a start."""
    with suppress(OSError):  # whoever asks for a new password tries again, and is told
        resets.be_there()
    # What start-up made stays for good: the collector need not walk it again for every few hundred new objects.
    gc.collect()
    gc.freeze()
