"""The gateway's side of a reset's child: what is asked of it, and what its silence means.

The gateway's own process, log and database never hold the secret nor the link's key: they see ciphertext and outcomes.
Steps, over one SEQPACKET socket: 1 job in, 2 `sealed` out, 3 `go` in (the ciphertext is durable), 4 `written` or
`error` out, 5 `mail` in (the outcome is durable), 6 `sent` or not out. A child that dies before `go` reached it wrote
nothing; one that dies after it leaves an unknown outcome; one that dies after `mail` leaves an undelivered link.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from connectors import errors as connector_errors
from connectors.errors import ConnectorError, OutcomeUnknown, RateLimited, Unreachable
from gateway.errors import UnavailableError
from gateway.session.reset_child import MAIL_GRACE_S, MESSAGE, START_WITHIN_S, WRITE_WITHIN_S

_ANSWER_S: Final = 10
"""How much longer than the child's own alarms we wait."""
_BY_CODE: Final[dict[str, type[ConnectorError]]] = {
    found.code: found
    for found in vars(connector_errors).values()
    if isinstance(found, type) and issubclass(found, ConnectorError) and "code" in vars(found)
}


class _Ended(Exception):
    """The child is gone, or did not answer in time. `asked`: what we said had reached it."""

    def __init__(self, words: str, *, asked: bool) -> None:
        super().__init__(words)
        self.asked = asked


class ResetChild:
    """One reset's child, as the gateway talks to it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.login = ""
        """Under which id the phone system's record has the child's login; "" while that is not known."""

    async def _ask(self, message: dict[str, Any], within_s: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._link, json.dumps(message).encode())
        except OSError as error:
            raise _Ended("the reset's process ended", asked=False) from error
        try:
            async with asyncio.timeout(within_s + _ANSWER_S):
                data = await loop.sock_recv(self._link, MESSAGE)
        except TimeoutError as error:
            raise _Ended("the reset's process did not answer in time", asked=True) from error
        except OSError as error:
            raise _Ended("the reset's process ended", asked=True) from error
        if not data:
            raise _Ended("the reset's process ended", asked=True)
        told: dict[str, Any] = json.loads(data)
        return told

    async def start(self, job: dict[str, Any]) -> bytes:
        """Steps 1 and 2: the ciphertext, before the phone system was touched. UnavailableError, nothing written."""
        if len(json.dumps(job).encode()) > MESSAGE:
            raise UnavailableError("The phone system's settings are too long for a reset; nothing was written.")
        try:
            told = await self._ask(job, START_WITHIN_S)
        except _Ended as error:
            raise UnavailableError(
                f"The new password could not be made ({error}); nothing was written.", next_step="Try again."
            ) from error
        return base64.b64decode(told["sealed"])

    async def write(self) -> tuple[str, ...]:
        """Steps 3 and 4: what the phone system noted.

        The connector's own error, or Unreachable when nothing can have been written, or OutcomeUnknown.
        """
        try:
            told = await self._ask({"go": True}, WRITE_WITHIN_S)
        except _Ended as error:
            if error.asked:
                raise OutcomeUnknown(f"{error} while it wrote") from error
            raise Unreachable(f"{error} before anything was written") from error
        if "written" in told:
            self.login = str(told.get("login", ""))
            return tuple(told["notes"])
        raise _error(told)

    async def mail(self, retry_s: int) -> bool:
        """Steps 5 and 6: True when the mail server took it within `retry_s` seconds."""
        try:
            return (await self._ask({"mail": True}, retry_s + MAIL_GRACE_S)).get("sent") is True
        except _Ended:
            return False

    def close(self) -> None:
        """Let the child go; one that still waits ends."""
        self._link.close()


def _error(told: dict[str, Any]) -> ConnectorError:
    """The child's error as it was raised there."""
    words, following = str(told["message"]), told.get("next")
    if told["error"] == "not-begun":
        return Unreachable(f"{words}; nothing was written", next_step="Tell the operator: `frameroom system check`.")
    if told["error"] == RateLimited.code:
        return RateLimited(words, retry_after_ms=int(told["retry_after_ms"]), next_step=following)
    return _BY_CODE.get(told["error"], OutcomeUnknown)(words, next_step=following)


class ResetServer:
    """The fork server's process; it is started again when it was ended from outside. `also`: the connectors of other
    distributions that it is to know. `later`: not before it is asked for, or told to be there."""

    def __init__(self, also: Sequence[str] = (), *, later: bool = False) -> None:
        self._also = tuple(also)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket
        if not later:
            self.be_there()

    def be_there(self) -> None:
        """Start it when it does not run: it takes half a second until it can fork. OSError."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._control.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        root = Path(__file__).parents[2]
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(root)}
        # A new program, not a fork of ours: it begins with an empty memory whatever we hold by now.
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
                [sys.executable, "-m", "gateway.session.reset_child", str(theirs.fileno()), *self._also],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours

    @property
    def pid(self) -> int:
        """Of the fork server."""
        if self._process is None:
            raise RuntimeError("it was not started")
        return self._process.pid

    def child(self) -> ResetChild:
        """Fork one. UnavailableError when there is no process to do it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self.be_there()
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise UnavailableError(
                    "The process that makes new passwords is not there; nothing was written.", next_step="Try again."
                ) from error
        ours.setblocking(False)
        return ResetChild(ours)

    def stop(self) -> None:
        """End the server; children that still deliver go on for their ten minutes."""
        if self._process is None:
            return
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # still starting on a busy machine: it holds nothing yet
            self._process.kill()
            self._process.wait()
