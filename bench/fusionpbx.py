"""FusionPBX beside its goals, on a real PostgreSQL with its tables: `python -m bench.fusionpbx [PEOPLE]`.

The database is in processes of its own; what is measured is its work on our statements and what Frameroom does with the
answers, TLS between included. The bare round trip is the same statement by psycopg alone.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from statistics import median

import psycopg
import uvloop

from bench.measuring import from_here, memory, ms, paged
from bench.record import line
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.fusionpbx.statements import statements
from tests.connectors.fusionpbx.database import DOMAIN, PASSWORD, Pbx, Somebody, fresh, running_server, uuid

PEOPLE = 50_000
PAGE = 50
ROUNDS = 7
SHOWS = 40


async def _bare(pbx: Pbx, person: str) -> Callable[[], Awaitable[object]]:
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=pbx.port, dbname=pbx.database, user="frameroom", password=PASSWORD, autocommit=True,
        options="-c search_path=pg_catalog -c jit=off",
    )  # fmt: skip
    text = statements(FusionPbxSettings(domain=DOMAIN))["view"]

    async def show() -> object:
        cursor = await connection.execute(text, {"domain": uuid("domain", DOMAIN), "id": person})
        return await cursor.fetchall()

    return show


async def measure(pbx: Pbx, people: int) -> bool:
    """The three figures, printed; whether all were met."""
    connector = await pbx.connect()
    await connector.people(None, 500)
    before = from_here()
    if await paged(connector) != people:
        raise RuntimeError("not everybody came")
    grown = memory("VmHWM") - before
    met = line("FusionPBX: memory grown, MiB", f"{grown:.1f}, all {people:,} paged through", "≤ 20", grown <= 20)
    await connector.close()

    first = []
    for _ in range(ROUNDS):
        connector = await pbx.connect()
        first.append(await ms(lambda c=connector: c.people(None, PAGE)))  # type: ignore[misc]
        await connector.close()
    words = f"{median(first):.0f} [{min(first):.0f}–{max(first):.0f}], of {people:,}, a page of {PAGE}"
    met &= line("FusionPBX: first row, ms", words, "≤ 300", median(first) <= 300)

    connector = await pbx.connect()
    someone = (await connector.people(None, 1)).people[0].id
    bare, ours, theirs = await _bare(pbx, someone), [], []
    for _ in range(SHOWS):
        ours.append(await ms(lambda: connector.view(someone)))
        theirs.append(await ms(bare))
    await connector.close()
    ratio = median(ours) / median(theirs)
    words = f"{median(ours):.1f} ms against {median(theirs):.1f}: {ratio:.2f} ×"
    return met & line("FusionPBX: `show`", words, "≤ 1.3 × the bare round trip", ratio <= 1.3)


def main() -> bool:
    """With as many people as are asked for."""
    people = int(sys.argv[1]) if sys.argv[0].endswith("fusionpbx.py") and len(sys.argv) > 1 else PEOPLE
    made = [
        Somebody(str(100_000 + n), f"Person {n}", f"user{n}@brook.example", (f"+44207{n:07d}",)) for n in range(people)
    ]
    with running_server() as server:
        pbx = fresh(server, made)
        made.clear()
        return uvloop.run(measure(pbx, people))


if __name__ == "__main__":
    main()
