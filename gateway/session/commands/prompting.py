"""One command at a phone system's prompt, from its intent to its last line: streamed, redacted, recorded, stopped.

Ends early at Ctrl-C, when the visit ends, and when the engineer has seen enough; closing the output ends the command
at the phone system.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final

from connectors.console import Class, Entry, OutputFilter
from connectors.contract import DiagCommand, Operation
from connectors.errors import NotSupported
from connectors.registry import families
from gateway.model import PhoneSystem
from gateway.session.channel import Channel
from gateway.session.commands.caller import Caller, Listing
from gateway.session.commands.desk import Desk
from gateway.session.commands.pager import Pager
from gateway.session.session import Did, Visit
from gateway.session.visit import Stopped, Typed

_WORDS: Final = {
    Operation.DIAG: "ran the diagnostic `{}`", Operation.CONSOLE_LOOK: "looked with `{}` at the prompt",
    Operation.CONSOLE_ACT: "acted with `{}` at the prompt",
}  # fmt: skip


def offered(system: PhoneSystem, operation: Operation) -> None:
    """NotSupported, in the connector's own words, where a phone system of this kind has no such prompt."""
    can = families()[system.connector].capabilities()
    if operation not in can.operations:
        why = can.cannot.get(operation.value) or can.cannot.get(Operation.DIAG.value, "its connector has no prompt")
        raise NotSupported(f"{operation.value} is not to be had on this phone system: {why}")


@contextlib.contextmanager
def _interrupts(channel: Channel, stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C ends the command that runs, and nothing else."""
    before, channel.on_interrupt = channel.on_interrupt, stop.set
    try:
        yield
    finally:
        channel.on_interrupt = before


async def run_line(
    desk: Desk, caller: Caller, visit: Visit, operation: Operation, entry: Entry, command: DiagCommand,
    pager: Pager | None = None,
) -> bool:  # fmt: skip
    """Send it; False when it was stopped before its end. What `act` and the connector raise; Stopped for one that acts
    and was ended in the middle."""
    listing = caller.listing()
    put = _as_lines(listing) if caller.as_json else caller.channel.write_lines
    stop, whole = asyncio.Event(), True
    line = command.render()

    async def work(_: str) -> Did:
        nonlocal whole
        strainer, sizes = OutputFilter(fields=entry.withheld, shown=entry.shown), [0]
        output = (await desk.visits.connector(visit)).diag(command)
        whole = await _until(stop, visit, _pump(caller.channel, visit, output, strainer, put, pager, sizes))
        if not whole and entry.kind is Class.ACT:
            raise Stopped(
                "it was stopped before the phone system had answered; it may have been done",
                next_step="Look at what it was to change.",
            )
        ended = "" if whole else ", stopped before its end"
        return Did(None, sizes[0], (), (), _WORDS[operation].format(line) + ended)

    try:
        with _interrupts(caller.channel, stop):
            typed = Typed(line, entry.name, entry.extra)
            await desk.visits.act(visit, operation, work, fields=(entry.name,), typed=typed)
    except Exception:
        if listing.begun:  # an array that was begun is whole, whatever happens
            listing.end()
        raise
    if caller.as_json:
        listing.end()
    return whole


async def _pump(
    channel: Channel, visit: Visit, output: AsyncIterator[bytes], strainer: OutputFilter,
    put: Callable[[bytes], None], pager: Pager | None, sizes: list[int],
) -> bool:  # fmt: skip
    """Show all of it; False when the engineer has seen enough, or is gone."""
    try:
        async for data in output:
            sizes[0] += len(data)
            if not await _show(channel, visit, strainer.feed(data), put, pager):
                return False
        return await _show(channel, visit, strainer.flush(), put, pager)
    except ConnectionResetError:
        return False
    finally:
        if isinstance(output, AsyncGenerator):
            await output.aclose()


async def _show(channel: Channel, visit: Visit, data: bytes, put: Callable[[bytes], None], pager: Pager | None) -> bool:
    while data:
        page, data = (data, b"") if pager is None else pager.take(data)
        put(page)
        await channel.drain()
        await visit.recording.keep_up()
        if data and pager is not None and not await pager.turn():
            return False
    return True


async def _until(stop: asyncio.Event, visit: Visit, pump: Coroutine[Any, Any, bool]) -> bool:
    """Let it run until it is done (True), or stopped: by `stop`, or because the visit ends."""
    showing = asyncio.ensure_future(pump)
    ends = [asyncio.ensure_future(event.wait()) for event in (stop, visit.ending)]
    try:
        await asyncio.wait({showing, *ends}, return_when=asyncio.FIRST_COMPLETED)
        return showing.done() and showing.result()
    finally:
        for task in (showing, *ends):
            task.cancel()
        # What it lets go of, it has let go of before anything else is said.
        await asyncio.gather(showing, *ends, return_exceptions=True)


def _as_lines(listing: Listing) -> Callable[[bytes], None]:
    """Output as rows of a listing; the filter gives whole lines."""

    def put(data: bytes) -> None:
        listing.add([{"line": line} for line in data.decode("utf-8", "replace").splitlines()])

    return put
