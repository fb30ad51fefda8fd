"""Whatever happens to a receiver, each entry of each log comes to it at least once, and in order."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from audit.events import OPERATOR_LOG, Event, Personal
from audit.tables import logs
from config.settings import Receiver as To
from gateway.errors import InvalidError
from gateway.store.stream_tables import stream_cursors
from gateway.wiring.admin import Admin
from gateway.wiring.admin.base import Base
from gateway.wiring.parts import Parts, parts
from gateway.wiring.streams import Stream, behind, contexts
from tests.connectors.asterisk.conftest import certificate
from tests.keeping.deployment import make
from tests.streams.receiver import Receiver

NAME = "Brook & Sons"
ON_ONE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what no database has a say in."""


@pytest.fixture
async def opened(tmp_path: Path, database: tuple[str, str]) -> AsyncIterator[Parts]:
    deployment = await asyncio.to_thread(make, tmp_path / "fr", database)
    async with parts(deployment.settings()) as found:
        await Admin(found).call("customer add", "t", {"name": NAME})
        await found.sequence()
        yield found


@pytest.fixture
async def siem(tmp_path: Path) -> AsyncIterator[Receiver]:
    made = Receiver(tmp_path)
    await made.start()
    yield made
    if made._server is not None:
        await made.kill()


def stream(opened: Parts, siem: Receiver, **given: Any) -> Stream:
    """The work of a process that was just started."""
    to = To(**({"name": "siem", "host": "127.0.0.1", "port": siem.port, "ca_file": siem.pem, "history": True} | given))
    streams = opened.settings.streams.model_copy(update={"receivers": (to,), "overlap_s": 0})
    opened.settings = opened.settings.model_copy(update={"streams": streams})
    made = Stream(opened, to, contexts(opened.settings)["siem"])
    made.begin()
    return made


async def grow(opened: Parts, count: int) -> None:
    """More of the operator's log and of the customer's."""
    (customer,) = {log for log in await sizes(opened) if log != OPERATOR_LOG}
    for log in (OPERATOR_LOG, customer):
        events = [Event("heartbeat", log, "frameroom", data={"sessions": n}) for n in range(count)]
        async with opened.store.scope(log) as scope:
            await opened.audit.append_many(scope.connection, events)
    while await opened.sequence():
        continue


async def sizes(opened: Parts) -> dict[str, int]:
    async with opened.store.look_at_everyone() as scope:
        return {row.log_id: row.size for row in await scope.execute(select(logs.c.log_id, logs.c.size))}


async def steps(working: Stream, until: Any) -> None:
    """Step, as the loop does, without its waiting."""
    async with asyncio.timeout(90):
        while not until():
            working._again_at = 0.0
            pause = await working.step()
            await asyncio.sleep(0.01 if pause else 0)


async def confirm(working: Stream) -> None:
    """As when `confirm_s` is over."""
    working._opened_at = -1e9
    working._were.append((-1e9, dict(working._next)))
    while len(working._were) > 1:
        working._were.popleft()
    await steps(working, lambda: working._link is None)


def whole(told: Sequence[tuple[str, int]], wanted: dict[str, int]) -> bool:
    """Every index of every log is there."""
    return set(told) >= {(log, index) for log, size in wanted.items() for index in range(size)}


def in_order(told: Sequence[tuple[str, int]]) -> bool:
    """Of each log the first copy of each entry comes after the first copy of the one before."""
    first = list(dict.fromkeys(told))
    return all([i for log, i in first if log == one] == sorted(i for log, i in first if log == one)
               for one in {log for log, _ in first})  # fmt: skip


async def kept(opened: Parts) -> dict[str, int]:
    async with opened.store.look_at_everyone() as scope:
        query = select(stream_cursors.c.log_id, stream_cursors.c.next_idx)
        return {row.log_id: row.next_idx for row in await scope.execute(query)}


async def test_all_of_it_comes_once_and_what_was_read_is_kept_as_read(opened: Parts, siem: Receiver) -> None:
    await grow(opened, 700)
    working, wanted = stream(opened, siem), await sizes(opened)
    await steps(working, lambda: len(siem.frames) >= sum(wanted.values()))
    assert set((await kept(opened)).values()) == {0}
    await confirm(working)
    assert await kept(opened) == wanted
    # A process that starts anew goes on there, and sends nothing twice.
    await grow(opened, 5)
    again, wanted = stream(opened, siem), await sizes(opened)
    await steps(again, lambda: len(siem.frames) >= sum(wanted.values()))
    assert len(siem.told()) == len(set(siem.told())) == sum(wanted.values())
    assert whole(siem.told(), wanted)
    assert in_order(siem.told())
    working._drop()
    again._drop()


