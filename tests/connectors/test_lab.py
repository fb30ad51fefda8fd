"""The lab over real SSH and SIP: the five operations, and what happens when it misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from connectors import errors
from connectors.base import NoSettings
from connectors.contract import Change, Connector, Credential, DiagCommand, Secret, SecretKind, Target
from connectors.lab import server, sip
from connectors.lab.connector import GUARD, LabFamily


class Rig:
    def __init__(self, lab: server.Lab) -> None:
        self.lab = lab
        self.target = Target("sys_1", "127.0.0.1", lab.ssh_port, lab.host_key, NoSettings(), 3000, 1500)
        self.unsealed = 0

    async def unseal(self) -> Credential:
        self.unsealed += 1
        return Credential("frameroom", private_key=self.lab.client_key)

    async def connect(self) -> Connector:
        return await LabFamily().connect(self.target, self.unseal)

    def register(self, person: str, secret: str, expires: int = 60) -> int:
        return sip.register("127.0.0.1", self.lab.sip_port, person, secret, expires)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with server.start(tmp_path / "lab") as lab:
        yield Rig(lab)


async def test_everyone_page_by_page(rig: Rig) -> None:
    connector = await rig.connect()
    for size in (1, 7, 39, 40, 41):
        cursor, seen = None, []
        while True:
            page = await connector.people(cursor, size)
            seen += [p.id for p in page.people]
            cursor = page.cursor
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 40
    await connector.close()


async def test_alter_conflict_and_hostile_values(rig: Rig) -> None:
    connector = await rig.connect()
    before = await connector.view("2001")
    after = await connector.alter("2001", Change(name="Gráinne ‏حداد", email=None, ddi="+442079460999"), before)
    assert (after.name, after.email, after.ddis) == ("Gráinne ‏حداد", None, ("+442079460999",))
    with pytest.raises(errors.Conflict):
        await connector.alter("2001", Change(name="X"), before)
    for bad in ("a\nb", "a\x1b[2Jb", "x" * 81, "\ud800"):
        with pytest.raises(errors.InvalidValue):
            await connector.alter("2001", Change(name=bad), after)
    with pytest.raises(errors.NotSupported, match="2 numbers"):
        await connector.alter("2020", Change(ddi=None), await connector.view("2020"))
    await connector.close()


async def test_a_reset_is_proven_by_register_and_survives_a_restart(rig: Rig, tmp_path: Path) -> None:
    connector = await rig.connect()
    old = rig.lab.store.sip_secret("alice.wong") or ""
    assert await asyncio.to_thread(rig.register, "alice.wong", old) == 200
    assert len(await connector.devices("alice.wong")) == 1
    await connector.reset("alice.wong", SecretKind.SIP, Secret("a-new-secret"))
    assert await asyncio.to_thread(rig.register, "alice.wong", old) == 401
    assert await asyncio.to_thread(rig.register, "alice.wong", "a-new-secret") == 200
    await connector.close()
    async with server.start(tmp_path / "lab") as again:
        assert again.store.sip_secret("alice.wong") == "a-new-secret"


async def test_a_wrong_host_key_stops_before_the_credential(rig: Rig) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    rig.target = replace(rig.target, pin=other)
    with pytest.raises(errors.IdentityMismatch):
        await rig.connect()
    assert rig.unsealed == 0


async def test_a_refused_credential_and_a_closed_port(rig: Rig) -> None:
    rig.lab.client_key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(errors.CredentialRefused):
        await rig.connect()
    rig.target = replace(rig.target, port=1)
    with pytest.raises(errors.Unreachable):
        await rig.connect()


@pytest.mark.parametrize("fault", ["close-after-write", "close-mid-answer", "silent"])
async def test_a_write_whose_answer_is_lost_is_unknown(rig: Rig, fault: str) -> None:
    connector = await rig.connect()
    before = await connector.view("2001")
    rig.lab.faults.add(fault)
    with pytest.raises(errors.OutcomeUnknown):
        await connector.alter("2001", Change(name="Y"), before)
    rig.lab.faults.clear()
    with pytest.raises(errors.Unreachable):
        await connector.view("2001")


async def test_reads_of_a_lost_connection_are_unreachable(rig: Rig) -> None:
    connector = await rig.connect()
    rig.lab.faults.add("close-mid-answer")
    with pytest.raises(errors.Unreachable):
        await connector.view("2001")


async def test_no_answer_error_or_repr_holds_a_canary(rig: Rig) -> None:
    connector = await rig.connect()
    seen = repr(await connector.people(None, 500)) + repr(await connector.view("2001"))
    try:
        await connector.reset("9999", SecretKind.SIP, Secret("CANARY-new"))
    except errors.NotFound as error:
        seen += repr(error) + repr(error.__cause__)
    seen += repr(Secret("CANARY-new")) + repr(GUARD.render("reset", id="2001", kind="sip", secret="CANARY-new"))
    assert "CANARY" not in seen
    assert not any(secret in seen for secret in rig.lab.store.canaries())
    await connector.close()


async def test_a_command_off_the_grammar_is_stopped_below_the_caller_too(rig: Rig) -> None:
    connector = await rig.connect()
    with pytest.raises(errors.InvalidValue):
        [data async for data in connector.diag(DiagCommand(("pjsip", "show", "auth", "2001"), "x"))]
    await connector.close()


async def test_the_lab_s_prompt_itself_would_tell_secrets(rig: Rig) -> None:
    key = asyncssh.import_private_key(rig.lab.client_key)
    async with asyncssh.connect(
        "127.0.0.1", rig.lab.ssh_port, username="frameroom", client_keys=[key], known_hosts=None, config=None
    ) as straight:
        told = await straight.run("rx pjsip show auth 2001")
    assert "CANARY" in str(told.stdout)
