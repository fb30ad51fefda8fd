"""Asterisk realtime beside its goals, on a real PostgreSQL that waits for its disk: `python -m bench.realtime`.

Looks at 50,000 people are asked of the connector itself; the bare round trip beside `show` is the same statement by
psycopg alone. `apply` is what an engineer runs: a file of 1,000 changes through the SSH door of a whole gateway, with
policy, audit log, recording and mail as an operator has them.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import uvloop
from psycopg import sql

from bench import gateway
from bench.load import Target
from bench.measuring import line, listing, showing
from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.asterisk.statements import statements
from connectors.conformance.bench import Planted
from connectors.contract import Credential, Operation
from tests.connectors.asterisk.bench import plant
from tests.connectors.asterisk.database import DDI, PASSWORD, Pbx, running_server
from tests.support.postgres import Postgres

PEOPLE = 50_000
CHANGES = 1_000
SHOWS = 400
_FIRST = 100_000
_NAME = "Asterisk realtime"


@contextmanager
def _pbx(server: tuple[Postgres, int, str], name: str, people: int) -> Iterator[Pbx]:
    """A database of its own, with so many people in it and nobody else."""
    made, port, pem = server

    def url(database: str) -> str:
        return f"{made.url(database, 'owner')}&port={port}"

    with psycopg.connect(url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template asterisk".encode())
    with psycopg.connect(url(name), autocommit=True) as connection:
        for table in ("ps_endpoints", "ps_auths", "ps_aors", "ps_contacts", "voicemail", "site_ddi"):
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
    names = range(_FIRST, _FIRST + people)
    plant(
        url(name),
        [Planted(str(n), str(n), f"Person {n}", f"p{n}@customer.example", (f"+44207{n + 10**6}",)) for n in names],
    )
    yield Pbx(url(name), name, port, pem)


async def _bare(pbx: Pbx, person: str) -> Callable[[], Awaitable[object]]:
    connection = await psycopg.AsyncConnection.connect(
        host="127.0.0.1", port=pbx.port, dbname=pbx.database, user="gateway", password=PASSWORD, autocommit=True
    )
    settings = pbx.target().settings_as(AsteriskRealtimeSettings)
    text = statements(settings)["view"]
    values = {"id": person, "contexts": list(settings.user_contexts), "vmcontext": settings.voicemail_context}

    async def show() -> object:
        return await (await connection.execute(text, values)).fetchall()

    return show


async def looks(pbx: Pbx) -> bool:
    """The three figures of whoever looks, printed; whether all were met."""
    met = await listing(_NAME, pbx.connect, PEOPLE, lambda connector: connector.people(None, 500))
    connector, someone = await pbx.connect(), str(_FIRST + 77)
    met &= await showing(_NAME, lambda: connector.view(someone), await _bare(pbx, someone), SHOWS)
    await connector.close()
    return met


async def _applied(engineer: Target, file: str) -> float:
    """Changes a second."""
    connection = await engineer.connect()
    before = time.perf_counter()
    done = await connection.run("--system Pbx apply - --yes --json", input=file)
    taken = time.perf_counter() - before
    connection.abort()
    if done.exit_status != 0:
        raise RuntimeError(f"apply: {done.stderr!r}")
    if [row["result"] for row in json.loads(str(done.stdout))] != ["done"] * CHANGES:
        raise RuntimeError("not every row was done")
    return CHANGES / taken


async def apply(pbx: Pbx) -> bool:
    """The figures of whoever changes many: a name each, and a name and an address each, of which the person is told
    at the old one."""
    names = range(_FIRST, _FIRST + CHANGES)
    files = {
        "a name": "user,name\n" + "".join(f"{n},Somebody {n}\n" for n in names),
        "a name and an address": "user,name,email\n"
        + "".join(f"{n},Someone {n},s{n}@customer.example\n" for n in names),
    }
    system = gateway.System(
        "Pbx", "asterisk-realtime", pbx.port, pbx.pin, Credential("gateway", PASSWORD),
        json.dumps({"database": pbx.database, "ddi": DDI}),
    )  # fmt: skip
    operations = gateway.LOOKS - {Operation.DIAG} | {Operation.ALTER}
    with tempfile.TemporaryDirectory() as folder:
        async with gateway.running(Path(folder), (system,), operations, engineers=1) as ours:
            made = {what: await _applied(ours.engineers[0], file) for what, file in files.items()}
    changed = pbx.sql("select count(*) from voicemail where fullname like 'Someone %' and email like 's1%'")[0][0]
    if changed != CHANGES:
        raise RuntimeError(f"only {changed} people have their new name and address")
    met = True
    for what, a_second in made.items():
        words = f"{a_second:,.0f} a second: {CHANGES:,} rows, {what} each, from the file sent to the last result"
        met &= line(f"{_NAME}: `apply`, {what}", words, f"≥ 200 a second of {CHANGES:,}", a_second >= 200)
    return met


def main() -> bool:
    """All of it; whether every goal was met."""
    with running_server(durable=True) as server:
        with _pbx(server, "many", PEOPLE) as pbx:
            met = uvloop.run(looks(pbx))
        with _pbx(server, "changed", CHANGES) as pbx:
            return met & uvloop.run(apply(pbx))


if __name__ == "__main__":
    main()
