"""Asterisk's own prompt on a live one, by way of the helper: every line of the list, and what of it goes no further.

FRAMEROOM_ASTERISK names its program; skipped aloud without one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connectors.asterisk_files.connector import AsteriskFilesConnector
from connectors.console import ASTERISK, Class, parse
from tests.support.children import until
from tests.support.flat_pbx import CANARIES, FlatPbx, bound, door
from tests.support.live_asterisk import Live, running

_NAMES = {"pjsip show endpoint": "1001", "module show like": "pjsip", "queue show": "sales", "pjsip qualify": "1001",
          "pjsip send register": "itsp-out", "pjsip send unregister": "itsp-out"}  # fmt: skip
"""What stands in the place of NAME, where there is such a one."""
_PROVIDER = """
[itsp-out]
type=registration
transport=transport-udp
outbound_auth=itsp-auth
server_uri=sip:127.0.0.1:9
client_uri=sip:acct@127.0.0.1:9

[9009]
type=endpoint
callerid=Nobody <9009>
set_var=PIN=2262791001
"""
_PIN = "2262791001"
_SENDS = f"SendDTMF({_PIN}{'w' * 60})"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[FlatPbx, Live]]:
    pbx = FlatPbx(tmp_path, {"console": "act"}).make()
    pbx.write("pjsip.conf", pbx.text() + _PROVIDER)
    pbx.write("queues.conf", "[general]\n[sales]\nmember => PJSIP/1001\n")
    pbx.write("extensions.conf", f"{pbx.text('extensions.conf')}\n[pins]\nexten => s,1,Answer()\n same => n,{_SENDS}\n")
    with running(pbx) as made:
        yield pbx, made


@pytest.fixture
async def prompt(live: tuple[FlatPbx, Live]) -> AsyncIterator[AsteriskFilesConnector]:
    pbx, _ = live
    with door(pbx.folder / "ssh", bound(pbx)) as front:
        connector = await front.connect()
        yield connector
        await connector.close()


async def said(connector: AsteriskFilesConnector, line: str) -> str:
    return b"".join([data async for data in connector.diag(parse(line, ASTERISK))]).decode()


def line_of(entry: object) -> str:
    words = entry.sample()  # type: ignore[attr-defined]
    for start, name in _NAMES.items():
        words = re.sub(rf"^({start}) \S+$", rf"\1 {name}", words)
    return str(words)


@pytest.mark.parametrize("entry", [one for one in ASTERISK if one.kind is Class.LOOK], ids=lambda one: one.name)
async def test_it_knows_each_line_that_looks_and_says_no_secret(
    prompt: AsteriskFilesConnector, live: tuple[FlatPbx, Live], entry: object
) -> None:
    told = await said(prompt, line_of(entry))
    assert told.strip()
    assert not re.search(r"No such command|Usage:|Unable to find", told), told
    assert not [name for name, secret in CANARIES.items() if secret in told]
    assert told == live[1].ask(line_of(entry)) or re.search(
        "uptime|version|channels|calls|show endpoint", line_of(entry)
    )


async def test_what_acts_is_done(prompt: AsteriskFilesConnector, live: tuple[FlatPbx, Live]) -> None:
    pbx, asterisk = live
    pbx.swap("extensions.conf", "[pins]", "[new-one]\nexten => 1,1,Answer()\n\n[pins]")
    assert "There is no existence of 'new-one'" in asterisk.ask("dialplan show new-one")
    assert "Dialplan reloaded" in await said(prompt, "dialplan reload")
    assert "'1' =>" in asterisk.ask("dialplan show new-one")
    pbx.swap("voicemail.conf", "Grace Okonkwo", "Grace Bell")
    await said(prompt, "voicemail reload")
    assert "Grace Bell" in asterisk.ask("voicemail show users")
    for module in ("res_pjsip.so", "app_voicemail.so", "pbx_config.so", "app_queue.so"):
        assert f"Module '{module}' reloaded successfully" in await said(prompt, f"module reload {module}")
    assert asterisk.register("1001", CANARIES["sip:1001"], expires=600) == 200
    assert "1001" in await said(prompt, "pjsip qualify 1001")
    for what in ("register", "unregister"):
        told = await said(prompt, f"pjsip send {what} itsp-out")
        assert "No such command" not in told
        assert "Unable" not in told, told
    await said(prompt, "core reload")
    assert asterisk.register("1001", CANARIES["sip:1001"]) == 200


async def test_a_pin_in_an_applications_argument_is_withheld_and_its_call_hung_up(
    prompt: AsteriskFilesConnector, live: tuple[FlatPbx, Live]
) -> None:
    _, asterisk = live
    asterisk.ask("channel originate Local/s@pins application Wait 60")
    await until(lambda: f"SendDTMF({_PIN}" in asterisk.ask("core show channels"))
    told = await said(prompt, "core show channels")
    assert _PIN not in told
    assert "SendDTMF((withheld))" in told
    assert "Local/s@pins" in told


async def test_a_telephones_variables_are_withheld(prompt: AsteriskFilesConnector, live: tuple[FlatPbx, Live]) -> None:
    assert _PIN in live[1].ask("pjsip show endpoint 9009")
    told = await said(prompt, "pjsip show endpoint 9009")
    assert _PIN not in told
    assert "(withheld)" in told


async def test_a_call_is_hung_up_and_a_restart_taken_back(
    prompt: AsteriskFilesConnector, live: tuple[FlatPbx, Live]
) -> None:
    """A telephone that registered and does not answer: it is called for as long as SIP tries."""
    _, asterisk = live
    assert asterisk.register("1001", CANARIES["sip:1001"], expires=600) == 200
    asterisk.ask("channel originate PJSIP/1001 application Wait 60")
    (channel,) = await until(lambda: re.findall(r"PJSIP/1001-[0-9a-f]{8}", asterisk.ask("core show channels")))
    restart = asyncio.ensure_future(said(prompt, "core restart gracefully"))
    await until(lambda: "shutdown" in asterisk.ask("core show uptime"))  # it takes few other commands by now
    await said(prompt, "core abort shutdown")
    await asyncio.wait_for(restart, 30)  # it waits for the call no longer
    await until(lambda: channel in asterisk.ask("core show channels"))
    assert f"Requested Hangup on channel '{channel}'" in await said(prompt, f"channel request hangup {channel}")
    await until(lambda: "0 active channels" in asterisk.ask("core show channels"))
    assert asterisk.register("1001", CANARIES["sip:1001"]) == 200
