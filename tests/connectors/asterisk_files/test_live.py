"""What the helper writes, taken by a live Asterisk: proven by REGISTER and by its own console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.contract import Change, Secret, SecretKind
from connectors.errors import NotFound, Refused
from tests.support.flat_pbx import CANARIES, Door, FlatPbx, bound, door
from tests.support.live_asterisk import Live, running

from .test_operations import NEW, STYLES


@pytest.fixture
def live(pbx: FlatPbx) -> Iterator[Live]:
    with running(pbx) as asterisk:
        yield asterisk


@pytest.fixture
def front(pbx: FlatPbx, live: Live) -> Iterator[Door]:
    with door(pbx.folder / "ssh", bound(pbx)) as opened:
        yield opened


async def test_a_reset_in_every_style_counts_at_once(live: Live, front: Door) -> None:
    connector = await front.connect()
    for person in STYLES:
        old = CANARIES[f"sip:{person}"]
        assert live.register(person, old) == 200
        await connector.reset(person, SecretKind.SIP, Secret(NEW))
        assert (live.register(person, NEW), live.register(person, old)) == (200, 401)
    await connector.close()


async def test_names_numbers_and_pins_are_what_it_then_has(live: Live, front: Door) -> None:
    connector = await front.connect()
    change = Change(name="Siobhán Kelly", email="s.kelly@example.test", ddi="+442079460777")
    await connector.alter("1004", change, await connector.view("1004"))
    assert '"Siobhán Kelly" <1004>' in live.ask("pjsip show endpoint 1004")
    assert "Siobhán Kelly" in live.ask("voicemail show users")
    assert "Goto(internal,1004,1)" in live.ask("dialplan show +442079460777@from-trunk")
    assert "no existence" in live.ask("dialplan show +442079460104@from-trunk")
    await connector.reset("1004", SecretKind.VOICEMAIL, Secret("493817"))
    assert "493817" in live.ask("dialplan eval function VM_INFO(1004@default,password)")
    assert "s.kelly@example.test" in live.ask("dialplan eval function VM_INFO(1004@default,email)")
    await connector.close()


async def test_who_is_removed_is_gone_and_the_others_go_on(live: Live, front: Door) -> None:
    connector = await front.connect()
    for person in ("1002", "1014", "1018", "1020"):
        await connector.remove(person, await connector.view(person))
        with pytest.raises(NotFound):
            await connector.view(person)
        assert live.register(person, CANARIES[f"sip:{person}"]) == 401
        assert "Unable to find object" in live.ask(f"pjsip show endpoint {person}")
    assert "16 voicemail users" in live.ask("voicemail show users")
    for person in ("1001", "1013", "1017", "alice.wong"):
        assert live.register(person, CANARIES[f"sip:{person}"]) == 200
    await connector.close()


async def test_a_registered_telephone_is_seen_by_its_address_alone(live: Live, front: Door) -> None:
    connector = await front.connect()
    assert live.register("1001", CANARIES["sip:1001"], expires=600) == 200
    (device,) = await connector.devices("1001")
    assert device.label.startswith("1001 at 127.0.0.1:")
    assert all(line.ok for line in await connector.check() if line.what in ("console", "people", "inbound", "helper"))
    await connector.close()


async def test_nothing_is_changed_while_it_does_not_run(pbx: FlatPbx, live: Live, front: Door) -> None:
    connector = await front.connect()
    before = pbx.all_text()
    live.ask("core stop now")
    with pytest.raises(Refused, match="console"):
        await connector.reset("1001", SecretKind.SIP, Secret(NEW))
    assert pbx.all_text() == before
    await connector.close()
