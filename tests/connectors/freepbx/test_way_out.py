"""Our key against a real OpenSSH server: it reaches the helper, and nothing but the helper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from connectors.contract import Change, Target
from connectors.errors import IdentityMismatch, InvalidValue, NotFound, NotSupported, OutcomeUnknown, SecretReadable
from connectors.freepbx.connector import HELPER, FreePbxConnector, FreePbxFamily
from connectors.freepbx.install import bound
from connectors.freepbx.settings import FreePbxSettings
from tests.support.flat_pbx import USER, Door, door
from tests.support.freepbx.pbx import FreePbx
from tests.support.need import need_tool

HOST = f"{USER}@127.0.0.1"


def options(pbx: FreePbx, helper: Path = HELPER) -> str:
    """The options of the key as the installer writes them, for this system."""
    started = " ".join(pbx.command()).replace(str(HELPER), str(helper))
    return f'command="{bound(started)}",restrict'


@pytest.fixture
def front(pbx: FreePbx) -> Iterator[Door]:
    """sshd before it."""
    need_tool("ssh", "openssh-client")
    with door(pbx.folder / "ssh", options(pbx)) as running:
        yield running


def target(front: Door, **settings: object) -> Target:
    made = FreePbxSettings.model_validate({"login": USER} | settings)
    return Target("sys_1", "127.0.0.1", front.port, front.pin, made, 10_000, 20_000)


async def connected(front: Door) -> FreePbxConnector:
    return await FreePbxFamily().connect(target(front), front.unseal)


@pytest.mark.parametrize(
    "words",
    [(), ("sh",), ("id",), ("env",), ("cat", "/etc/passwd"), ("frameroom-helper; id",), ("frameroom-helper\nid",),
     ("frameroom-helper", "--work"), ("$(id)",), ('" = x ] || id; [ "',), ("internal-sftp",)],
    ids=repr,
)  # fmt: skip
def test_whatever_else_is_asked_for_is_not_done(front: Door, words: tuple[str, ...]) -> None:
    done = front.ssh("-T", HOST, *words, given=b"id\n")
    assert done.returncode == 3
    assert json.loads(done.stdout) == {"error": "bound", "reason": "forced-command"}
    assert b"uid=" not in done.stdout + done.stderr


def test_no_terminal_no_environment_no_way_on(front: Door) -> None:
    done = front.ssh("-tt", HOST, "frameroom-helper", given=b"")
    assert b"PTY allocation request failed" in done.stderr
    ini = "PHPRC=/dev/stdin PHP_INI_SCAN_DIR=/tmp BASH_ENV=/dev/stdin ENV=/dev/stdin"
    more = f"SetEnv={ini} SSH_ORIGINAL_COMMAND=frameroom-helper"
    done = front.ssh("-T", "-o", more, HOST, "sh", given=b"echo escaped\n")
    assert done.returncode == 3
    assert b"escaped" not in done.stdout
    done = front.ssh("-T", "-W", "127.0.0.1:22", HOST)
    assert b"administratively prohibited" in done.stderr


async def test_people_are_looked_at_and_changed_through_it(pbx: FreePbx, front: Door) -> None:
    connector = await connected(front)
    lines = {line.what: line for line in await connector.check()}
    assert [what for what, line in lines.items() if not line.ok] == []
    assert "ships with this Frameroom" in lines["helper"].words
    before = await connector.view("20001")
    after = await connector.alter("20001", Change(name="Grace Bell", ddi="+442079460999"), before)
    assert after == replace(before, name="Grace Bell", ddis=("+442079460999",))
    plan = await connector.plan_removal("20001")
    assert "the inbound routes +442079460999" in plan.removed
    assert await connector.remove("20001", after) == plan
    assert [one.id for one in (await connector.people(None, 50)).people] == ["0100", "20002", "20003"]
    await connector.close()


async def test_a_change_that_could_not_be_applied_says_so_and_what_to_do(pbx: FreePbx, front: Door) -> None:
    (pbx.standin / "refuse-reload").touch()
    connector = await connected(front)
    before = await connector.view("20001")
    with pytest.raises(OutcomeUnknown, match="could not apply it") as caught:
        await connector.alter("20001", Change(name="Grace Bell"), before)
    assert "waits to be applied" in caught.value.next_step
    assert "CANARY" not in str(caught.value)
    await connector.close()


async def test_a_key_that_reaches_a_shell_or_may_forward_is_refused(pbx: FreePbx) -> None:
    with door(pbx.folder / "free", "") as free, pytest.raises(SecretReadable, match="runs commands"):
        await connected(free)
    unrestricted = options(pbx).replace(",restrict", "")
    with door(pbx.folder / "half", unrestricted) as half, pytest.raises(SecretReadable, match="open connections"):
        await connected(half)


async def test_another_host_key_ends_it_before_the_key_is_unsealed(front: Door) -> None:
    front.pin = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(IdentityMismatch):
        await connected(front)
    assert front.unsealed == []


async def test_an_older_helper_is_not_worked_with_and_a_changed_one_is_told_of(pbx: FreePbx) -> None:
    source = HELPER.read_text(encoding="utf-8")
    for name, new in (("older", "VERSION = 0;"), ("changed", "VERSION = 1 ;")):
        (pbx.folder / name).write_text(source.replace("VERSION = 1;", new), encoding="utf-8")
        with door(pbx.folder / f"ssh-{name}", options(pbx, pbx.folder / name)) as running:
            if name == "older":
                with pytest.raises(NotSupported, match="older"):
                    await connected(running)
            else:
                connector = await connected(running)
                lines = {line.what: line for line in await connector.check()}
                assert "install it again" in lines["helper"].words
                await connector.close()


async def test_a_helper_that_cannot_read_its_configuration_says_so(pbx: FreePbx, front: Door) -> None:
    pbx.conf.chmod(0o666)
    with pytest.raises(Exception, match="may be written by others"):
        await connected(front)


async def test_settings_of_another_connector_are_refused(front: Door) -> None:
    wrong = front.target()
    with pytest.raises(InvalidValue):
        await FreePbxFamily().connect(wrong, front.unseal)


async def test_what_is_no_extension_is_nobody_and_is_not_sent(front: Door) -> None:
    connector = await connected(front)
    for person_id in ("no-such-person", "20001 ", "20001' OR '1", "../20001", "٢٠٠٠١", ""):
        with pytest.raises(NotFound):
            await connector.view(person_id)
    await connector.close()
