"""The secret of a reset: made, written, sealed and mailed in a child process that lives for one reset.

A single-threaded fork server (`python -m gateway.session.deliver FD`), started before anything else and holding no
key, forks a child per reset. The gateway's own process, log and database never hold the secret nor the link's key:
they see ciphertext and outcomes. Steps, over one SEQPACKET socket: 1 job in, 2 `sealed` out, 3 `go` in (the
ciphertext is durable), 4 `written` or `error` out, 5 `mail` in (the outcome is durable), 6 `sent` or `undelivered` out.
"""

from __future__ import annotations

import array
import asyncio
import base64
import ctypes
import itertools
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiosmtplib
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.contract import Credential, Secret, SecretKind, Target
from connectors.errors import ConnectorError, Unreachable
from connectors.registry import families
from gateway import notify

_MESSAGE: Final = 1 << 17
_RETRY_FOR_S: Final = 600
_START_WITHIN_S: Final = 20
_WRITE_WITHIN_S: Final = 90
_MAIL_WITHIN_S: Final = _RETRY_FOR_S + 90
_PR_SET_DUMPABLE: Final = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the writing went: a connector's error code, or None when it was written."""

    code: str | None
    message: str = ""
    notes: tuple[str, ...] = ()


def generate(alphabet: str, length: int) -> str:
    """A uniformly random secret; a PIN that anybody would try first is drawn again."""
    while True:
        value = "".join(secrets.choice(alphabet) for _ in range(length))
        steps = {ord(b) - ord(a) for a, b in itertools.pairwise(value)}
        if steps not in ({0}, {1}, {-1}):
            return value


# --- the gateway's side ---


class ResetChild:
    """One reset's child, as the gateway talks to it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    async def _receive(self, within_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within_s):
                data = await asyncio.get_running_loop().sock_recv(self._link, _MESSAGE)
        except TimeoutError:
            return {"error": "outcome-unknown", "message": "the reset's process did not answer in time"}
        return json.loads(data) if data else {"error": "outcome-unknown", "message": "the reset's process ended"}

    async def _send(self, message: dict[str, Any]) -> None:
        await asyncio.get_running_loop().sock_sendall(self._link, json.dumps(message).encode())

    async def start(self, job: dict[str, Any]) -> bytes:
        """Steps 1 and 2: the ciphertext, before the phone system was touched."""
        await self._send(job)
        told = await self._receive(_START_WITHIN_S)
        if "sealed" not in told:
            # Nothing was sent to the phone system yet, so this is no unknown outcome.
            raise Unreachable(f"{told['message']} before anything was written")
        return base64.b64decode(told["sealed"])

    async def write(self) -> Outcome:
        """Steps 3 and 4."""
        await self._send({"go": True})
        told = await self._receive(_WRITE_WITHIN_S)
        return Outcome(told.get("error"), told.get("message", ""), tuple(told.get("notes", ())))

    async def mail(self) -> bool:
        """Steps 5 and 6: True when the mail server took it."""
        await self._send({"mail": True})
        return (await self._receive(_MAIL_WITHIN_S)).get("sent") is True

    def close(self) -> None:
        """Let the child go; one that still waits ends."""
        self._link.close()


class ResetServer:
    """The fork server's process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        root = Path(__file__).parents[2]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "gateway.session.deliver", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env=environment,
        )
        theirs.close()
        self._control = ours
        self.pid = self._process.pid

    def child(self) -> ResetChild:
        """Fork one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        ours.setblocking(False)
        return ResetChild(ours)

    def stop(self) -> None:
        """End the server; children that still deliver go on for their ten minutes."""
        self._control.close()
        self._process.wait(timeout=5)


# --- the child's side ---


def _harden() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def _write(job: dict[str, Any], kind: SecretKind, secret: Secret) -> dict[str, Any]:
    family = families()[job["connector"]]
    settings = family.settings_model.model_validate_json(job["settings"])
    target = Target(job["system"], job["host"], job["port"], job["pin"], settings)

    async def unseal() -> Credential:
        return Credential(**job["credential"])

    try:
        connector = await family.connect(target, unseal)
        try:
            done = await connector.reset(job["person"], kind, secret)
        finally:
            await connector.close()
    except ConnectorError as error:
        return {"error": error.code, "message": error.message}
    return {"written": True, "notes": list(done.notes)}


async def _mail(job: dict[str, Any], key: bytes) -> bool:
    mail = dict(job["mail"])
    mail["ca_file"] = Path(mail["ca_file"]) if mail.get("ca_file") else None
    settings = notify.MailSettings(**mail)
    link = f"{job['url']}/s/{job['link']}#{base64.urlsafe_b64encode(key).decode().rstrip('=')}"
    body = job["body"].replace("{link}", link)
    until = time.monotonic() + _RETRY_FOR_S
    wait = 1.0
    while True:
        try:
            await notify.send(settings, job["to"], job["subject"], body)
        except (OSError, aiosmtplib.SMTPException):
            if time.monotonic() + wait > until:
                return False
            await asyncio.sleep(wait)
            wait = min(wait * 2, 60)
        else:
            return True


def _serve_one(link: socket.socket) -> None:
    job = json.loads(link.recv(_MESSAGE))
    kind = SecretKind(job["kind"])
    value = generate(job["alphabet"], job["length"])
    secret, key, nonce = Secret(value), secrets.token_bytes(32), secrets.token_bytes(12)
    sealed = nonce + AESGCM(key).encrypt(nonce, json.dumps({"secret": value}).encode(), job["link"].encode())
    del value
    link.sendall(json.dumps({"sealed": base64.b64encode(sealed).decode()}).encode())
    if not link.recv(_MESSAGE):
        return
    told = asyncio.run(_write(job, kind, secret))
    secret.wipe()
    link.sendall(json.dumps(told).encode())
    if "written" in told and link.recv(_MESSAGE):
        sent = asyncio.run(_mail(job, key))
        link.sendall(json.dumps({"sent": sent}).encode())


def serve(control: socket.socket) -> None:
    """The fork server's loop: a descriptor in, a child out."""
    _harden()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        data, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
        if not data:
            return
        for _, _, raw in ancillary:
            descriptors = array.array("i")
            descriptors.frombytes(raw[: descriptors.itemsize])
            link = socket.socket(fileno=descriptors[0])
            if os.fork() == 0:
                control.close()
                try:
                    _serve_one(link)
                finally:
                    # No traceback may leave this process: its frames hold the secret.
                    os._exit(0)
            link.close()


if __name__ == "__main__":
    families()
    serve(socket.socket(fileno=int(sys.argv[1])))
