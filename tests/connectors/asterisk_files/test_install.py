"""`system install-helper`, on a machine of its own: real accounts, real sudo, a real sshd with its usual strictness."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors.asterisk_files.connector import AsteriskFilesConnector, AsteriskFilesFamily
from connectors.asterisk_files.install import Wanted, script
from connectors.contract import Change, Credential
from connectors.errors import InvalidValue
from connectors.transport.helper import LOGIN
from gateway.cli.main import main
from tests.support.deployment import deployment, logged
from tests.support.flat_pbx import Door, FlatPbx, door
from tests.support.need import need_tool

KEY = "ssh-ed25519 " + "A" * 68
# Its own /etc, /home and /usr/local, and Asterisk's files under an owner of their own; the rest is the machine's.
_MACHINE = """set -e
cp -a /etc {here}/etc
mkdir -p {here}/home {here}/local/lib {here}/local/sbin
mv {here}/asterisk {here}/local/sbin/asterisk
mount --bind {here}/etc /etc; mount --bind {here}/home /home; mount --bind {here}/local /usr/local
rm -f /etc/frameroom-helper.json /etc/sudoers.d/frameroom-helper
id asterisk >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin asterisk
rm -rf /etc/asterisk; cp -a {here}/captured /etc/asterisk
chown -R asterisk:asterisk /etc/asterisk; chmod 750 /etc/asterisk; chmod 640 /etc/asterisk/*
mkdir -p /run/sshd
chown root:root {here}/ssh/authorized; cp {here}/ssh/authorized /etc/admin-keys-root
exec "$@"
"""


@dataclass
class Machine:
    """`front`: its sshd; the key of `front` is its administrator's."""

    folder: Path
    front: Door

    @property
    def etc(self) -> Path:
        """Its /etc."""
        return self.folder / "etc"

    def install(self, *more: str) -> tuple[int, str, str]:
        """The command line's exit code, output and complaints."""
        done = CliRunner().invoke(
            main,
            ["-c", deployment(self.folder), "system", "install-helper", "--host", "127.0.0.1",
             "--port", str(self.front.port), "--pin", self.front.pin,
             "--admin-key-file", str(self.front.key_file), "--key-file", str(self.folder / "new.key"),
             "--context", "internal", "--inbound-context", "from-trunk", *more],
        )  # fmt: skip
        return done.exit_code, done.stdout, done.stderr


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Running until the end of the block."""
    for tool, package in (("unshare", "util-linux"), ("sudo", "sudo"), ("useradd", "passwd"), ("visudo", "sudo")):
        need_tool(tool, package)
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root with mount namespaces can make a machine of its own here")
    FlatPbx(folder).make()
    shutil.move(folder / "etc", folder / "captured")
    (folder / "machine.sh").write_text(_MACHINE.format(here=folder))
    inside = ["unshare", "-m", "--propagation", "private", "sh", str(folder / "machine.sh")]
    with door(folder / "ssh", "", inside=inside) as front:
        yield Machine(folder, front)


async def connected(machine: Machine) -> AsteriskFilesConnector:
    front = machine.front

    async def unseal() -> Credential:
        return Credential(LOGIN, private_key=(machine.folder / "new.key").read_text())

    return await AsteriskFilesFamily().connect(front.target(login=LOGIN), unseal)


async def test_it_makes_a_machine_ready_and_can_be_run_again(tmp_path: Path) -> None:
    with machine(tmp_path) as made:
        code, told, complaint = await asyncio.to_thread(made.install, "--json")
        assert code == 0, told + complaint
        did = json.loads(told)
        assert did["did"][-1].startswith("the helper answers, as asterisk, under /usr/bin/python3")
        assert "--connector asterisk-files" in did["next"]
        assert (tmp_path / "new.key").stat().st_mode & 0o777 == 0o600

        connector = await connected(made)
        lines = await connector.check()
        assert [line for line in lines if not line.ok] == []
        person = await connector.view("1001")
        await connector.alter("1001", Change(name="Grace Bell"), person)
        await connector.close()
        changed = made.etc / "asterisk" / "pjsip.conf"
        assert '"Grace Bell" <1001>' in changed.read_text()
        other = (made.etc / "asterisk" / "rtp.conf").stat()
        assert (changed.stat().st_uid, changed.stat().st_mode) == (other.st_uid, other.st_mode)

        # Our account owns nothing that it stands on, and cannot read the files without the helper.
        home = next((tmp_path / "home").iterdir())
        for path in (home, home / ".ssh", home / ".ssh" / "authorized_keys", made.etc / "frameroom-helper.json"):
            assert (path.stat().st_uid, path.stat().st_mode & 0o022) == (0, 0)

        code, again, complaint = await asyncio.to_thread(made.install)
        assert code == 0, complaint
        assert "written" not in again
        assert "as it was" in again
        assert "kept: /etc/frameroom-helper.json" in again
        # What goes to a machine stands in the log before it goes, and what came of it after; no customer has it yet.
        sent = await asyncio.to_thread(logged, tmp_path, "helper.sent")
        ran = await asyncio.to_thread(logged, tmp_path, "helper.ran")
        assert ["root" in row["told"] for row in sent] == [True, True]
        assert ["done" in row["told"] for row in ran] == [True, True]
        assert "PRIVATE" not in str(sent + ran)


def test_what_goes_wrong_over_there_is_said_in_words(tmp_path: Path) -> None:
    with machine(tmp_path) as made:
        code, told, complaint = made.install("--etc", "/etc/nowhere")
        assert code == 1
        assert "there is no /etc/nowhere/pjsip.conf" in complaint
        assert "Traceback" not in told + complaint
        assert not (made.etc / "frameroom-helper.json").exists()
        made.front.pin = KEY
        code, _, complaint = made.install()
        assert code != 0
        (ran,) = logged(tmp_path, "helper.ran")
        assert "outcome=Refused" in ran["told"]


def test_the_script_is_shown_without_doing_anything(tmp_path: Path) -> None:
    key = tmp_path / "k"
    arguments = ["system", "install-helper", "--key-file", str(key), "--context", "internal", "--from", "192.0.2.9"]
    done = CliRunner().invoke(main, [*arguments, "--print"])
    assert done.exit_code == 0
    assert 'from="192.0.2.9",command="$PYTHON -I /usr/local/lib/frameroom/frameroom-helper",restrict' in done.stdout
    assert "PRIVATE" not in done.stdout
    assert subprocess.run(["sh", "-n"], input=done.stdout, text=True, check=False).returncode == 0
    assert json.loads(CliRunner().invoke(main, [*arguments, "--print", "--json"]).stdout)["script"] == done.stdout
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "--print" in done.stderr
    key.write_text("no key")
    done = CliRunner().invoke(main, [*arguments, "--print"])
    assert done.exit_code == 2
    assert "no private key" in done.stderr


@pytest.mark.parametrize(
    "said",
    [{"etc": "/etc/x; id"}, {"etc": "/etc/../x"}, {"contexts": ("a b",)}, {"contexts": ("$(id)",)},
     {"inbound_context": "`id`"}, {"origin": 'x" command="id'}, {"country_code": "44\nid"},
     {"public_key": KEY + "\nid"}],
)  # fmt: skip
def test_nothing_that_a_shell_would_take_gets_into_it(said: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        script(Wanted(**({"public_key": KEY} | said)))  # type: ignore[arg-type]
