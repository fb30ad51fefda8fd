"""FreeSWITCH's prompt on a live one, on the database of a FusionPBX: every line of the list, and who may ask it.

FRAMEROOM_FREESWITCH names its program; skipped aloud without one.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.console import FREESWITCH, Class, Entry, parse
from connectors.errors import CredentialRefused, OutcomeUnknown, Refused
from connectors.fusionpbx.connector import FusionPbxConnector
from tests.support.children import until
from tests.support.live_freeswitch import ITS, PASSWORD, PROMPT, SIP, LiveSwitch, running

from .conftest import Pbx
from .database import DOMAIN

MAY = "version status show sofia reloadxml uuid_kill fsctl"
"""As docs/connectors/fusionpbx.md has it."""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveSwitch]:
    with running(tmp_path, MAY) as made:
        yield made


async def connected(pbx: Pbx, live: LiveSwitch, secret: str = PASSWORD, **more: Any) -> FusionPbxConnector:
    """To a FusionPBX that serves one domain."""
    pbx.sql("delete from v_domains where domain_name <> %s", DOMAIN)
    pbx.second = secret
    socket = {"host": "127.0.0.1", "port": live.port, "console": "act", "cache": "none"} | more
    return await pbx.connect(event_socket=socket)


@pytest.fixture
async def prompt(pbx: Pbx, live: LiveSwitch) -> AsyncIterator[FusionPbxConnector]:
    """As a user of its directory."""
    connector = await connected(pbx, live, ITS, user=PROMPT)
    yield connector
    await connector.close()


async def said(connector: FusionPbxConnector, line: str) -> str:
    return b"".join([data async for data in connector.diag(parse(line, FREESWITCH))]).decode()


def line_of(entry: Entry) -> str:
    return re.sub(r"profile \S+", "profile internal", entry.sample())


@pytest.mark.parametrize("entry", [one for one in FREESWITCH if one.kind is Class.LOOK], ids=lambda one: one.name)
async def test_it_knows_each_line_that_looks_and_says_no_secret(
    prompt: FusionPbxConnector, live: LiveSwitch, entry: Entry
) -> None:
    assert live.register("1001", SIP["1001"]) == 200
    told = await said(prompt, line_of(entry))
    assert told.strip()
    assert not re.search(r"^-(ERR|USAGE)|Invalid", told), told
    assert "CANARY" not in told
    if "reg" in entry.words:
        assert "1001@127.0.0.1" in told
    if "gateway" in entry.words:
        assert re.search(r"^Password\s+\(withheld\)$", told, re.M), told
        assert re.search(r"^Username\s+acme$", told, re.M)


async def test_what_acts_is_done(prompt: FusionPbxConnector, live: LiveSwitch) -> None:
    assert live.register("1001", SIP["1001"]) == 200
    conf = live.folder / "conf" / "freeswitch.xml"
    conf.write_text(conf.read_text().replace(SIP["1002"], "CANARY-new-1002"))
    assert live.register("1002", "CANARY-new-1002") != 200
    assert "+OK" in await said(prompt, "reloadxml")
    assert live.register("1002", "CANARY-new-1002") == 200
    for line in ("register provider", "unregister provider", "rescan"):
        assert not (await said(prompt, f"sofia profile internal {line}")).startswith("-ERR")
    assert "Total items returned: 2" in live.ask("sofia status profile internal reg")
    assert "+OK" in await said(prompt, "sofia profile internal flush_inbound_reg 1001@127.0.0.1")
    await until(lambda: "Total items returned: 1" in live.ask("sofia status profile internal reg"))
    over = time.monotonic() + 20
    while True:
        try:
            told = await said(prompt, "sofia profile internal restart")
        except Refused:  # until it has been up for ten seconds
            assert time.monotonic() < over
            await asyncio.sleep(0.5)
        else:
            break
    assert "restarting: internal" in told
    await until(lambda: "RUNNING" in live.ask("sofia status"))


async def test_one_call_is_ended_and_what_is_none_is_told(prompt: FusionPbxConnector, live: LiveSwitch) -> None:
    with pytest.raises(Refused, match="did not do it"):
        await said(prompt, "uuid_kill 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
    for line in ("profile nobody rescan", "profile internal register nobody", "profile internal unregister nobody"):
        with pytest.raises(Refused, match="did not do it"):
            await said(prompt, f"sofia {line}")
    conf = live.folder / "conf" / "freeswitch.xml"
    whole = conf.read_text()
    conf.write_text(whole.replace("</section>", "", 1))
    with pytest.raises(Refused, match="did not do it"):
        await said(prompt, "reloadxml")
    conf.write_text(whole)
    call = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f1"
    with live.call(call):
        assert live.ask(f"uuid_exists {call}") == "true"
        assert "+OK" in await said(prompt, f"uuid_kill {call}")
        await until(lambda: live.ask(f"uuid_exists {call}") == "false")


async def test_its_user_may_ask_what_its_administrator_says_and_nothing_else(
    pbx: Pbx, prompt: FusionPbxConnector, live: LiveSwitch
) -> None:
    (line,) = [line for line in await prompt.check() if line.what == "prompt"]
    assert line.ok
    assert "ask for: fsctl, reloadxml, show, sofia, status, uuid_kill, version" in line.words
    conf = live.folder / "conf" / "freeswitch.xml"
    conf.write_text(conf.read_text().replace(MAY, "version status"))
    live.ask("reloadxml")
    assert "FreeSWITCH Version" in await said(prompt, "version")
    with pytest.raises(Refused, match="does not let our user ask that"):
        await said(prompt, "sofia status")
    for more in ({"secret": "CANARY-wrong"}, {"secret": "CANARY-wrong", "user": PROMPT}):
        connector = await connected(pbx, live, **more)
        with pytest.raises(CredentialRefused):
            await said(connector, "version")
        await connector.close()


async def test_the_sockets_own_password_does_everything_and_is_told_so(pbx: Pbx, live: LiveSwitch) -> None:
    connector = await connected(pbx, live)
    assert "FreeSWITCH Version" in await said(connector, "version")
    assert "FULL CONTROL" in connector.capabilities().secrecy_why
    await connector.close()


async def test_a_restart_does_not_answer_while_a_call_goes_on(prompt: FusionPbxConnector, live: LiveSwitch) -> None:
    call = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f2"
    with live.call(call):
        with pytest.raises(OutcomeUnknown, match="whether it was done"):
            await said(prompt, "fsctl shutdown restart elegant")
        assert live.ask(f"uuid_exists {call}") == "true", "which goes on"
