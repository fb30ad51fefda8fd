"""The five operations and diagnostics, over real SSH and SIP."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from connectors.console import ASTERISK, parse
from connectors.contract import OUTSIDE, Change, Connector, Operation, Secrecy, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused
from connectors.lab.connector import LabConnector
from connectors.lab.server import Lab, start
from connectors.lab.sip import register
from connectors.registry import families, rows


async def output(connector: LabConnector, line: str) -> bytes:
    return b"".join([piece async for piece in connector.diag(parse(line, ASTERISK))])


async def ring(lab: Lab, user: str, secret: str, expires: int = 60) -> int:
    return await asyncio.to_thread(register, "127.0.0.1", lab.sip_port, user, secret, expires)


# --- seeing ---


async def test_check_says_what_the_credential_reaches(connector: LabConnector) -> None:
    lines = await connector.check()
    assert all(line.ok for line in lines)
    assert "could print passwords" in " ".join(line.words for line in lines)


async def test_everyone_comes_once_in_a_stable_order(connector: LabConnector) -> None:
    seen, cursor = [], None
    while True:
        page = await connector.people(cursor, 7)
        seen += page.people
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == len({person.id for person in seen}) == 40
    assert [person.id for person in seen] == sorted(person.id for person in seen)


async def test_find_takes_any_script_and_every_word(connector: LabConnector) -> None:
    assert [p.extension for p in (await connector.find("john smith", 20)).people] == ["2013", "2014"]
    assert [p.id for p in (await connector.find("ALICE", 20)).people] == ["alice.wong"]
    assert (await connector.find("כהן", 20)).people[0].name == "דוד כהן"
    assert (await connector.find("zoë 2024", 20)).people[0].extension == "2024"
    assert (await connector.find("nobody-of-that-name", 20)).people == ()
    assert len((await connector.find("20", 3)).people) == 3


async def test_nobody_is_not_found(connector: LabConnector) -> None:
    for ask in (connector.view, connector.devices, connector.plan_removal):
        with pytest.raises(NotFound):
            await ask("9999")


@pytest.mark.parametrize("person_id", ["", "a b", "../x", "a\nb", "x" * 65, "2001\x00", "\u0662"])
async def test_an_id_of_the_wrong_shape_is_never_sent(connector: LabConnector, person_id: str) -> None:
    with pytest.raises(InvalidValue):
        await connector.view(person_id)


# --- altering ---


async def test_alter_writes_all_of_it_and_it_survives_a_restart(tmp_path: Path, dial: Any) -> None:
    async with start(tmp_path) as lab:
        connector = await dial(lab)
        before = await connector.view("alice.wong")
        after = await connector.alter(
            "alice.wong", Change(name="Alice Wóng-李", email=None, ddi="+442079460999"), before
        )
        assert (after.name, after.email, after.ddis) == ("Alice Wóng-李", None, ("+442079460999",))
    async with start(tmp_path) as again:
        assert await (await dial(again)).view("alice.wong") == after
        assert again.host_key == lab.host_key


async def test_a_conflict_in_one_field_writes_none(connector: LabConnector) -> None:
    before = await connector.view("2001")
    await connector.alter("2001", Change(email="new@customer.example"), before)
    with pytest.raises(Conflict):
        await connector.alter("2001", Change(name="Other", email="third@customer.example"), before)
    now = await connector.view("2001")
    assert (now.name, now.email) == (before.name, "new@customer.example")


@pytest.mark.parametrize(
    "change",
    [
        Change(name="Other", email="no-at-sign"),
        Change(name="Other", ddi="+44abc"),
        Change(name="a\r\nb"),
        Change(name="Other", email="a@b.c\n"),
        Change(name="\u202egnp.exe"),
    ],
)
async def test_one_bad_field_writes_none(connector: LabConnector, change: Change) -> None:
    before = await connector.view("2001")
    with pytest.raises(InvalidValue):
        await connector.alter("2001", change, before)
    assert await connector.view("2001") == before


async def test_a_number_of_somebody_else_is_not_taken_over(connector: LabConnector) -> None:
    mine, theirs = await connector.view("2001"), await connector.view("2002")
    assert theirs.ddis
    with pytest.raises(Refused):
        await connector.alter("2001", Change(name="Other", ddi=theirs.ddis[0]), mine)
    assert await connector.view("2001") == mine


async def test_several_numbers_are_said_so_and_nothing_is_written(connector: LabConnector) -> None:
    person = await connector.view("2020")
    assert person.ddis is not None
    assert len(person.ddis) == 2
    with pytest.raises(NotSupported, match="2 numbers"):
        await connector.alter("2020", Change(name="Other", ddi=None), person)
    assert await connector.view("2020") == person


async def test_a_hostile_name_can_be_put_right_and_its_owner_removed(lab: Lab, connector: LabConnector) -> None:
    for person_id in ("2001", "2002"):
        lab.store.alter(person_id, {"name": "\x1b]0;owned\x07\r\nEve"})
    person = await connector.view("2001")
    assert (await connector.alter("2001", Change(name="Eve"), person)).name == "Eve"
    await connector.remove("2002", await connector.view("2002"))
    with pytest.raises(NotFound):
        await connector.view("2002")


async def test_remove_says_what_goes_and_ends_the_telephone(lab: Lab, connector: LabConnector) -> None:
    person = await connector.view("2003")
    secret = lab.store.sip_secret("2003") or ""
    assert await ring(lab, "2003", secret) == 200
    removal = await connector.remove("2003", person)
    assert person.ddis
    assert any(person.ddis[0] in words for words in removal.removed)
    with pytest.raises(NotFound):
        await connector.view("2003")
    assert await ring(lab, "2003", secret) == 401


async def test_somebody_else_under_that_id_is_not_removed(connector: LabConnector) -> None:
    with pytest.raises(Conflict):
        await connector.remove("2004", await connector.view("2005"))
    assert (await connector.view("2004")).extension == "2004"


# --- passwords ---


async def test_a_reset_is_proven_by_register(lab: Lab, connector: LabConnector) -> None:
    old = lab.store.sip_secret("2006") or ""
    assert await ring(lab, "2006", old) == 200
    assert len(await connector.devices("2006")) == 1
    await connector.reset("2006", SecretKind.SIP, Secret("new-Secret-2006-value"))
    assert await ring(lab, "2006", old) == 401
    assert await ring(lab, "2006", "new-Secret-2006-value", 0) == 200


async def test_a_reset_pin_must_be_changed(lab: Lab, connector: LabConnector) -> None:
    assert (await connector.secret_rules("2001", SecretKind.VOICEMAIL)).must_change
    await connector.reset("2001", SecretKind.VOICEMAIL, Secret("918273"))
    assert next(p for p in lab.store.everyone() if p["id"] == "2001")["must_change"] is True
    with pytest.raises(NotFound):
        await connector.reset("9999", SecretKind.VOICEMAIL, Secret("918273"))


HOSTILE = [
    {"do": "view", "id": "2001", "fields": ["pin", "sip", "portal"]},
    {"do": "page", "cursor": None, "limit": 10**9, "fields": "*"},
    {"do": "find", "words": "CANARY", "limit": 100},
    {"do": "find", "words": "", "limit": 100},
    {"do": "dump"},
    {"do": "reset", "id": "2001", "kind": "sip"},
    {"do": "reset", "id": "2001", "kind": "__class__", "secret": "x"},
    {"do": "alter", "id": "2001", "expected": {"sip": "x"}, "values": {"name": "x"}},
    {"do": "alter", "id": "2001", "expected": {}, "values": {"sip": "known", "pin": "1"}},
    {"do": "remove", "id": "2001", "expected": {"pin": "x"}},
    {"do": "devices", "id": "2001"},
    [], 7, None, "view", {"do": ["view"]}, {"do": "page"}, {"do": "page", "limit": "x"}, {"id": {"a": 1}, "do": "view"},
]  # fmt: skip


async def test_the_helper_returns_no_secret_whatever_it_is_asked(lab: Lab, tmp_path: Path) -> None:
    """With the system's own ssh, as somebody who stole our key would."""
    key = tmp_path / "key"
    key.write_text(lab.client_key)
    key.chmod(0o600)
    canaries = lab.store.canaries()
    asked = "".join(json.dumps(request) + "\n" for request in HOSTILE) + "not json\n" + "[" * 100_000 + "\n"
    command = [
        "ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
        "-o", f"UserKnownHostsFile={tmp_path / 'known'}", "-p", str(lab.ssh_port), "frameroom@127.0.0.1", "lab-helper",
    ]  # fmt: skip
    done = await asyncio.to_thread(
        subprocess.run, command, input=asked.encode(), capture_output=True, timeout=30, check=False
    )
    assert len(done.stdout.splitlines()) == len(HOSTILE) + 2
    for canary in canaries:
        for form in (canary, base64.b64encode(canary.encode()).decode(), canary.encode().hex()):
            assert form.encode() not in done.stdout + done.stderr
    assert lab.store.canaries() == canaries, "and nothing was written"


