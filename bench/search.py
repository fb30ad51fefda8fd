"""`audit search` on a long log: each kind of search, median and 95th percentile, on SQLite and on PostgreSQL.

`python -m bench.search [--entries N] [--only sqlite|postgresql]`: a million by default; 10000000 is the goal's own
size, and takes some 12 GB of disk and a good while to make. What is measured is the whole command but for the socket:
its conditions, the event that says who looked and why (durable before anything is shown), the entries found, and
their sealed fields opened.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import psycopg

from audit.sealing import FileKeyStore, FileMasterKey
from audit.tables import TABLES
from bench.history import (
    APART_MS,
    BEGAN_MS,
    CUSTOMERS,
    ENGINEERS,
    MADE,
    SYSTEMS,
    History,
    fill_postgres,
    fill_sqlite,
    person,
    surroundings,
)
from bench.measuring import flat
from config import load as loading
from gateway.store import schema
from gateway.vault import Vault
from gateway.wiring.admin import Admin
from gateway.wiring.parts import Parts, make_keys, parts
from tests.support.postgres import Postgres

SIZE: Final = 1_000_000
SMALL: Final = 10_000
ROUNDS: Final = 25
GOAL_MS: Final = 50.0


def _searches(history: History, size: int) -> dict[str, Callable[[random.Random], dict[str, Any]]]:
    """Each kind, made anew with other values every time."""
    day = 24 * 3600 * 1000

    def place(r: random.Random) -> int:
        return min(int(r.expovariate(4 / SYSTEMS)), SYSTEMS - 1)

    def of(n: int) -> str:
        return f"Customer {n % CUSTOMERS}"

    def since(r: random.Random) -> int:
        return BEGAN_MS + r.randrange(max(1, size * APART_MS - day))

    names = {customer: f"Customer {n}" for n, customer in enumerate(history.customers)}

    def somebody(r: random.Random, word: str) -> dict[str, Any]:
        customer, subject = r.choice(history.people)
        return {"subject": subject if word == "" else person(subject)[word], "customer": names[customer]}

    def rare_pair(r: random.Random) -> dict[str, Any]:
        return {"engineer": f"e{ENGINEERS - 1}", "customer": of(place(r))}

    return {
        "a customer's": lambda r: {"customer": of(place(r))},
        "a phone system's": lambda r: {"system": history.places[place(r)].system},
        "an engineer's": lambda r: {"engineer": f"e{r.randrange(ENGINEERS)}"},
        "an engineer's at a customer": lambda r: {"engineer": f"e{r.randrange(ENGINEERS)}", "customer": of(place(r))},
        "who hardly ever was there": rare_pair,
        "an operation": lambda r: {"operation": r.choice(("view", "alter", "diag"))},
        "a rare operation at a customer": lambda r: {"operation": "remove", "customer": of(place(r))},
        "an operation nobody ever did": lambda r: {"operation": "users"},
        "a person, by id": lambda r: somebody(r, ""),
        "a person, by name": lambda r: somebody(r, "name"),
        "a person, by address": lambda r: somebody(r, "email"),
        "a ticket": lambda r: {"ticket": f"T-{r.randrange(min(size, MADE) // 24)}"},
        "an outcome": lambda r: {"outcome": r.choice(("failed", "unknown", "refused", "done", "closed"))},
        "a rare outcome at a customer": lambda r: {"outcome": "unknown", "customer": of(place(r))},
        "a day": lambda r: {"since_ms": (t := since(r)), "until_ms": t + day},
        "an engineer's day": lambda r: {
            "engineer": f"e{r.randrange(8)}", "since_ms": (t := since(r)), "until_ms": t + day,
        },
        "a visit": lambda r: {"session": r.choice(history.visits[:200])["session"]},
        "five conditions": lambda r: {
            "engineer": f"e{r.randrange(8)}", "customer": of(place(r)), "operation": "alter", "outcome": "failed",
            "since_ms": since(r),
        },
        "from a cursor on": lambda r: {"engineer": f"e{r.randrange(8)}", "after": r.randrange(size)},
    }  # fmt: skip


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/frameroom.db", f"sqlite:///{folder}/frameroom.db"
        return
    server = Postgres()
    try:
        server.start()
        yield server.create_database()
    finally:
        server.stop()


@asynccontextmanager
async def _deployment(kind: str, size: int, folder: Path) -> AsyncIterator[tuple[Parts, History, float]]:
    """A deployment with so many entries; what the log's tables grew by for each of them, indexes and all."""
    with _database(kind, folder) as (owner, app):
        make_keys(folder / "data" / "keys")
        config = folder / "frameroom.toml"
        config.write_text(
            f'[deployment]\nname = "bench.example"\n[storage]\nowner_url = "{owner}"\ndatabase_url = "{app}"\n'
        )
        await asyncio.to_thread(schema.upgrade, owner)
        keys = FileKeyStore(folder / "data" / "keyring", FileMasterKey.load(folder / "data" / "keys" / "master.key"))
        await asyncio.to_thread(Vault, keys)  # its key is the first of a deployment
        history = History(keys)
        fill, stored = (fill_sqlite, _file_size) if kind == "sqlite" else (fill_postgres, _tables_size)
        where = str(folder / "frameroom.db") if kind == "sqlite" else owner
        empty = stored(where)
        await asyncio.to_thread(fill, where, history, size)
        grown = stored(where) - empty
        # These entries are in no tree, so that nothing may be numbered and signed on top of them.
        async with parts(loading.load(config, {}), behind=True) as opened:
            await surroundings(opened.store, history)
            yield opened, history, grown / size


