"""Every figure beside its goal, in one run: peers take turns, round by round; medians with [least–most].

Shared machines drift, so what is compared is compared within this run, as a ratio. `python -m bench.figures`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import uvloop

from bench import events, gateway, load, openssh, starting

ROUNDS = 3
SET_UPS, PEER_SET_UPS = 40, 10
ECHOES = 200
COMMANDS = 60
MEGABYTES = 24
IDLE = 500
LIMIT_S = 230
"""Past it the run gives up, says so, and ends what it started."""


@dataclass
class Series:
    """One measure's value in each round."""

    values: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        """Median."""
        return median(self.values)

    def shown(self, digits: int = 2) -> str:
        """Median [least–most]."""
        return f"{self.middle:,.{digits}f} [{min(self.values):,.{digits}f}–{max(self.values):,.{digits}f}]"


@dataclass(frozen=True)
class Figure:
    """A line of the table; `met` None where it could not be measured."""

    name: str
    measured: str
    goal: str
    met: bool | None

    def line(self) -> str:
        """As it is printed."""
        verdict = {True: "met", False: "missed", None: "skipped"}[self.met]
        return f"{verdict:<8} {self.name}\n         {self.measured}\n         goal: {self.goal}"


@dataclass
class Measured:
    """All series of a run."""

    set_up: Series = field(default_factory=Series)
    peer_set_up: Series = field(default_factory=Series)
    echo: Series = field(default_factory=Series)
    peer_echo: Series = field(default_factory=Series)
    direct_echo: Series = field(default_factory=Series)
    show: Series = field(default_factory=Series)
    bulk: Series = field(default_factory=Series)
    peer_bulk: Series = field(default_factory=Series)
    events: Series = field(default_factory=Series)
    help_s: Series = field(default_factory=Series)
    tab_s: Series = field(default_factory=Series)
    idle_kib: float = 0.0


async def _settled(cpu_ms: Callable[[], float]) -> float:
    """CPU once what a session leaves behind (its last segment, its last events) is done: it no longer grows fast."""
    while True:
        before = cpu_ms()
        await asyncio.sleep(0.3)
        if cpu_ms() - before <= 20:
            return cpu_ms()


async def _cpu_a_session(cpu_ms: Callable[[], float], work: Awaitable[None], count: int) -> float:
    before = await _settled(cpu_ms)
    await work
    return (await _settled(cpu_ms) - before) / count


async def _round(found: Measured, ours: gateway.Gateway, peer: openssh.OpenSsh | None, direct: load.Target) -> None:
    """One turn of everybody at everything."""
    engineer = ours.engineers[0]
    found.set_up.values.append(await _cpu_a_session(ours.cpu_ms, load.set_ups(engineer, SET_UPS), SET_UPS))
    if peer is not None:
        work = load.set_ups(peer.target, PEER_SET_UPS)
        found.peer_set_up.values.append(await _cpu_a_session(peer.cpu_ms, work, PEER_SET_UPS))
    found.direct_echo.values.append(median(await load.echoes(direct, ECHOES)))
    found.echo.values.append(median(await load.echoes(engineer, ECHOES)))
    if peer is not None:
        found.peer_echo.values.append(median(await load.echoes(peer.target, ECHOES)))
    found.help_s.values.append(await starting.help_s())
    found.tab_s.values.append(await starting.tab_s())
    found.show.values.append(median(await load.commands(engineer, gateway.SHOW, COMMANDS)))
    found.bulk.values.append(await _mb_a_second(engineer, gateway.DIAG))
    if peer is not None:
        found.peer_bulk.values.append(await _mb_a_second(peer.target, "rx"))


async def _mb_a_second(target: load.Target, command: str) -> float:
    size, seconds = await load.bulk(target, command)
    if size < MEGABYTES << 19:
        raise RuntimeError(f"{command}: only {size} bytes came")
    return size / seconds / 1e6


async def _idle_kib(ours: gateway.Gateway) -> float:
    """Memory of an idle recorded session at its prompt, from what many of them add."""
    await _settled(ours.cpu_ms)
    before = ours.memory_kib()
    terminals = await load.held(ours.engineers, IDLE)
    await _settled(ours.cpu_ms)
    grown = ours.memory_kib() - before
    for terminal in terminals:
        terminal.connection.abort()
    return grown / IDLE


