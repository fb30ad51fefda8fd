"""The connection to a helper: pinned host key, then the key, then proof that the key reaches the helper alone.

One request at a time over one channel, each with a number that its answer repeats. Answers are bounded in size and
time, those of writes are dropped but for their outcome, and of an error only a code and words of ours go further.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

import asyncssh

from connectors.asterisk_files.console import stream
from connectors.asterisk_files.requests import GUARD, wire
from connectors.asterisk_files.settings import AsteriskFilesSettings
from connectors.contract import Credential, Target, Unseal
from connectors.errors import (
    Conflict,
    ConnectorError,
    CredentialRefused,
    Fault,
    InvalidValue,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    SecretReadable,
    Unreachable,
)
from connectors.guard import Allowed
from connectors.transport import ssh

_MAX_ANSWER: Final = 1 << 20
_COMMAND: Final = "frameroom-helper"
# What only a shell would answer with its sum: were one to be had, our key could read every file that it may.
_PROBE: Final = "echo frameroom-probe-$((40+2))"
_PROBED: Final = b"frameroom-probe-42"
_AT_SYSTEM: Final = "Change it at the phone system."
_PUT_BACK: Final = "Asterisk did not take the change; its files are as they were"

# By the helper's code and reason: what is said, and what to do next where the error's own advice is not it.
_REASONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "no-mailbox": ("this person has no mailbox, and an address and a PIN are kept there", "Have one made first."),
    "shared-mailbox": ("the mailbox also belongs to other people", _AT_SYSTEM),
    "shared-sip": ("the SIP password is shared with other people", _AT_SYSTEM),
    "several-emails": ("the mailbox has several addresses", _AT_SYSTEM),
    "several-numbers": ("this person has several numbers; which is meant cannot be said here", _AT_SYSTEM),
    "route-does-more": ("that number does more than ring this person", _AT_SYSTEM),
    "no-extension": ("the dialplan has no extension of this person where calls could be sent", _AT_SYSTEM),
    "no-inbound-context": ("the dialplan has no inbound context of the configured name", "Tell the operator."),
    "other-country": ("the phone system's dialplan holds numbers of its own country only", None),
    "no-inbound": ("the helper's configuration names no inbound context, so numbers are not available", None),
    "no-auth": ("a telephone account names a password entry that is in no file", _AT_SYSTEM),
    "no-sip": ("a telephone account signs in by other means than a password of its own", None),
    "in-template": ("the SIP password stands in a template that others share", _AT_SYSTEM),
    "used-as-template": ("other accounts are made from this person's", _AT_SYSTEM),
    "odd-line": ("the line is written in a way that is not edited here", _AT_SYSTEM),
    "busy": ("another change is going on", "Try again in a minute."),
    "console": ("Asterisk does not answer on its console; nothing was changed", "Check that Asterisk runs."),
    "console-off": (
        "the phone system's administrator has not switched its prompt on",
        "They set `console` in the helper's configuration to look or act: `frameroom system install-helper`.",
    ),
    "console-looks": (
        "the phone system's administrator lets its prompt be used to look only",
        "They set `console` in the helper's configuration to act, if they want that.",
    ),
    "console-line": (
        "the helper on the phone system does not know that command",
        "It may be older than this Frameroom: `frameroom system install-helper` brings it up to date.",
    ),
    "slow": ("Asterisk's console does not answer in time", "Try again when it has less to do."),
    "reload": (_PUT_BACK, "Have Asterisk's log read: it says what it did not like."),
    "reload-unsure": ("Asterisk took neither the change nor the old files again", "Have Asterisk's log read."),
    "not-put-back": ("the files could not all be put back", "Files ending in .frameroom-old hold the old state."),
    "not-writable": ("the helper may not write the files", "`frameroom system check` says which."),
    "owner": ("the helper cannot keep a file's owner and rights, so it wrote nothing", "Check `run_as`."),
    "conf-unreadable": ("the helper's configuration cannot be read", "Install the helper again."),
    "conf-writable": ("the helper's configuration may be written by others", "chmod 0644, owner root."),
    "conf-unknown": ("the helper's configuration holds what it does not know", "Install the helper again."),
    "missing": ("a file is not there", None),
    "unreadable": ("a file cannot be read by the helper", "`frameroom system check` says which."),
    "too-long": ("a line or a file is longer than is read", None),
    "too-many-files": ("there are too many included files", None),
    "syntax": ("a line is not as Asterisk writes them", None),
}


def failure(answer: Mapping[str, Any]) -> ConnectorError:
    """The helper's error as ours: no word of the answer is repeated but a file's name and a line's number."""
    code, reason = str(answer.get("error")), str(answer.get("reason"))
    words, following = _REASONS.get(reason, ("the helper refused it", None))
    file, line = answer.get("file"), answer.get("line")
    if isinstance(file, str) and re.fullmatch(r"[A-Za-z0-9._/-]{1,100}", file):
        words += f" ({file} line {line})" if type(line) is int and line > 0 else f" ({file})"
    match code:
        case "not-found":
            return NotFound("there is no such person on the phone system")
        case "conflict":
            return Conflict("it changed since it was shown; nothing was written")
        case "taken":
            return Refused(
                "that number already rings at another telephone; nothing was written",
                next_step="Take the number away from there first, if the customer wants that.",
            )
        case "invalid":
            known = words if reason in _REASONS else "the phone system does not take that value"
            return InvalidValue(known, next_step=following)
        case "unsupported":
            return NotSupported(words, next_step=following)
        case "unknown":
            return OutcomeUnknown(words, next_step=following)
        case _:
            return Refused(words, next_step=following)