async def test_a_receiver_that_is_down_while_the_log_grows_loses_nothing(opened: Parts, siem: Receiver) -> None:
    await grow(opened, 300)
    working, before = stream(opened, siem), await sizes(opened)
    await steps(working, lambda: len(siem.frames) >= sum(before.values()))
    await siem.kill()
    for _ in range(3):
        await grow(opened, 200)
        for _ in range(3):
            working._again_at = 0.0
            await working.step()
    async with opened.store.look_at_everyone() as scope:
        (told,) = await behind(scope, opened.settings)
    wanted = await sizes(opened)
    assert told.entries == sum(wanted.values())
    assert told.since_ms is not None
    assert not working.is_up
    await siem.start()
    await steps(working, lambda: whole(siem.told(), wanted))
    assert in_order(siem.told())
    await confirm(working)
    async with opened.store.look_at_everyone() as scope:
        (told,) = await behind(scope, opened.settings)
    assert (told.entries, told.since_ms) == (0, None)


async def test_what_waits_of_a_customer_who_came_while_the_receiver_was_away_is_counted(
    opened: Parts, siem: Receiver
) -> None:
    working, before = stream(opened, siem), await sizes(opened)
    await steps(working, lambda: len(siem.frames) >= sum(before.values()))
    await confirm(working)
    await siem.kill()
    await Admin(opened).call("customer add", "t", {"name": "Northern Mills"})
    await opened.sequence()
    wanted = await sizes(opened)
    async with opened.store.look_at_everyone() as scope:
        (told,) = await behind(scope, opened.settings)
    assert told.entries == sum(wanted.values()) - sum(before.values()) > 0
    assert told.since_ms is not None
    working._drop()


@ON_ONE
@pytest.mark.parametrize("after", [1, 700, 30_001])
async def test_a_reset_in_the_middle_of_a_frame_loses_nothing(opened: Parts, siem: Receiver, after: int) -> None:
    await grow(opened, 400)
    siem.reset_after = after
    working, wanted = stream(opened, siem), await sizes(opened)
    await steps(working, lambda: whole(siem.told(), wanted))
    assert siem.connections >= 2
    assert in_order(siem.told())


