"""An Asterisk with flat files as a helper sees one: the captured files, a console, and a real sshd before them."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncssh

from connectors.asterisk_files.connector import HELPER, AsteriskFilesConnector, AsteriskFilesFamily
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.contract import Credential, Target
from tests.support.need import need_tool

CAPTURED = Path(__file__).parents[1] / "vectors" / "asterisk" / "etc"
CANARIES: dict[str, str] = json.loads((CAPTURED.parent / "canaries.json").read_text())
USER = getpass.getuser()
# Says what `asterisk -rx` says (transcripts 80 and 94), or with a file `refuse` there what cli.c says of a failure.
_CONSOLE = r"""#!/bin/sh
echo "$2" >> {folder}/asked
case "$2" in
"module reload "*) m=${{2#module reload }}
  [ -e {folder}/hang ] && cat {folder}/hang
  refused="The module '$m' reported a reload failure"
  if [ -e {folder}/refuse-once ]; then rm {folder}/refuse-once; echo "$refused"; exit 0; fi
  if [ -e {folder}/refuse ]; then echo "$refused"; exit 0; fi
  echo "Module '$m' reloaded successfully." ;;
"core show version") echo "Asterisk 22.10.1 built by pbx @ pbx on a x86_64 running Linux" ;;
"pjsip show contacts")
  echo "  Contact:  1001/sip:1001@127.0.0.1:34442                  7fb62b7eb5 NonQual         nan"
  echo "  Contact:  itsp/sip:127.0.0.1:5999                        5b4bebb4d4 NonQual         nan" ;;
"pjsip show endpoints")
  [ -p {folder}/alive ] && exec 9> {folder}/alive
  [ -e {folder}/many ] && exec cat {folder}/many
  sed -n '/^##### pjsip show endpoints$/,/^##### pjsip show endpoint /p' {said} ;;
"core show channels") cat {folder}/channels ;;
"dialplan reload") echo "Dialplan reloaded." ;;
"pjsip show auth"*|"dialplan show"*|"database show"*) grep -h CANARY {said} ;;
*) sed -n "/^##### $2\$/,/^#####/p" {said} | sed '/^#####/d' ;;
esac
"""


@dataclass
class FlatPbx:
    """The files in `etc`, the helper's configuration in `conf`."""

    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def etc(self) -> Path:
        """Asterisk's folder."""
        return self.folder / "etc"

    @property
    def conf(self) -> Path:
        """The helper's configuration."""
        return self.folder / "helper.json"

    def make(self) -> Self:
        """Write everything."""
        shutil.copytree(CAPTURED, self.etc)
        self.etc.chmod(0o750)
        for file in self.etc.iterdir():
            file.chmod(0o640)
        console = self.folder / "asterisk"
        console.write_text(_CONSOLE.format(folder=self.folder, said=CAPTURED.parent / "80-cli.txt"))
        console.chmod(0o755)
        self.configure(**self.changes)
        return self

    def configure(self, **changes: Any) -> None:
        """Write the helper's configuration."""
        usual = {
            "etc": str(self.etc), "spool": str(self.folder / "spool"), "asterisk": [str(self.folder / "asterisk")],
            "contexts": ["internal"], "inbound_context": "from-trunk",
        }  # fmt: skip
        self.conf.write_text(json.dumps(usual | changes))
        self.conf.chmod(0o644)

    def text(self, name: str = "pjsip.conf") -> str:
        """A file as it is now."""
        return (self.etc / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """A file as somebody else would leave it."""
        (self.etc / name).write_text(text, encoding="utf-8")
        (self.etc / name).chmod(0o640)

    def swap(self, name: str, old: str, new: str) -> None:
        """Replace a piece of a file that must be there."""
        assert old in self.text(name)
        self.write(name, self.text(name).replace(old, new))

    def all_text(self) -> str:
        """Every file."""
        return "\n".join(self.text(path.name) for path in sorted(self.etc.iterdir()) if path.is_file())

    def asked(self) -> list[str]:
        """What Asterisk's console was asked."""
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.exists() else []

    def command(self, python: str = sys.executable) -> list[str]:
        """The helper, started by hand."""
        return [python, "-I", str(HELPER), "--config", str(self.conf)]

    def talk(self, *requests: Any, python: str = sys.executable) -> list[dict[str, Any]]:
        """Its answers to some requests, each a line; raw bytes are sent as they are."""
        lines = [
            one if isinstance(one, bytes) else json.dumps({"n": at} | one).encode() + b"\n"
            for at, one in enumerate(requests, 1)
        ]
        done = subprocess.run(self.command(python), input=b"".join(lines), capture_output=True, check=False)
        assert done.stderr == b"", "nothing is ever said but answers"
        return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass
class Door:
    """A running sshd that lets one key in."""

    port: int
    pin: str
    key: str
    key_file: Path
    known_hosts: Path
    unsealed: list[str] = field(default_factory=list)

    def target(self, **settings: Any) -> Target:
        """As a connector gets it."""
        made = AsteriskFilesSettings.model_validate({"login": USER} | settings)
        return Target("sys_1", "127.0.0.1", self.port, self.pin, made, 10_000, 20_000)

    async def unseal(self) -> Credential:
        """Noted, so that a test sees whether it came to that."""
        self.unsealed.append("unsealed")
        return Credential(USER, private_key=self.key)

    async def connect(self) -> AsteriskFilesConnector:
        """An open connection."""
        return await AsteriskFilesFamily().connect(self.target(), self.unseal)

    def ssh(self, *words: str, program: str = "ssh", given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """A real client with our key."""
        common = ["-F", "none", "-i", str(self.key_file), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                  "-o", f"UserKnownHostsFile={self.known_hosts}"]  # fmt: skip
        port = ["-P" if program in ("sftp", "scp") else "-p", str(self.port)]
        return subprocess.run([program, *common, *port, *words], input=given, capture_output=True, check=False)


@contextmanager
def door(folder: Path, options: str, inside: Sequence[str] = ()) -> Iterator[Door]:
    """sshd with one authorized key under these options ('command="…",restrict').

    `inside`: what starts it on a machine of its own, where accounts have their own keys, and it is as strict as usual.
    """
    sshd = need_tool("sshd", "openssh-server")
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    host.write_private_key(str(folder / "host"))
    user.write_private_key(str(folder / "user"))
    for name in ("host", "user"):
        (folder / name).chmod(0o600)
    (folder / "authorized").write_text(f"{options} {user.export_public_key().decode()}".lstrip())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        + (
            "StrictModes yes\nAuthorizedKeysFile /etc/admin-keys-%u .ssh/authorized_keys\n"
            if inside
            else f"StrictModes no\nAuthorizedKeysFile {folder}/authorized\n"
        )
        + "UsePAM no\nUseDNS no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "AcceptEnv *\nAllowTcpForwarding yes\nPermitTunnel yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    if USER == "root":
        Path("/run/sshd").mkdir(exist_ok=True)
    running = subprocess.Popen(
        [*inside, sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        assert running.stderr is not None
        assert any(b"listening on" in line for line in running.stderr), "sshd did not start"
        pin = " ".join(host.export_public_key().decode().split()[:2])
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {pin}\n")
        key = user.export_private_key().decode()
        yield Door(port, pin, key, folder / "user", folder / "known_hosts")
    finally:
        running.terminate()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()  # sessions that still end hold its other side


def bound(pbx: FlatPbx, python: str = sys.executable) -> str:
    """The options of the key as the installer writes them, for this system."""
    return f'command="{" ".join(pbx.command(python))}",restrict'
