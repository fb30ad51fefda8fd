"""FusionPBX beside its goals, on a real PostgreSQL with its tables: `python -m bench.fusionpbx [PEOPLE]`.

The database is in processes of its own; what is measured is its work on our statements and what Frameroom does with the
answers, TLS between included. The bare round trip is the same statement by psycopg alone.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import psycopg
import uvloop

from bench.measuring import listing, showing
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.fusionpbx.statements import statements
from tests.connectors.fusionpbx.database import DOMAIN, PASSWORD, Pbx, Somebody, fresh, running_server, uuid

PEOPLE = 50_000
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
    met = await listing("FusionPBX", pbx.connect, people, lambda connector: connector.people(None, 500))
    connector = await pbx.connect()
    someone = (await connector.people(None, 1)).people[0].id
    met &= await showing("FusionPBX", lambda: connector.view(someone), await _bare(pbx, someone), SHOWS)
    await connector.close()
    return met


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