@ON_ONE
async def test_what_a_hung_receiver_took_and_never_read_is_sent_again(
    opened: Parts, siem: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.wiring.syslog_link._END_S", 1.0)
    siem.reads = False
    await grow(opened, 20)
    working, wanted = stream(opened, siem), await sizes(opened)
    await steps(working, lambda: working._next == wanted and working.is_up)
    # All of it is in the kernels' buffers: to whoever only looks at the connection it has arrived.
    await confirm(working)
    assert set((await kept(opened)).values()) == {0}
    assert siem.frames == []
    await siem.kill()
    siem.reads = True
    await siem.start()
    await steps(working, lambda: whole(siem.told(), wanted))
    await confirm(working)
    assert await kept(opened) == wanted


@ON_ONE
async def test_one_that_never_closes_is_believed_when_the_settings_say_so(
    opened: Parts, siem: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.wiring.syslog_link._END_S", 1.0)
    siem.reads = False
    working, wanted = stream(opened, siem, closes=False), await sizes(opened)
    await steps(working, lambda: working._next.items() >= wanted.items() and working.is_up)
    await confirm(working)
    assert (await kept(opened)).items() >= wanted.items()


@ON_ONE
async def test_the_overlap_is_sent_again_after_a_break(opened: Parts, siem: Receiver) -> None:
    working = stream(opened, siem)
    working._settings = working._settings.model_copy(update={"overlap_s": 60})
    wanted = await sizes(opened)
    await steps(working, lambda: whole(siem.told(), wanted))
    working._opened_at = -1e9
    await steps(working, lambda: working._link is None)
    # Read and closed in order, but a moment ago: it may not have been kept.
    assert set((await kept(opened)).values()) == {0}
    await steps(working, lambda: working.is_up)
    assert len(siem.frames) == sum(wanted.values()), "an end in order is no break"
    await siem.kill()
    await siem.start()
    await steps(working, lambda: len(siem.frames) >= 2 * sum(wanted.values()))


@ON_ONE
async def test_a_receiver_that_is_new_begins_with_what_comes(opened: Parts, siem: Receiver) -> None:
    await grow(opened, 10)
    working, before = stream(opened, siem, history=False), await sizes(opened)
    await steps(working, lambda: working.is_up)
    await Admin(opened).call("customer add", "t", {"name": "Northern Mills"})
    await grow_one(opened)
    wanted = await sizes(opened)
    await steps(working, lambda: len(siem.frames) >= sum(wanted.values()) - sum(before.values()))
    assert set(siem.told()) == {(log, i) for log, size in wanted.items() for i in range(before.get(log, 0), size)}


async def grow_one(opened: Parts) -> None:
    async with opened.store.operator_log() as scope:
        await opened.audit.append(scope.connection, Event("heartbeat", OPERATOR_LOG, "frameroom"))
    await opened.sequence()


@ON_ONE
async def test_only_whose_logs_and_which_kinds_were_named(opened: Parts, siem: Receiver) -> None:
    await Admin(opened).call("customer add", "t", {"name": "Northern Mills"})
    await opened.sequence()
    working = stream(opened, siem, customers=(NAME,), operator=False, kinds=("customer.*",))
    wanted = await sizes(opened)
    await steps(working, lambda: working._next.items() >= wanted.items() and len(siem.frames) >= 1)
    assert len(siem.told()) == 1
    assert siem.told()[0][0] == (await Base(opened)._customer(NAME))
    await confirm(working)
    assert (await kept(opened)).items() >= wanted.items(), "what is passed over does not count as waiting"


@ON_ONE
async def test_nothing_personal_goes_out(opened: Parts, siem: Receiver) -> None:
    customer = await Base(opened)._customer(NAME)
    async with opened.store.scope(customer) as scope:
        personal = (Personal("name", "Grace CANARY Okonkwo", f"customer:{customer}"),)
        await opened.audit.append(
            scope.connection, Event("system.added", customer, "t", system="sys_1", personal=personal)
        )
    await opened.sequence()
    for form in ("json", "ocsf"):
        async with opened.store.everyone() as scope:
            await scope.execute(stream_cursors.delete())
        siem.frames.clear()
        working, wanted = stream(opened, siem, form=form), await sizes(opened)
        await steps(working, lambda wanted=wanted: whole(siem.told(), wanted))
        sent = b"".join(siem.frames)
        assert b"system.added" in sent
        assert b"CANARY" not in sent
        assert NAME.encode() not in sent
        working._drop()


# -- who is spoken to --


async def refused(working: Stream, siem: Receiver) -> None:
    for _ in range(3):
        working._again_at = 0.0
        await working.step()
    assert not working.is_up
    assert siem.frames == []


@ON_ONE
async def test_a_certificate_of_another_is_told_nothing(opened: Parts, siem: Receiver, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(certificate()[0])
    await refused(stream(opened, siem, ca_file=other), siem)
    await refused(stream(opened, siem, server_name="siem.company.example"), siem)
    wrong = "sha-256:" + ":".join(["AB"] * 32)
    await refused(stream(opened, siem, ca_file=None, pin=wrong), siem)
    await refused(stream(opened, siem, pin=wrong), siem)
    await refused(stream(opened, siem, ca_file=None), siem)


@ON_ONE
async def test_the_pinned_certificate_alone_is_enough(opened: Parts, siem: Receiver) -> None:
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(siem.pem.read_text())).hexdigest()
    pin = "sha-256:" + ":".join(digest[n : n + 2] for n in range(0, 64, 2)).upper()
    working = stream(opened, siem, ca_file=None, pin=pin, server_name="another.example")
    await steps(working, lambda: len(siem.frames) >= 1)


@ON_ONE
async def test_a_receiver_that_wants_a_certificate_of_ours_gets_it(
    opened: Parts, siem: Receiver, tmp_path: Path
) -> None:
    pem, key = certificate()
    for name, text in (("us.pem", pem), ("us.key", key)):
        (tmp_path / name).write_text(text)
    siem.context.load_verify_locations(tmp_path / "us.pem")
    siem.context.verify_mode = ssl.CERT_REQUIRED
    await refused(stream(opened, siem), siem)
    working = stream(opened, siem, certificate=tmp_path / "us.pem", key=tmp_path / "us.key")
    await steps(working, lambda: len(siem.frames) >= 1)


@ON_ONE
async def test_what_is_wrong_in_the_settings_is_said_before_anything_is_sent(
    opened: Parts, siem: Receiver, tmp_path: Path
) -> None:
    with pytest.raises(InvalidError, match="no kind of event is like 'sesion"):
        stream(opened, siem, kinds=("session.*", "sesion.*"))
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    with pytest.raises(InvalidError, match="no PEM file"):
        stream(opened, siem, ca_file=nonsense)
    with pytest.raises(InvalidError, match="do not belong together"):
        stream(opened, siem, certificate=siem.pem, key=nonsense)