async def test_no_canary_comes_through_anything_that_the_connector_can_ask(lab: Lab, connector: LabConnector) -> None:
    seen = repr([await connector.people(None, 100), await connector.find("", 100), await connector.check()])
    for entry in ASTERISK:
        seen += (await output(connector, entry.sample().replace("alice.wong", "2001"))).decode()
    for kind in SecretKind:
        seen += repr(await connector.secret_rules("2001", kind))
    assert "Grace Okonkwo" in seen
    assert [canary for canary in lab.store.canaries() if canary in seen] == []


# --- diagnostics ---


async def test_five_thousand_people_page_and_stream(tmp_path: Path, dial: Any) -> None:
    async with start(tmp_path, people=5000) as lab:
        connector = await dial(lab)
        count, cursor = 0, None
        while True:
            page = await connector.people(cursor, 200)
            assert len(page.people) <= 200
            count, cursor = count + len(page.people), page.cursor
            if cursor is None:
                break
        assert count == 5000
        listing = await output(connector, "pjsip show endpoints")
        assert listing.count(b" Endpoint:  ") == 5001
        assert b"Objects found: 5000" in listing


async def test_leaving_a_listing_early_leaves_the_connection_usable(tmp_path: Path, dial: Any) -> None:
    async with start(tmp_path, people=5000) as lab:
        connector = await dial(lab)
        listing = connector.diag(parse("pjsip show endpoints", ASTERISK))
        assert await anext(listing)
        await listing.aclose()
        assert (await connector.view("2001")).id == "2001"


