"""The peer: OpenSSH's sshd whose ForceCommand records with `script` what an inner `ssh` to the target shows.

sshd runs under a small supervisor that takes in every process whose parent has gone, so that each fork's time counts.
`python -m bench.openssh SSHD CONFIG`: ends with its standard input.
"""

from __future__ import annotations

import ctypes
import getpass
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from bench.load import Target, cpu_ms

_SUBREAPER = 36


@dataclass(frozen=True)
class OpenSsh:
    """A running peer."""

    target: Target
    supervisor: int
    sshd: int

    def cpu_ms(self) -> float:
        """CPU of sshd and of everything it has started and that has ended."""
        # What sshd waited for stands with sshd; what lost its parent was waited for by the supervisor.
        return cpu_ms(self.sshd, children=True) + cpu_ms(self.supervisor, children=True) - cpu_ms(self.supervisor)


def lacking() -> str:
    """What this machine lacks to run the peer, in words; "" when it lacks nothing."""
    missing = [name for name in ("sshd", "script", "ssh") if _program(name) is None]
    return f"{', '.join(missing)} not installed (Debian: openssh-server, bsdutils, openssh-client)" if missing else ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _files(folder: Path, port: int, target_port: int) -> None:
    user = asyncssh.generate_private_key("ssh-ed25519")
    user.write_private_key(str(folder / "user"))
    (folder / "user").chmod(0o600)
    user.write_public_key(str(folder / "authorized"))
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(folder / "host"))
    (folder / "host").chmod(0o600)
    inner = (
        f"ssh -tt -q -F none -i {folder}/user -o IdentitiesOnly=yes -o KexAlgorithms=curve25519-sha256 "
        f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {target_port} bench@127.0.0.1"
    )
    record = folder / "record.sh"
    record.write_text(
        f'#!/bin/sh\nT={folder}/rec/$$\nexec {_program("script")} -qf -c "{inner} $SSH_ORIGINAL_COMMAND" '
        '-O "$T.script" -T "$T.timing"\n'
    )
    record.chmod(0o700)
    (folder / "rec").mkdir()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/sshd.pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nForceCommand {record}\nPermitRootLogin prohibit-password\n"
        "UsePAM no\nLogLevel ERROR\nStrictModes no\nPermitUserRC no\nPrintMotd no\nPrintLastLog no\nUseDNS no\n"
        "PasswordAuthentication no\nMaxStartups 1000:30:2000\nMaxSessions 1000\n"
    )


@contextmanager
def running(folder: Path, target_port: int) -> Iterator[OpenSsh]:
    """The peer in front of the target. Its files are in `folder`; nothing of it outlives the block."""
    folder.mkdir()
    port = free_port()
    _files(folder, port, target_port)
    separation = Path("/run/sshd")
    made = os.getuid() == 0 and not separation.exists()
    if made:
        separation.mkdir(mode=0o755)
    supervisor = subprocess.Popen(  # noqa: S603 - our own module and the system's sshd
        [sys.executable, "-m", "bench.openssh", _program("sshd") or "sshd", str(folder / "sshd_config")],
        stdin=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 10
        while not (folder / "sshd.pid").exists():
            if time.monotonic() > until or supervisor.poll() is not None:
                raise RuntimeError("sshd did not start")
            time.sleep(0.02)
        sshd = int((folder / "sshd.pid").read_text())
        yield OpenSsh(Target(port, getpass.getuser(), str(folder / "user")), supervisor.pid, sshd)
    finally:
        supervisor.communicate(timeout=20)
        if made:
            separation.rmdir()


def _supervise(sshd: str, config: str) -> None:
    """Run sshd; wait for every orphan; at the end of standard input end what is left."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    server = subprocess.Popen([sshd, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL)  # noqa: S603
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        # sshd itself is waited for at the end: until then its own time is read from outside.
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid != server.pid:
            os.waitpid(found.si_pid, 0)
    server.send_signal(signal.SIGTERM)
    server.wait()
    for child in _children():
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]


if __name__ == "__main__":
    _supervise(sys.argv[1], sys.argv[2])
