"""FreeSWITCH's cache: what is taken out of it, when a change counts; an event socket that is an enemy, or not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from connectors.contract import Change, Secrecy, Secret, SecretKind
from connectors.errors import ConnectorError, CredentialRefused, OutcomeUnknown, Unreachable
from connectors.fusionpbx.connector import FusionPbxConnector, FusionPbxFamily
from tests.support.event_socket import FreeSwitch

from .conftest import Pbx
from .database import PEOPLE

GRACE = PEOPLE[0]
NEW = "Kx7mQ2vTz9LpR4wNc8Hd"
FILE, MEMCACHE = "directory.1001@brook.example", "directory:1001@brook.example"


def settings(switch: FreeSwitch, **more: Any) -> dict[str, Any]:
    return {"event_socket": {"host": "127.0.0.1", "port": switch.port} | more}


async def connected(pbx: Pbx, switch: FreeSwitch, **more: Any) -> FusionPbxConnector:
    pbx.second = switch.password
    return await pbx.connect(**settings(switch, **more))


def telephone(pbx: Pbx, switch: FreeSwitch, key: str) -> Callable[[str], bool]:
    """Registers as FreeSWITCH lets it: by what is in its cache, else by the database, and then that is cached."""

    def registers(password: str) -> bool:
        ((stored,),) = pbx.sql("select password from v_extensions where extension_uuid = %s", GRACE.id)
        return switch.cache.setdefault(key, stored) == password

    return registers


@pytest.mark.parametrize(("cache", "key"), [("file", FILE), ("memcache", MEMCACHE)])
async def test_with_the_socket_the_old_password_is_dead_at_once(
    pbx: Pbx, switch: FreeSwitch, cache: str, key: str
) -> None:
    registers = telephone(pbx, switch, key)
    assert registers(GRACE.secret("sip"))
    connector = await connected(pbx, switch, cache=cache)
    done = await connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW))
    assert not registers(GRACE.secret("sip"))
    assert registers(NEW)
    assert "goes on working" not in repr(done)
    assert NEW not in repr(switch.heard)
    await connector.close()


async def test_without_it_the_reset_says_that_the_old_one_lives(pbx: Pbx, switch: FreeSwitch) -> None:
    registers = telephone(pbx, switch, FILE)
    assert registers(GRACE.secret("sip"))
    connector = await pbx.connect()
    done = await connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW))
    assert registers(GRACE.secret("sip"))
    assert "the old password goes on working" in " ".join(done.notes)
    assert "Flush Cache" in " ".join(done.notes)
    await connector.close()


async def test_a_moved_number_stops_ringing_the_old_person(pbx: Pbx, switch: FreeSwitch) -> None:
    old = ["dialplan.public", "dialplan.public.2079460101", "dialplan.public.442079460101",
           "dialplan.public.+442079460101", FILE]  # fmt: skip
    switch.cache = dict.fromkeys([*old, "dialplan.public.1614960102"], "x")
    connector = await connected(pbx, switch)
    await connector.alter(GRACE.id, Change(ddi="+442079460999"), await connector.view(GRACE.id))
    assert list(switch.cache) == ["dialplan.public.1614960102"]
    switch.cache = {"dialplan.public.+442079460999": "x", FILE: "x"}
    await connector.remove(GRACE.id, await connector.view(GRACE.id))
    assert switch.cache == {}
    await connector.close()


async def test_nothing_but_the_flush_is_ever_sent(pbx: Pbx, switch: FreeSwitch) -> None:
    switch.secrets = "CANARY-user-data"
    connector = await connected(pbx, switch)
    shown = await connector.view(GRACE.id)
    after = await connector.alter(GRACE.id, Change(name="Grace Bell"), shown)
    for kind, secret in ((SecretKind.SIP, NEW), (SecretKind.VOICEMAIL, "918273"), (SecretKind.PORTAL, NEW)):
        await connector.reset(GRACE.id, kind, Secret(secret))
    await connector.check()
    await connector.remove(GRACE.id, after)
    flush = "api lua app/servers/resources/clear_cache.lua delete "
    assert switch.heard[0] == "auth"
    assert all(heard.startswith(flush) for heard in switch.heard[1:])
    await connector.close()


async def test_it_is_shown_as_what_it_is(pbx: Pbx, switch: FreeSwitch) -> None:
    connector = await connected(pbx, switch)
    can = connector.capabilities()
    assert set(can.secrecy.values()) == {Secrecy.SELECTED}
    assert "FULL CONTROL" in can.secrecy_why
    assert any("FULL CONTROL" in line.words and line.ok for line in await connector.check() if line.what == "cache")
    assert switch.password not in repr([can, await connector.check(), vars(connector)])
    await connector.close()


@pytest.mark.parametrize("how", ["rude", "garbage", "silent"])
async def test_one_that_does_not_let_us_in_stops_writing_and_not_looking(
    pbx: Pbx, switch: FreeSwitch, how: str
) -> None:
    switch.how = how
    pbx.second = switch.password
    target = pbx.target(**settings(switch))
    quick = type(target)("s", target.host, target.port, target.pin, target.settings, 2_000, 2_000)
    connector = await FusionPbxFamily().connect(quick, pbx.unseal)
    shown = await connector.view(GRACE.id)
    assert not next(line for line in await connector.check() if line.what == "cache").ok
    for act in (
        connector.alter(GRACE.id, Change(name="X"), shown),
        connector.remove(GRACE.id, shown),
        connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW)),
    ):
        with pytest.raises(ConnectorError):
            await act
    assert await connector.view(GRACE.id) == shown
    assert pbx.opens(GRACE.id, SecretKind.SIP, GRACE.secret("sip"))
    assert switch.heard == [], "who is no event socket is told no password"
    await connector.close()


async def test_a_wrong_password_and_none(pbx: Pbx, switch: FreeSwitch) -> None:
    for second in ("CANARY-wrong-one", ""):
        pbx.second = second
        connector = await pbx.connect(**settings(switch))
        with pytest.raises(CredentialRefused) as caught:
            await connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW))
        assert "CANARY" not in repr(caught.value) + caught.value.next_step
        assert pbx.opens(GRACE.id, SecretKind.SIP, GRACE.secret("sip"))
        await connector.close()
    assert switch.heard == ["auth, wrong"]


async def test_the_second_line_is_not_the_databases(pbx: Pbx, switch: FreeSwitch) -> None:
    """The role's password file has both; without the setting the second is dropped unread."""
    pbx.second = switch.password
    connector = await pbx.connect()
    assert (await connector.view(GRACE.id)).extension == "1001"
    assert switch.heard == []
    await connector.close()


