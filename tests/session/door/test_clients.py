"""Real clients, as processes of their own, sign in with both factors and are served."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh
import pytest

from tests.session.door.world import LOGIN, World, run
from tests.support.need import need_tool

TARGET = f"{LOGIN}@127.0.0.1"

_PARAMIKO = """
import sys, paramiko
port, login, key, code = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
transport = paramiko.Transport(("127.0.0.1", port))
transport.start_client(timeout=20)
left = transport.auth_publickey(login, paramiko.Ed25519Key.from_private_key_file(key))
assert left == ["keyboard-interactive"], left
transport.auth_interactive(login, lambda title, words, prompts: [code for _ in prompts])
channel = transport.open_session()
channel.exec_command("whoami")
print(channel.makefile().read().decode(), end="")
sys.exit(channel.recv_exit_status())
"""


async def test_openssh_signs_in_with_a_key_and_a_one_time_code(here: World) -> None:
    need_tool("ssh", "openssh-client")
    done = await run(here.ssh(TARGET, "whoami"), here.askpass(here.totp()))
    assert done.out.startswith(f"{LOGIN} totp 127.0.0.1 SHA256:"), done
    assert done.code == 0
    (event,) = await here.events("auth.succeeded")
    assert event["data"]["factor"] == "totp"


async def test_openssh_signs_in_with_a_backup_code_once(here: World) -> None:
    need_tool("ssh", "openssh-client")
    first = await run(here.ssh(TARGET, "whoami"), here.askpass(here.codes[0]))
    again = await run(here.ssh(TARGET, "whoami"), here.askpass(here.codes[0]))
    assert (first.code, again.code) == (0, 255)
    assert "backup-code" in first.out


async def test_openssh_gets_the_exit_code_of_its_command(here: World) -> None:
    need_tool("ssh", "openssh-client")
    done = await run(here.ssh(TARGET, "code 5"), here.askpass(here.totp()))
    assert done.code == 5


async def test_a_crash_behind_the_door_shows_an_incident_code_and_nothing_else(here: World) -> None:
    need_tool("ssh", "openssh-client")
    done = await run(here.ssh(TARGET, "boom"), here.askpass(here.totp()))
    assert done.code == 1
    assert "inc_" in done.err
    assert "canary" not in done.out + done.err


async def test_controlmaster_carries_several_visits_under_one_sign_in(here: World, tmp_path: Path) -> None:
    need_tool("ssh", "openssh-client")
    control = ["-o", f"ControlPath={tmp_path}/c", "-o", "ControlMaster=auto", "-o", "ControlPersist=30"]
    first = await run(here.ssh(*control, TARGET, "whoami"), here.askpass(here.totp()))
    second = await run(here.ssh(*control, TARGET, "code 3"))
    closed = await run(here.ssh(*control, "-O", "exit", TARGET))
    assert (first.code, second.code, closed.code) == (0, 3, 0), (first, second, closed)
    assert len({visit.connection_id for visit in here.handler.visits}) == 1
    async with asyncio.timeout(5):
        assert await here.handler.left.get() == here.handler.visits[0].connection_id


async def test_openssh_signs_in_with_a_user_certificate(tmp_path: Path, template: Path) -> None:
    need_tool("ssh", "openssh-client")
    from gateway.session.ssh_server import DoorSettings
    from tests.session.door.world import world

    authority = asyncssh.generate_private_key("ssh-ed25519")
    settings = DoorSettings(user_ca_keys=(authority.export_public_key().decode(),))
    async with world(tmp_path, settings, template=template) as here:
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = authority.generate_user_certificate(key, "kim at the depot", serial=7, principals=[LOGIN])
        here.key("id").write_bytes(key.export_private_key("openssh"))
        here.key("id-cert.pub").write_bytes(certificate.export_certificate())
        done = await run(here.ssh(TARGET, "whoami"), here.askpass(here.totp()))
    assert done.code == 0, done
    assert "certificate 'kim at the depot' serial 7 of SHA256:" in done.out


async def test_plink_signs_in(here: World) -> None:
    plink, puttygen = need_tool("plink", "putty-tools"), need_tool("puttygen", "putty-tools")
    ppk = here.folder / "id.ppk"
    assert (await run([puttygen, str(here.key()), "-O", "private", "-o", str(ppk)])).code == 0
    fingerprint = here.host_key.get_fingerprint()
    command = [
        plink, "-ssh", "-P", str(here.port), "-i", str(ppk), "-hostkey", fingerprint, "-no-antispoof", TARGET, "whoami",
    ]  # fmt: skip
    done = await run(command, stdin=here.totp().encode() + b"\n\n")
    assert done.out.endswith(f"{here.handler.visits[0].fingerprint}\n"), done
    assert done.code == 0


async def test_dbclient_signs_in_though_it_guesses_its_first_key_exchange(here: World) -> None:
    dbclient = need_tool("dbclient", "dropbear-bin")
    convert = need_tool("dropbearconvert", "dropbear-bin")
    key = here.folder / "id.dropbear"
    assert (await run([convert, "openssh", "dropbear", str(here.key()), str(key)])).code == 0
    command = [dbclient, "-y", "-y", "-p", str(here.port), "-i", str(key), TARGET, "whoami"]
    done = await run(command, {"DROPBEAR_PASSWORD": here.totp(), "HOME": str(here.folder)})
    assert "totp" in done.out, done
    assert done.code == 0


async def test_paramiko_signs_in_though_it_asks_for_the_service_twice(here: World) -> None:
    command = [sys.executable, "-c", _PARAMIKO, str(here.port), LOGIN, str(here.key()), here.totp()]
    done = await run(command)
    assert "totp" in done.out, done
    assert done.code == 0


async def test_ssh_audit_finds_no_fail(here: World) -> None:
    audit = Path(sys.executable).with_name("ssh-audit")
    if not audit.exists():
        pytest.fail("ssh-audit belongs to the test requirements")
    done = await run([str(audit), "-n", "--skip-rate-test", "-p", str(here.port), "127.0.0.1"])
    assert "[fail]" not in done.out, done.out
    assert "kex-strict-s-v00@openssh.com" in done.out