class Link:
    """An open helper."""

    def __init__(self, connection: asyncssh.SSHClientConnection, timeout_ms: int) -> None:
        self._connection = connection
        self._timeout_s = timeout_ms / 1000
        self._lock = asyncio.Lock()
        self._process: asyncssh.SSHClientProcess[bytes] | None = None
        self._number = 0

    async def ask(self, request: Allowed) -> dict[str, Any]:
        """The answer; of a write only that it was taken. OutcomeUnknown when a write's answer is lost."""
        request = GUARD.require(request)
        async with self._lock:
            self._number += 1
            line = await self._exchange(request, json.dumps(wire(request) | {"n": self._number}).encode() + b"\n")
            return self._parse(request, line)

    async def stream(self, request: Allowed) -> AsyncGenerator[bytes]:
        """The output of a line of Asterisk's prompt (`console.stream`), beside whatever else is asked."""
        request = GUARD.require(request)
        async with aclosing(stream(self._connection, _COMMAND, request, self._timeout_s, failure)) as output:
            async for data in output:
                yield data

    async def _exchange(self, request: Allowed, data: bytes) -> bytes:
        sent = False
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._process is None:
                    self._process = await self._connection.create_process(
                        _COMMAND, encoding=None, stderr=asyncssh.DEVNULL, window=_MAX_ANSWER
                    )
                self._process.stdin.write(data)
                sent = True
                return await self._line(self._process)
        except (OSError, EOFError, TimeoutError, asyncssh.Error):
            self._connection.abort()
        except asyncio.CancelledError:
            # The answer is still on its way: nothing else may be asked on this channel.
            if self._process is not None:
                self._process.channel.abort()
                self._process = None
            raise
        # Raised out here: the error that was caught holds half an answer, and goes no further.
        if sent and request.writes:
            raise OutcomeUnknown("the connection was lost before the phone system answered")
        raise Unreachable("the helper on the phone system does not answer")

    async def _line(self, process: asyncssh.SSHClientProcess[bytes]) -> bytes:
        """Up to the line's end or the cap, whichever comes first: an endless answer takes no more memory than that."""
        parts, size = list[bytes](), 0
        while size <= _MAX_ANSWER:
            part: bytes = await process.stdout.read(65536)
            if not part:
                raise EOFError
            parts.append(part)
            size += len(part)
            if part.endswith(b"\n"):
                break
        return b"".join(parts)

    def _parse(self, request: Allowed, line: bytes) -> dict[str, Any]:
        answer: Any = None
        try:
            answer = json.loads(line) if len(line) <= _MAX_ANSWER else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("n") != self._number:
            self._connection.abort()
            if isinstance(answer, dict) and str(answer.get("reason")).startswith("conf-"):
                raise failure(answer)  # it ended before it was asked anything
            if request.writes:
                raise OutcomeUnknown("the phone system's answer made no sense")
            raise ProtocolViolation("what our key reaches on the phone system is not the helper")
        if answer.get("error") is not None:
            raise failure(answer)
        return {"ok": True} if request.writes else answer

    async def prove_bound(self) -> None:
        """SecretReadable when our key reaches more than the helper: a shell, or a way on into the network."""
        shell, forwards = await asyncio.gather(self._reaches_shell(), self._forwards())
        if shell or forwards:
            what = "runs commands" if shell else "may open connections from the phone system"
            raise SecretReadable(
                f"our key {what} there, beyond the helper: it could read passwords",
                next_step='Bind the key with command="…",restrict as `frameroom system install-helper --print` shows.',
            )

    async def _reaches_shell(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                process = await self._connection.create_process(_PROBE, encoding=None, stderr=asyncssh.STDOUT)
                told = b""
                while len(told) < 65536 and (part := await process.stdout.read(4096)):
                    told += part
                process.channel.abort()
        except (OSError, TimeoutError, asyncssh.Error) as error:
            self._connection.abort()
            raise Unreachable("the helper on the phone system does not answer") from error
        return _PROBED in told

    async def _forwards(self) -> bool:
        """Whether sshd would connect us onwards. Port 1 is nobody's: refused by rule, or tried in vain."""
        try:
            async with asyncio.timeout(self._timeout_s):
                _, writer = await self._connection.open_connection("127.0.0.1", 1)
                writer.close()
        except asyncssh.ChannelOpenError as error:
            return error.code != asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        except (OSError, TimeoutError, asyncssh.Error) as error:
            self._connection.abort()
            raise Unreachable("the helper on the phone system does not answer") from error
        return True

    def abort(self) -> None:
        """Hang up."""
        self._connection.abort()


async def connect(target: Target, settings: AsteriskFilesSettings, unseal: Unseal) -> Link:
    """Identity, then the credential. Unreachable, IdentityMismatch, CredentialRefused."""

    async def opened() -> Credential:
        credential = await unseal()
        if credential.login != settings.login:
            wrong = CredentialRefused(
                "the stored login is not the one of the settings",
                next_step="Give both the same: --login, and `login` in the settings file.",
            )
            wrong.fault = Fault.OPERATOR
            raise wrong
        return credential

    return Link(await ssh.connect(target, opened, settings.login), target.answer_timeout_ms)