@pytest.mark.parametrize("how", ["wrong", "endless"])
async def test_one_that_answers_nonsense_stops_a_change_before_it_is_written(
    pbx: Pbx, switch: FreeSwitch, how: str
) -> None:
    connector = await connected(pbx, switch)
    shown = await connector.view(GRACE.id)
    switch.how = how
    with pytest.raises(ConnectorError):
        await connector.alter(GRACE.id, Change(name="X"), shown)
    assert await connector.view(GRACE.id) == shown
    await connector.close()


async def test_one_that_goes_between_the_writing_and_the_flush(
    pbx: Pbx, switch: FreeSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = await connected(pbx, switch)
    shown = await connector.view(GRACE.id)
    flusher: Any = connector._flusher
    real, times = flusher.flush, 0

    async def once(keys: Any) -> None:
        nonlocal times
        times += 1
        if times % 2 == 0:
            raise Unreachable("the event socket did not answer")
        await real(keys)

    monkeypatch.setattr(flusher, "flush", once)
    with pytest.raises(OutcomeUnknown, match="it is written"):
        await connector.alter(GRACE.id, Change(name="Grace Bell"), shown)
    assert (await connector.view(GRACE.id)).name == "Grace Bell"
    done = await connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW))
    assert "the old password goes on working" in " ".join(done.notes)
    removal = await connector.remove(GRACE.id, await connector.view(GRACE.id))
    assert any("Flush Cache" in line for line in removal.remains)
    await connector.close()


async def test_a_cut_at_the_commit_is_flushed_all_the_same(pbx: Pbx, switch: FreeSwitch) -> None:
    """It may have been written: then the old password must not live on in the cache."""
    connector = await connected(pbx, switch)
    pbx.sql("""create function cut() returns trigger language plpgsql security definer as
        $$begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(0.01); return null; end$$;
        create constraint trigger cut after update on v_extensions deferrable initially deferred
        for each row execute function cut()""")
    switch.heard.clear()
    with pytest.raises(OutcomeUnknown):
        await connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW))
    assert len(switch.heard) == 2
    await connector.close()


async def test_an_extension_that_has_no_key_is_refused_before_anything_is_written(pbx: Pbx, switch: FreeSwitch) -> None:
    pbx.sql("update v_extensions set user_context = '../../etc' where extension_uuid = %s", GRACE.id)
    connector = await connected(pbx, switch)
    with pytest.raises(ConnectorError):
        await connector.reset(GRACE.id, SecretKind.SIP, Secret(NEW))
    assert pbx.opens(GRACE.id, SecretKind.SIP, GRACE.secret("sip"))
    assert switch.heard == ["auth"]
    await connector.close()


async def test_many_at_once_each_flush_their_own(pbx: Pbx, switch: FreeSwitch) -> None:
    connector = await connected(pbx, switch)
    four = PEOPLE[:4]
    switch.cache = {f"directory.{p.extension}@brook.example": "old" for p in four}
    switch.heard.clear()
    await asyncio.gather(*(connector.reset(p.id, SecretKind.SIP, Secret(f"{NEW}{p.extension}")) for p in four))
    assert switch.cache == {}
    assert len(switch.heard) == 8
    for p in four:
        assert pbx.opens(p.id, SecretKind.SIP, f"{NEW}{p.extension}")
    await connector.close()