async def test_the_prompt_lays_out_as_asterisk_does(connector: LabConnector) -> None:
    """Lines of a captured Asterisk 22.10.1, with a lab's number in place of its own."""
    listing = (await output(connector, "pjsip show endpoint 2001")).decode()
    for line in (
        " Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>",
        " Endpoint:  2001/2001                                            Unavailable   0 of inf",
        "     InAuth:  2001/2001",
        "        Aor:  2001                                               2",
        "  Transport:  transport-udp             udp      0      0  127.0.0.1:5060",
        " ParameterName                      : ParameterValue",
        ' callerid                           : "Grace Okonkwo" <2001>',
    ):
        assert line in listing.splitlines()
    aors = (await output(connector, "pjsip show aors")).decode().splitlines()
    assert "      Aor:  2001                                                 2" in aors
    boxes = (await output(connector, "voicemail show users")).decode().splitlines()
    assert boxes[1] == "default    2001  Grace Okonkwo                             0"


@pytest.mark.parametrize(
    "line", ["pjsip show auth 2001", "pjsip export config_wizard primitives", "dialplan show", "database show"]
)
async def test_the_prompt_would_tell_secrets_so_it_is_the_grammar_that_stops_it(lab: Lab, line: str) -> None:
    connection = await asyncssh.connect(
        "127.0.0.1", lab.ssh_port, username="frameroom", known_hosts=None, config=None, agent_path=None,
        client_keys=[asyncssh.import_private_key(lab.client_key)],
    )  # fmt: skip
    told = str((await connection.run(f"rx {line}")).stdout)
    connection.abort()
    assert any(canary in told for canary in lab.store.canaries())
    with pytest.raises(InvalidValue):
        parse(line, ASTERISK)


def test_the_registry_offers_the_lab_honestly() -> None:
    can = families()["lab"].capabilities()
    assert can.operations == frozenset(Operation) - OUTSIDE
    assert set(can.secrecy.values()) == {Secrecy.SELECTED}
    assert "could print passwords" in can.secrecy_why
    assert "lab" in {row["connector"] for row in rows()}


async def test_it_is_a_connector(connector: LabConnector) -> None:
    assert isinstance(connector, Connector)
