"""`system install-helper --connector freepbx`, on a machine of its own: real accounts, real sudo, a real sshd."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors.console import FREEPBX, parse
from connectors.contract import Change, Credential, SecretKind
from connectors.errors import InvalidValue, NotSupported
from connectors.freepbx.connector import FreePbxFamily
from connectors.freepbx.install import Wanted, script
from connectors.transport.helper import LOGIN
from gateway.cli.main import main
from tests.connectors.freepbx.test_way_out import target
from tests.support.deployment import deployment
from tests.support.flat_pbx import Door, door
from tests.support.freepbx.pbx import FreePbx
from tests.support.need import need_tool

KEY = "ssh-ed25519 " + "A" * 68
# Its own /etc, /home and /usr/local, and FreePBX's files under an owner of their own; the rest is the machine's.
_MACHINE = """set -e
cp -a /etc {here}/machine
mkdir -p {here}/home {here}/local/lib {here}/local/sbin
for one in fwconsole asterisk; do
    printf '#!/bin/sh\\nexec {here}/%s "$@"\\n' $one > {here}/local/sbin/$one; chmod 755 {here}/local/sbin/$one
done
mount --bind {here}/machine /etc; mount --bind {here}/home /home; mount --bind {here}/local /usr/local
rm -f /etc/frameroom-helper.json /etc/sudoers.d/frameroom-helper
id asterisk >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin asterisk
rm -rf /etc/asterisk; ln -s {here}/etc /etc/asterisk
chown -R asterisk:asterisk {here}/etc {here}/standin; chmod 750 {here}/etc; chmod 711 {here}
cp {here}/freepbx.conf /etc/freepbx.conf; chown asterisk:asterisk /etc/freepbx.conf; chmod 640 /etc/freepbx.conf
mkdir -p /run/sshd
chown root:root {here}/ssh/authorized; cp {here}/ssh/authorized /etc/admin-keys-root
exec "$@"
"""


def _reached(folder: Path) -> None:
    """Let another account come as far as this folder."""
    for one in (folder, *folder.parents):
        if one != one.parent and one.stat().st_uid == os.geteuid():
            one.chmod(one.stat().st_mode | 0o011)


def _install(pbx: FreePbx, front: Door, *more: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(
        main,
        ["-c", deployment(pbx.folder), "system", "install-helper", "--connector", "freepbx", "--host", "127.0.0.1",
         "--port", str(front.port),
         "--pin", front.pin, "--admin-key-file", str(front.key_file), "--key-file", str(pbx.folder / "new.key"), *more],
    )  # fmt: skip
    return done.exit_code, done.stdout, done.stderr


async def test_it_makes_a_machine_ready_and_can_be_run_again(pbx: FreePbx) -> None:
    for tool, package in (("unshare", "util-linux"), ("sudo", "sudo"), ("useradd", "passwd"), ("visudo", "sudo")):
        need_tool(tool, package)
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root with mount namespaces can make a machine of its own here")
    (pbx.folder / "machine.sh").write_text(_MACHINE.format(here=pbx.folder))
    _reached(pbx.folder)
    _reached(Path(pbx.server.socket).parent)
    inside = ["unshare", "-m", "--propagation", "private", "sh", str(pbx.folder / "machine.sh")]
    with door(pbx.folder / "ssh", "", inside=inside) as front:
        code, told, complaint = await asyncio.to_thread(
            _install, pbx, front, "--numbers", "national", "--console", "look", "--json"
        )
        assert code == 0, told + complaint
        did = json.loads(told)
        assert did["did"][-1] == "the helper answers, as asterisk, under /usr/bin/php"
        assert "--connector freepbx" in did["next"]

        async def unseal() -> Credential:
            return Credential(LOGIN, private_key=(pbx.folder / "new.key").read_text())

        connector = await FreePbxFamily().connect(target(front, login=LOGIN), unseal)
        assert [line for line in await connector.check() if not line.ok] == []
        person = await connector.view("20001")
        changed = await connector.alter("20001", Change(name="Grace Bell", ddi="+442079460999"), person)
        assert changed.name == "Grace Bell"
        assert pbx.sql("SELECT extension FROM incoming WHERE destination = 'from-did-direct,20001,1'") == [
            {"extension": "02079460999"}
        ]
        assert (await connector.secret_rules("20001", SecretKind.SIP)).stored
        typed = [data async for data in connector.diag(parse("pjsip show endpoints", FREEPBX))]
        assert b"20001/20001" in b"".join(typed)
        with pytest.raises(NotSupported, match="to look only"):
            [data async for data in connector.diag(parse("dialplan reload", FREEPBX))]
        await connector.close()
        # Our account owns nothing that it stands on.
        home = next((pbx.folder / "home").iterdir())
        helper = pbx.folder / "local" / "lib" / "frameroom" / "frameroom-helper.php"
        for path in (home, home / ".ssh", home / ".ssh" / "authorized_keys", helper):
            assert (path.stat().st_uid, path.stat().st_mode & 0o022) == (0, 0)
        code, again, complaint = await asyncio.to_thread(_install, pbx, front)
        assert code == 0, complaint
        assert "written" not in again
        assert "kept: /etc/frameroom-helper.json" in again


def test_the_script_is_shown_without_doing_anything(tmp_path: Path) -> None:
    key = tmp_path / "k"
    arguments = ["system", "install-helper", "--connector", "freepbx", "--key-file", str(key), "--print"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0
    assert subprocess.run(["sh", "-n"], input=done.stdout, text=True, check=False).returncode == 0
    assert 'exec /usr/bin/sudo -n -u $RUN_AS $PHP /usr/local/lib/frameroom/frameroom-helper.php --serve",restrict' in (
        done.stdout
    )
    assert "PRIVATE" not in done.stdout
    wrong = CliRunner().invoke(main, [*arguments, "--inbound-context", "from-trunk"])
    assert wrong.exit_code == 2
    assert "--inbound-context is for asterisk-files" in wrong.stderr


@pytest.mark.parametrize(
    "said",
    [{"numbers": "plus; id"}, {"console": "look; id"}, {"country_code": "44\nid"}, {"origin": 'x" command="id'},
     {"public_key": KEY + "\nid"}, {"origin": "$(id)"}],
)  # fmt: skip
def test_nothing_that_a_shell_would_take_gets_into_it(said: dict[str, str]) -> None:
    with pytest.raises(InvalidValue):
        script(Wanted(**({"public_key": KEY} | said)))  # type: ignore[arg-type]
