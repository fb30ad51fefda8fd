"""The child's side of a reset: makes the secret, writes it, seals it, mails the link. Nothing of it ever leaves.

`python -m gateway.session.reset_child FD [CONNECTOR…]` is the single-threaded fork server: it holds no key, knows our
connectors and those named, gets descriptors, and forks a child for each. The child talks with the gateway over its
SEQPACKET socket in the steps that deliver.py names, and ends in every case: each step has an alarm, whose signal ends
the process wherever it hangs.
"""

from __future__ import annotations

import array
import asyncio
import base64
import contextlib
import ctypes
import json
import os
import resource
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import aiosmtplib
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.contract import Connector, Credential, ReadsLogins, Secret, SecretKind, Target
from connectors.errors import ConnectorError, RateLimited
from connectors.registry import NotOffered, also, families
from gateway.session.secret_shape import Shape, generate
from gateway.smtp import MailSettings, is_final, send

MESSAGE: Final = 1 << 17
"""Bytes that a message may have."""
START_WITHIN_S: Final = 20
WRITE_WITHIN_S: Final = 90
MAIL_GRACE_S: Final = 60
_TOLD_WITHIN_S: Final = 60
_PR_SET_DUMPABLE: Final = 4


def harden() -> None:
    """No core file, and nobody of our own user reads this memory; a forked child inherits both."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the process could not be made undumpable")


def _silence() -> None:
    """A library's warning or traceback would end up in the gateway's log: its frames hold the secret."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


async def _write(job: dict[str, Any], kind: SecretKind, secret: Secret) -> dict[str, Any]:
    """Step 4. What a connector says goes out in its own words; of anything else the type alone."""
    try:
        family = families()[job["connector"]]
        settings = family.settings_model.model_validate_json(job["settings"])
        target = Target(job["system"], job["host"], job["port"], job["pin"], settings, mark=job["mark"])

        async def unseal() -> Credential:
            return Credential(**job["credential"])

        connector = await family.connect(target, unseal)
        login = await connector.own_login() if isinstance(connector, ReadsLogins) else ""
    except ConnectorError as error:
        return _told(error)
    except Exception as error:
        return {"error": "not-begun", "message": f"The reset could not begin ({type(error).__name__})"}
    try:
        done = await connector.reset(job["person"], kind, secret)
    except ConnectorError as error:
        return _told(error)
    except Exception as error:
        return {"error": "outcome-unknown", "message": f"the reset broke off ({type(error).__name__})"}
    finally:
        await _close(connector)
    return {"written": True, "notes": list(done.notes), "login": login}


async def _close(connector: Connector) -> None:
    # The outcome is known by now: a connection that does not close cleanly ends with this process.
    await asyncio.gather(asyncio.wait_for(connector.close(), timeout=5), return_exceptions=True)


def _told(error: ConnectorError) -> dict[str, Any]:
    told: dict[str, Any] = {"error": error.code, "message": error.message, "next": error.next_step}
    return told | ({"retry_after_ms": error.retry_after_ms} if isinstance(error, RateLimited) else {})


async def _mail(job: dict[str, Any], key: bytes) -> bool:
    """Step 6: from memory, again and again until it is taken or the time is over; True when it was taken."""
    mail = dict(job["mail"])
    mail["ca_file"] = Path(mail["ca_file"]) if mail.get("ca_file") else None
    settings = MailSettings(**mail)
    link = f"{job['url']}{job['path']}{job['link']}#{base64.urlsafe_b64encode(key).decode().rstrip('=')}"
    before, after = job["body"]
    until = time.monotonic() + job["retry_s"]
    wait = 1.0
    while True:
        try:
            # Always the same Message-ID: a server whose answer was lost gets the mail again, as the same one.
            await send(settings, job["to"], job["subject"], f"{before}{link}{after}", job["message_id"])
        except (OSError, ValueError, aiosmtplib.SMTPException) as error:
            if is_final(error) or time.monotonic() + wait > until:
                return False
            await asyncio.sleep(wait)
            wait = min(wait * 2, 60)
        else:
            return True


def _serve_one(link: socket.socket) -> None:
    signal.alarm(START_WITHIN_S)
    job = json.loads(link.recv(MESSAGE))
    kind = SecretKind(job["kind"])
    value = generate(Shape.of(job["shape"]))
    secret, key, nonce = Secret(value), secrets.token_bytes(32), secrets.token_bytes(12)
    sealed = nonce + AESGCM(key).encrypt(nonce, json.dumps({"secret": value}).encode(), job["link"].encode())
    del value
    link.sendall(json.dumps({"sealed": base64.b64encode(sealed).decode()}).encode())
    signal.alarm(_TOLD_WITHIN_S)
    if not link.recv(MESSAGE):
        return
    signal.alarm(WRITE_WITHIN_S)
    told = asyncio.run(_write(job, kind, secret))
    secret.wipe()
    link.sendall(json.dumps(told).encode())
    signal.alarm(_TOLD_WITHIN_S)
    if "written" in told and link.recv(MESSAGE):
        signal.alarm(int(job["retry_s"]) + MAIL_GRACE_S)
        sent = asyncio.run(_mail(job, key))
        link.sendall(json.dumps({"sent": sent}).encode())


def _child(link: socket.socket) -> None:
    """Never returns, and no traceback leaves it: its frames hold the secret."""
    try:
        _silence()
        _serve_one(link)
    finally:
        os._exit(0)


def serve(control: socket.socket) -> None:
    """The fork server's loop: a descriptor in, a child out, until the gateway closes its end."""
    harden()
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
                _child(link)
            link.close()


if __name__ == "__main__":
    # One that cannot be had is told by the gateway, which then does not serve, or by whoever asks for it.
    with contextlib.suppress(NotOffered):
        also(sys.argv[2:])
    # All of them here, once: whoever is forked has no time for it.
    list(families().values())
    serve(socket.socket(fileno=int(sys.argv[1])))