def _file_size(file: str) -> int:
    return Path(file).stat().st_size


def _tables_size(owner: str) -> int:
    """The log's own: an empty database has ten megabytes of other things, which are no entry's."""
    with psycopg.connect(owner) as connection:
        every = "select sum(pg_total_relation_size(name::regclass)) from unnest(%s::text[]) name"
        (size,) = connection.execute(every, ([table.name for table in TABLES],)).fetchone() or (0,)
    return int(size)


async def _measured(opened: Parts, history: History, size: int) -> list[float]:
    admin, chance, every = Admin(opened), random.Random(3), []  # noqa: S311 - places, not secrets
    for name, make in _searches(history, size).items():
        taken, found = [], []
        for _ in range(ROUNDS):
            given = make(chance)
            before = time.perf_counter()
            rows = await admin.call("audit search", "bench", {"why": "measuring", **given})
            taken.append((time.perf_counter() - before) * 1000)
            found.append(len(rows))
        every += taken
        p95 = quantiles(taken, n=20)[-1]
        print(f"  {name:<34} p50 {median(taken):8.1f} ms   p95 {p95:8.1f} ms   {median(found):5.0f} entries shown",
              flush=True)  # fmt: skip
    return every


async def measure(kind: str, size: int, folder: Path, ask: bool) -> bool:
    """One database; True when the goal was met. `ask`: wait for a line on standard input before measuring."""
    made = time.monotonic()
    async with _deployment(kind, SMALL, folder / "small") as (_, _, small):
        pass
    async with _deployment(kind, size, folder / "large") as (opened, history, large):
        taken, how = time.monotonic() - made, f"{MADE:,} generated straight into the tables, the rest their copies"
        print(f"{kind}: {size:,} entries ({how}) in {taken:.0f} s; bytes an entry, indexes and all: {large:,.0f}, and "
              f"{small:,.0f} at {SMALL:,}", flush=True)  # fmt: skip
        if ask:
            print("made; Enter measures", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        every = await _measured(opened, history, size)
    middle = median(every)
    met = middle <= GOAL_MS
    words = f"p50 {middle:.1f}, p95 {quantiles(every, n=20)[-1]:.1f}, longest {max(every):.1f}, of {size:,} entries"
    print(f"{'met' if met else 'missed':<8} audit search, all kinds, ms ({kind})\n         {words}\n"
          "         goal: p50 ≤ 50 ms at 10,000,000", flush=True)  # fmt: skip
    level = flat(small, large)
    words = f"{small:,.0f} at {SMALL:,}, {large:,.0f} at {size:,}"
    print(f"{'met' if level else 'missed':<8} bytes an event ({kind})\n         {words}\n"
          "         goal: flat (within 10 %)", flush=True)  # fmt: skip
    return met and level


def main(size: int = SIZE, kinds: tuple[str, ...] = ("sqlite", "postgresql"), *, ask: bool = False) -> bool:
    """Measure in a temporary folder of the working directory's disk; True when every goal was met."""
    met = []
    for kind in kinds:
        folder = Path(tempfile.mkdtemp(dir=Path.cwd(), prefix=".bench-"))
        try:
            for name in ("small", "large"):
                (folder / name).mkdir()
            met.append(asyncio.run(measure(kind, size, folder, ask)))
        finally:
            shutil.rmtree(folder)
    return all(met)


if __name__ == "__main__":
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--entries", type=int, default=SIZE)
    wanted.add_argument("--only", choices=("sqlite", "postgresql"))
    wanted.add_argument("--ask", action="store_true", help="wait for Enter before measuring, for a quiet machine")
    given = wanted.parse_args()
    print(f"{os.cpu_count()} cores", flush=True)
    main(given.entries, (given.only,) if given.only else ("sqlite", "postgresql"), ask=given.ask)