async def _measure(folder: Path) -> Measured:
    found = Measured()
    for name in ("gateway", *(f"events{number}" for number in range(ROUNDS))):
        await asyncio.to_thread((folder / name).mkdir)
    with ExitStack() as stack:
        _, target = stack.enter_context(gateway.process("bench.target", str(MEGABYTES)))
        _, lab = stack.enter_context(gateway.process("connectors.lab", "--data", str(folder / "lab")))
        peer = None if openssh.lacking() else stack.enter_context(openssh.running(folder / "peer", target["port"]))
        async with gateway.running(folder / "gateway", gateway.labs(lab, target)) as ours:
            direct = load.Target(target["port"], "bench", ours.engineers[0].key)
            # Warm: the first session of a process pays for what all later ones share.
            await load.set_ups(ours.engineers[0], 3)
            for number in range(ROUNDS):
                print(f"round {number + 1} of {ROUNDS} …", flush=True)
                await _round(found, ours, peer, direct)
                found.events.values.append(await events.batched_a_second(folder / f"events{number}"))
            print(f"{IDLE} idle sessions …", flush=True)
            found.idle_kib = await _idle_kib(ours)
    return found


def figures(found: Measured) -> list[Figure]:
    """Each with its goal and whether it was met."""
    with_peer = bool(found.peer_set_up.values)
    skipped = "not measured: there is no peer on this machine"
    made: list[Figure] = []

    if with_peer:
        ratio = found.set_up.middle / found.peer_set_up.middle
        words = f"{found.set_up.shown()} against {found.peer_set_up.shown()}: {ratio:.2f} ×"
        made.append(Figure("set-up CPU a session, ms", words, "≤ 0.15 × OpenSSH + script", ratio <= 0.15))
        direct = found.direct_echo.middle
        ours, theirs = (max(0.0, s.middle - direct) for s in (found.echo, found.peer_echo))
        made.append(
            Figure(
                "added echo p50, ms",
                f"{ours:.2f} against {theirs:.2f} (from key to echo {found.echo.shown()}, peer "
                f"{found.peer_echo.shown()}, target alone {found.direct_echo.shown()})",
                "≤ OpenSSH + script's",
                ours <= theirs,
            )
        )
        ratio = found.bulk.middle / found.peer_bulk.middle
        words = f"{found.bulk.shown(1)} against {found.peer_bulk.shown(1)}: {ratio:.2f} ×"
        made.append(Figure("diagnostics output in bulk, MB/s", words, "≥ 2 × OpenSSH + script", ratio >= 2))
    else:
        for name in ("set-up CPU a session", "added echo p50", "diagnostics output in bulk"):
            made.append(Figure(name, skipped, "a ratio to OpenSSH + script", None))
    show, idle, rate = found.show.middle, found.idle_kib, found.events.middle
    made.append(Figure("one-shot `show` over an open connection, ms", found.show.shown(), "≤ 10 ms", show <= 10))
    made.append(
        Figure("an idle recorded session, KiB", f"{idle:.0f} over {IDLE}, phone system's connection and all",
               "≤ 100 KiB", idle <= 100)
    )  # fmt: skip
    made.append(Figure("durable events a second, batched", found.events.shown(0), "≥ 10,000", rate >= 10_000))
    words = f"{found.help_s.shown()}, TAB {found.tab_s.shown()}"
    begun = max(found.help_s.middle, found.tab_s.middle) <= 0.4
    made.append(Figure("`frameroom --help` from start to end, s", words, "≤ 0.4, and so TAB", begun))
    return made


async def _bounded(folder: Path) -> Measured:
    async with asyncio.timeout(LIMIT_S):
        return await _measure(folder)


def main() -> bool:
    """Measure in a temporary folder of the working directory's disk and print the table; True when none was missed."""
    if lacking := openssh.lacking():
        print(f"OpenSSH + script CANNOT BE MEASURED HERE: {lacking}. Its ratios are skipped.", flush=True)
    before = time.monotonic()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        print(f"fdatasync here: {events.fdatasync_ms(Path(folder)):.3f} ms", flush=True)
        found = uvloop.run(_bounded(Path(folder)))
    made = figures(found)
    print(f"\n{time.monotonic() - before:.0f} s; recording, policy and audit log on; medians [least–most]\n")
    for figure in made:
        print(figure.line())
    return all(figure.met is not False for figure in made)
