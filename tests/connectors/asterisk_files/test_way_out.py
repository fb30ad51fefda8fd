"""Our key against a real OpenSSH server: it reaches the helper, and nothing but the helper."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import asyncssh
import pytest

from connectors.asterisk_files.connector import AsteriskFilesFamily
from connectors.contract import Credential
from connectors.errors import CredentialRefused, IdentityMismatch, NotSupported, ProtocolViolation, SecretReadable
from tests.support.flat_pbx import USER, Door, FlatPbx, bound, door
from tests.support.need import need_tool

HOST = f"{USER}@127.0.0.1"


@pytest.fixture(autouse=True)
def _clients() -> None:
    need_tool("ssh", "openssh-client")
    need_tool("sftp", "openssh-client")


@pytest.mark.parametrize(
    "words",
    [(), ("sh",), ("id",), ("env",), ("cat", "/etc/passwd"), ("frameroom-helper; id",), ("frameroom-helper\nid",),
     ("frameroom-helper", "--serve"), ("frameroom-helper", "--config", "/tmp/x"), ("$(id)",), ("internal-sftp",)],
    ids=repr,
)  # fmt: skip
def test_whatever_else_is_asked_for_is_not_done(front: Door, words: tuple[str, ...]) -> None:
    done = front.ssh("-T", HOST, *words, given=b"id\n")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"] == "bound"
    assert b"uid=" not in done.stdout + done.stderr


def test_no_terminal_no_agent_no_environment(front: Door) -> None:
    done = front.ssh("-tt", HOST, "frameroom-helper", given=b"")
    assert b"PTY allocation request failed" in done.stderr
    done = front.ssh(
        "-T", "-o", "SetEnv=SSH_ORIGINAL_COMMAND=frameroom-helper PYTHONSTARTUP=/dev/stdin PYTHONPATH=/tmp", HOST, "sh",
        given=b"print('escaped')\n",
    )  # fmt: skip
    assert done.returncode == 3
    assert b"escaped" not in done.stdout


def test_no_files_by_sftp_or_scp(front: Door, tmp_path: Path) -> None:
    for program in ("sftp", "scp"):
        done = front.ssh(f"{HOST}:/etc/passwd", str(tmp_path / "taken"), program=program)
        assert done.returncode != 0
        assert not (tmp_path / "taken").exists()


def test_no_way_on_into_the_network(front: Door) -> None:
    reached = threading.Event()
    with socket.socket() as inside:
        inside.bind(("127.0.0.1", 0))
        inside.listen()
        inside.settimeout(0.5)
        port = inside.getsockname()[1]
        done = front.ssh("-T", "-W", f"127.0.0.1:{port}", HOST)
        assert done.returncode != 0
        assert b"administratively prohibited" in done.stderr
        with pytest.raises(TimeoutError):
            inside.accept()
    assert not reached.is_set()
    done = front.ssh("-T", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", HOST, "frameroom-helper")
    assert done.returncode == 255
    assert b"remote port forwarding failed" in done.stderr


async def test_a_key_that_reaches_a_shell_is_refused(pbx: FlatPbx) -> None:
    with door(pbx.folder / "ssh", "") as free, pytest.raises(SecretReadable, match="runs commands"):
        await free.connect()


async def test_a_key_that_may_forward_is_refused(pbx: FlatPbx) -> None:
    options = bound(pbx).replace(",restrict", "")
    with door(pbx.folder / "ssh", options) as half, pytest.raises(SecretReadable, match="open connections"):
        await half.connect()


async def test_another_host_key_ends_it_before_the_key_is_unsealed(front: Door) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    front.pin = other
    with pytest.raises(IdentityMismatch):
        await front.connect()
    assert front.unsealed == []


async def test_a_login_that_is_not_the_settings_own_is_said(front: Door) -> None:
    async def unseal() -> Credential:
        return Credential("somebody", private_key=front.key)

    with pytest.raises(CredentialRefused, match="stored login"):
        await AsteriskFilesFamily().connect(front.target(), unseal)


async def test_something_else_behind_the_key_is_no_helper(pbx: FlatPbx) -> None:
    options = 'command="echo hello",restrict'
    with door(pbx.folder / "ssh", options) as other, pytest.raises(ProtocolViolation, match="not the helper"):
        await other.connect()


async def test_an_older_helper_is_not_worked_with_and_a_changed_one_is_told_of(pbx: FlatPbx) -> None:
    from connectors.asterisk_files.connector import HELPER

    source = HELPER.read_text(encoding="utf-8")
    for name, old, new in (("older", "VERSION = 1\n", "VERSION = 0\n"), ("changed", "VERSION = 1\n", "VERSION = 1 \n")):
        assert old in source
        (pbx.folder / name).write_text(source.replace(old, new), encoding="utf-8")
        with door(pbx.folder / f"ssh-{name}", bound(pbx).replace(str(HELPER), str(pbx.folder / name))) as running:
            if name == "older":
                with pytest.raises(NotSupported, match="older"):
                    await running.connect()
            else:
                connector = await running.connect()
                lines = {line.what: line for line in await connector.check()}
                assert not lines["helper"].ok
                assert "install it again" in lines["helper"].words
                await connector.close()


async def test_check_names_what_is_not_in_order_and_no_content(pbx: FlatPbx, front: Door) -> None:
    pbx.swap("pjsip.conf", "#include pjsip_users.conf", "#include pjsip_users.conf\n#exec /bin/true")
    pbx.configure(inbound_context="from-nowhere")
    connector = await front.connect()
    lines = [line for line in await connector.check() if not line.ok]
    told = {line.what for line in lines}
    assert {"inbound", "exec"} <= told
    # Whoever runs these tests can read the files without the helper, and that is said of each.
    assert {line.words.split()[0] for line in lines if line.what == "readable"} >= {"pjsip.conf", "voicemail.conf"}
    await connector.close()
