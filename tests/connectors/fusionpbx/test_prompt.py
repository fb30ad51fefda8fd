"""FreeSWITCH's prompt over the event socket: who may, what is sent, what is withheld, and a socket that is an enemy."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from connectors.console import FREESWITCH, parse
from connectors.contract import CONSOLE, Change, DiagCommand, Operation, Secrecy, SecretKind
from connectors.errors import (
    CredentialRefused,
    InvalidValue,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
)
from connectors.fusionpbx.connector import FusionPbxConnector, FusionPbxFamily
from tests.support.event_socket import FreeSwitch

from .conftest import Pbx
from .database import DOMAIN, PEOPLE

USER, ITS = "frameroom@prompt.example", "CANARY-esl-user:7"


async def connected(pbx: Pbx, switch: FreeSwitch, console: str = "act", **more: Any) -> FusionPbxConnector:
    """To a FusionPBX that serves this domain alone."""
    pbx.sql("delete from v_domains where domain_name <> %s", DOMAIN)
    return await opened(pbx, switch, console, **more)


async def opened(pbx: Pbx, switch: FreeSwitch, console: str = "act", **more: Any) -> FusionPbxConnector:
    """Whatever domains it has."""
    pbx.second = ITS if "user" in more else switch.password
    socket = {"host": "127.0.0.1", "port": switch.port, "console": console} | more
    return await pbx.connect(event_socket=socket)


async def said(connector: FusionPbxConnector, line: str) -> bytes:
    """All of an answer."""
    return b"".join([data async for data in connector.diag(parse(line, FREESWITCH))])


async def prompt_line(connector: FusionPbxConnector) -> tuple[bool, str]:
    """What `system check` says of it."""
    (line,) = [line for line in await connector.check() if line.what == "prompt"]
    return line.ok, line.words


async def test_a_line_is_one_api_and_its_output_comes_whole(pbx: Pbx, switch: FreeSwitch) -> None:
    switch.registered = ["1001", "1002"]
    connector = await connected(pbx, switch)
    switch.heard.clear()
    told = (await said(connector, "sofia status profile internal reg")).decode()
    assert "1001@brook.example" in told
    assert told.endswith("Total items returned: 2\n")
    assert await said(connector, "reloadxml") == b"+OK\n"
    assert switch.heard == ["auth", "api sofia status profile internal reg", "auth", "api reloadxml"]
    assert (await connector.view(PEOPLE[0].id)).extension == "1001"
    assert connector.capabilities().operations >= CONSOLE
    await connector.close()


async def test_no_other_line_can_be_sent(pbx: Pbx, switch: FreeSwitch) -> None:
    connector = await connected(pbx, switch)
    switch.heard.clear()
    for words, acts in (
        (("user_data", "1001@brook.example", "param", "password"), False), (("sofia", "xmlstatus"), False),
        (("reloadxml",), False), (("version",), True), (("version\n\napi", "system", "id"), False),
        (("eval", "${password}"), False), (("sofia", "profile", "internal", "register", "all"), True),
        (("show", "registrations"), False), (("luarun", "~os.exit()"), True),
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            [data async for data in connector.diag(DiagCommand(words, "x", acts))]
    assert switch.heard == []
    await connector.close()


async def test_it_is_closed_until_the_settings_open_it(pbx: Pbx, switch: FreeSwitch) -> None:
    connector = await connected(pbx, switch, console="off")
    switch.heard.clear()
    with pytest.raises(NotSupported, match="do not open FreeSWITCH's prompt"):
        await said(connector, "version")
    assert not connector.capabilities().operations & CONSOLE
    await connector.close()
    connector = await connected(pbx, switch, console="look")
    assert (await said(connector, "version")).startswith(b"FreeSWITCH Version")
    with pytest.raises(NotSupported, match="to look only"):
        await said(connector, "reloadxml")
    assert Operation.CONSOLE_ACT not in connector.capabilities().operations
    assert "api reloadxml" not in switch.heard
    assert FusionPbxFamily().capabilities().operations >= CONSOLE, "of the family as such, where settings open it"
    await connector.close()


async def test_a_freeswitch_of_several_customers_shows_none_of_them(pbx: Pbx, switch: FreeSwitch) -> None:
    connector = await opened(pbx, switch)
    with pytest.raises(NotSupported, match="shows every domain") as caught:
        await said(connector, "sofia status profile internal reg")
    assert "one customer's own" in caught.value.next_step
    assert (await prompt_line(connector))[0] is False
    await connector.close()
    # Where the database hides other domains from our role, nobody can tell that there are none.
    pbx.sql("alter table v_domains enable row level security")
    pbx.sql(f"create policy frameroom on v_domains to frameroom using (domain_name = '{DOMAIN}')")
    connector = await opened(pbx, switch)
    with pytest.raises(NotSupported, match="its database would not tell"):
        await said(connector, "version")
    assert not [line for line in switch.heard if line.startswith("api")]
    await connector.close()


async def test_a_user_of_freeswitch_s_own_directory_narrows_what_can_be_asked(pbx: Pbx, switch: FreeSwitch) -> None:
    switch.users[USER] = (ITS, "version status show sofia")
    connector = await connected(pbx, switch, user=USER, cache="none")
    assert (await said(connector, "status")) == b"+OK\n"
    with pytest.raises(Refused, match="does not let our user ask that") as caught:
        await said(connector, "reloadxml")
    assert "esl-allowed-api" in caught.value.next_step
    ok, told = await prompt_line(connector)
    assert ok
    assert "ask for: show, sofia, status, version (of the catalogue not: fsctl, reloadxml, uuid_kill)" in told
    why = connector.capabilities().secrecy_why
    assert "FULL CONTROL" not in why
    assert connector.capabilities().secrecy[SecretKind.SIP] is Secrecy.SELECTED
    assert "auth" not in switch.heard, "the socket's own password is not even known"
    await connector.close()
    switch.users[USER] = (ITS, None)
    connector = await connected(pbx, switch, user=USER, cache="none")
    ok, told = await prompt_line(connector)
    assert not ok
    assert "ask for everything" in told
    await connector.close()


async def test_without_emptying_the_cache_a_change_says_what_stays(pbx: Pbx, switch: FreeSwitch) -> None:
    connector = await connected(pbx, switch, cache="none")
    grace = await connector.view(PEOPLE[0].id)
    assert (await connector.alter(grace.id, Change(name="Grace Bell"), grace)).name == "Grace Bell"
    assert "Flush Cache" in " ".join((await connector.plan_removal(grace.id)).remains)
    assert not [line for line in switch.heard if "clear_cache" in line]
    await connector.close()


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("uuid_kill 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "-ERR No such channel!\n"),
        ("sofia profile nobody rescan", "Invalid Profile [nobody]"),
        ("sofia profile internal register nobody", "Invalid gateway!\n"),
        ("sofia profile internal restart",
         "Profile internal must be up for at least 10 seconds to stop/restart.\nPlease wait 8 seconds\n"),
        ("reloadxml", "+OK [[error near line 35]: unexpected closing tag </document>]\n"),
        ("sofia profile internal rescan", "Reload XML [[error near line 35]: unexpected closing tag </document>]\n"),
    ],
)  # fmt: skip
async def test_what_freeswitch_does_not_do_is_told(pbx: Pbx, switch: FreeSwitch, line: str, refusal: str) -> None:
    """In its words, as a live one said them."""
    connector = await connected(pbx, switch)
    switch.how, switch.refusal = "no call", refusal
    with pytest.raises(Refused, match="did not do it"):
        await said(connector, line)
    for done in ("+OK\n", "Reload XML [Success]\n+OK scan complete\n", "+OK [Success]\n", "-ERR no reply\n"):
        switch.refusal = done
        assert await said(connector, line) == done.encode()
    await connector.close()


async def test_a_provider_s_password_is_withheld(pbx: Pbx, switch: FreeSwitch) -> None:
    switch.gateway = "CANARY-gateway"  # which no FreeSWITCH tells
    connector = await connected(pbx, switch)
    told = await said(connector, "sofia status gateway provider")
    assert b"CANARY" not in told
    assert b"Password\t(withheld)\n" in told
    assert b"Username\tacme\n" in told
    switch.how = "hostile"
    assert b"CANARY-gw" not in await said(connector, "sofia status gateway provider")
    await connector.close()


async def test_an_answer_that_is_cut_is_told_as_what_it_is(pbx: Pbx, switch: FreeSwitch) -> None:
    switch.registered = [str(number) for number in range(5000)]
    connector = await connected(pbx, switch)
    switch.how = "cut"
    with pytest.raises(ProtocolViolation, match="stopped answering"):
        await said(connector, "sofia status profile internal reg")
    with pytest.raises(OutcomeUnknown, match="whether it was done"):
        await said(connector, "reloadxml")
    switch.how = ""
    assert b"FreeSWITCH Version" in await said(connector, "version"), "each line comes in anew"
    await connector.close()


@pytest.mark.parametrize("how", ["rude", "garbage"])
async def test_an_enemy_hears_nothing(pbx: Pbx, switch: FreeSwitch, how: str) -> None:
    connector = await connected(pbx, switch)
    switch.heard.clear()
    switch.how = how
    with pytest.raises((CredentialRefused, ProtocolViolation)):
        await said(connector, "reloadxml")
    assert switch.heard == []
    assert (await prompt_line(connector))[0] is False
    await connector.close()


async def test_whoever_stops_listening_hangs_up(pbx: Pbx, switch: FreeSwitch) -> None:
    switch.registered = [str(number) for number in range(200_000)]
    connector = await connected(pbx, switch)
    line = "sofia status profile internal reg"
    async with aclosing(connector.diag(parse(line, FREESWITCH))) as output:
        assert b"Registrations" in await anext(aiter(output))
    async with asyncio.timeout(20):
        assert await switch.gone.get() == f"api {line}"
    assert (await said(connector, "version")).startswith(b"FreeSWITCH")
    await connector.close()
