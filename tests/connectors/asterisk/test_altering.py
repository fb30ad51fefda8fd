"""One person is altered in two ways to the database, and nobody comes between the look and the change."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from connectors.asterisk.connector import AsteriskConnector, AsteriskRealtimeFamily
from connectors.conformance.relay import served
from connectors.contract import Change, Person
from connectors.errors import Conflict, OutcomeUnknown, Refused, Unreachable

from .conftest import Pbx


async def test_an_alteration_is_two_ways_to_the_database_however_far_it_is(pbx: Pbx) -> None:
    """Counted where a wire would be: as often as the other end has its say."""
    ways: list[str] = []

    async def carry(way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if ways[-1:] != [way]:
                ways.append(way)
            writer.write(data)
            await writer.drain()

    async def lead_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, onward = await asyncio.open_connection("127.0.0.1", pbx.port)
        await asyncio.gather(carry("there", reader, onward), carry("back", back, writer))

    async with served(lead_on) as port:
        connector = await AsteriskRealtimeFamily().connect(pbx.target(port=port), pbx.unseal)
        person = await connector.view("1001")
        for change in (Change(name="Grace Bell"), Change(name="Grace", email="g@example.test"), Change(email=None)):
            ways.clear()
            _, person = await connector.alter_seen("1001", change, lambda _, change=change: change)  # type: ignore[misc]
            assert ways == ["there", "back"] * 2
        ways.clear()
        await connector.alter("1001", Change(name="Grace Okonkwo"), person)
        assert ways == ["there", "back"] * 2
        await connector.close()


async def test_nobody_comes_between_what_was_shown_and_what_is_written(pbx: Pbx, opened: AsteriskConnector) -> None:
    tried: list[str] = []

    def agree(seen: Person) -> Change:
        assert seen.name == "Grace Okonkwo"
        with psycopg.connect(pbx.owner_url, autocommit=True) as other:
            other.execute("set lock_timeout = 100")
            for text in (
                b"update ps_endpoints set callerid = 'x' where id = '1001'",
                b"update voicemail set email = 'x@y.example' where mailbox = '1001'",
            ):
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    other.execute(text)
                tried.append("refused")
        return Change(name="Grace Bell")

    before, after = await opened.alter_seen("1001", Change(name="Grace Bell"), agree)
    assert tried == ["refused"] * 2
    assert after == replace(before, name="Grace Bell")


async def test_one_statement_that_fails_takes_all_of_it_along(pbx: Pbx, opened: AsteriskConnector) -> None:
    """Also after those statements have been prepared, and the next alteration is none the worse for it."""
    for name in ("One", "Two", "Three"):
        await opened.alter_seen("1001", Change(name=name), lambda _, name=name: Change(name=name))  # type: ignore[misc]
    callerids = pbx.sql("select id, callerid from ps_endpoints order by id")
    pbx.sql("alter table voicemail add constraint few check (fullname <> 'Four')")
    with pytest.raises(Conflict):
        await opened.alter("1001", Change(name="Four"), await opened.view("1001"))
    assert pbx.sql("select id, callerid from ps_endpoints order by id") == callerids
    pbx.sql("revoke update (fullname) on voicemail from gateway")
    with pytest.raises(Refused):
        await opened.alter("1001", Change(name="Five"), await opened.view("1001"))
    assert pbx.sql("select id, callerid from ps_endpoints order by id") == callerids
    pbx.sql("grant update (fullname) on voicemail to gateway")
    assert (await opened.alter("1001", Change(name="Five"), await opened.view("1001"))).name == "Five"


async def test_what_was_written_and_could_not_be_shown_again_is_not_called_undone(
    pbx: Pbx, opened: AsteriskConnector
) -> None:
    shown = await opened.view("1001")
    # A deferred trigger runs inside COMMIT: when the look that came along has its turn, our role may not look.
    pbx.sql("""create function blind() returns trigger language plpgsql security definer as
        $$begin revoke select (email) on public.voicemail from gateway; return null; end$$;
        create constraint trigger blind after update on ps_endpoints deferrable initially deferred
        for each row execute function blind()""")
    with pytest.raises(OutcomeUnknown, match="it was written"):
        await opened.alter("1001", Change(name="Grace Bell"), shown)
    assert pbx.sql("select fullname from voicemail where mailbox = '1001'") == [("Grace Bell",)]


async def test_cut_between_the_two_ways_nothing_happened(pbx: Pbx, opened: AsteriskConnector) -> None:
    def cut(_: Person) -> Change:
        pbx.sql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'gateway' "
                "and datname = current_database()")  # fmt: skip
        return Change(name="Grace Bell")

    with pytest.raises(Unreachable):
        await opened.alter_seen("1001", Change(name="Grace Bell"), cut)
    assert pbx.sql("select fullname from voicemail where mailbox = '1001'") == [("Grace Okonkwo",)]
