"""SSH to a phone system: the host key is the pinned one or nothing is sent; every step has a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import asyncssh

from connectors.contract import Credential, Target, Unseal
from connectors.errors import (
    CredentialRefused,
    Fault,
    IdentityMismatch,
    InvalidValue,
    OutcomeUnknown,
    ProtocolViolation,
    Unreachable,
)

MAX_OUTPUT: Final = 64 << 20
"""Bytes of one command's output; past it the command is ended (ProtocolViolation)."""
MAX_SECONDS: Final = 600.0
"""Longest that one command may go on, however steadily it talks."""
_LOOK: Final = "Look at what it was to change. It is not repeated by itself."
_WINDOW: Final = 256 << 10
"""Bytes that a command may be ahead of whoever reads it: more would be worked off in one go, and hold up everybody."""
# Our own order first, the cheapest here; then whatever else asyncssh has for old devices.
_CIPHERS: Final = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"


@dataclass(frozen=True, slots=True)
class Profile:
    """Algorithms for devices that speak no better ones: `weakens` is shown wherever the phone system is."""

    weakens: str
    options: Mapping[str, Any] = field(default_factory=dict)


_SHA1_KEX: Final = "diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha1"
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({
    "modern": Profile(""),
    "sha1": Profile(
        "old SSH (profile sha1): keys are agreed on and host keys signed with SHA-1, and ciphers are of the CBC kind; "
        "who can alter traffic on the way could, at great cost, take the phone system's place",
        {
            "kex_algs": f"+{_SHA1_KEX}", "encryption_algs": "+aes256-cbc,aes128-cbc", "mac_algs": "+hmac-sha1",
            "server_host_key_algs": "+ssh-rsa", "signature_algs": "+ssh-rsa",
        },
    ),
    "group1": Profile(
        "very old SSH (profile group1): as sha1, and keys of 1024 bits, 3DES and MD5; who records traffic on the way "
        "may be able to read it, our password among it",
        {
            "kex_algs": f"+{_SHA1_KEX},diffie-hellman-group1-sha1", "mac_algs": "+hmac-sha1,hmac-md5",
            "encryption_algs": "+aes256-cbc,aes128-cbc,3des-cbc", "server_host_key_algs": "+ssh-rsa,ssh-dss",
            "signature_algs": "+ssh-rsa",
        },
    ),
})  # fmt: skip
"""By name; an operator turns one on for one phone system. Never more than it needs: none takes a modern one away."""


class _Client(asyncssh.SSHClient):
    """Asks for the credential only when key exchange, and with it the host key, is behind us."""

    def __init__(self, unseal: Unseal, interactive: bool = False) -> None:
        self._unseal = unseal
        self._interactive = interactive
        self._credential: Credential | None = None
        self._password_given = False
        self.failure: BaseException | None = None
        """What kept the credential from being used: asyncssh would drop it."""

    async def _get(self) -> Credential:
        if self._credential is None:
            try:
                self._credential = await self._unseal()
            except Exception as error:
                self.failure = error
                raise
        return self._credential

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """The key, once."""
        if self._credential is not None:
            return None
        credential = await self._get()
        if credential.private_key is None:
            return None
        try:
            return asyncssh.load_keypairs([asyncssh.import_private_key(credential.private_key)])[0]
        except (ValueError, asyncssh.Error):
            # The reader's own words could quote the key: they go no further.
            self.failure = CredentialRefused("the stored private key cannot be read")
            return None

    async def password_auth_requested(self) -> str | None:
        """The password, once, and only where no key is stored."""
        credential = await self._get()
        if self._password_given or credential.private_key is not None:
            return None
        self._password_given = True
        return credential.password

    def kbdint_auth_requested(self) -> str | None:
        """Only where the phone system is known to ask that way."""
        return "" if self._interactive else None

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        """The password, once, to one question whose answer is not shown; nothing to anything else."""
        if not prompts:
            return []
        if len(prompts) != 1 or prompts[0][1] or self._password_given:
            return None
        self._password_given = True
        return [(await self._get()).password or ""]


@lru_cache(maxsize=256)
def _options(
    pin: str, login: str, timeout_ms: int, interactive: bool, profile: str
) -> asyncssh.SSHClientConnectionOptions:
    """Made once for each phone system: making them costs more than the key exchange."""
    algorithms = dict(PROFILES[profile].options)
    algorithms["encryption_algs"] = algorithms.get("encryption_algs", _CIPHERS)
    return asyncssh.SSHClientConnectionOptions(
        username=login,
        known_hosts=([_pinned(pin)], [], []),
        client_keys=None,
        agent_path=None,
        config=None,
        preferred_auth=f"publickey,{'keyboard-interactive,' if interactive else ''}password",
        login_timeout=timeout_ms / 1000,
        **algorithms,
    )


def _pinned(pin: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(pin)
    except (ValueError, asyncssh.Error) as error:
        wrong = InvalidValue("the pinned host key is not an OpenSSH public key", next_step="Pin the key again.")
        wrong.fault = Fault.OPERATOR
        raise wrong from error


def _host_key_refused(error: BaseException) -> bool:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return True
    # A host that offers keys of another kind only fails earlier, while algorithms are agreed on.
    return isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in str(error).lower()


async def connect(
    target: Target, unseal: Unseal, login: str, *, interactive: bool = False, profile: str = "modern"
) -> asyncssh.SSHClientConnection:
    """An authenticated connection. Unreachable, IdentityMismatch, CredentialRefused; what `unseal` raises passes.

    `interactive`: the password may also be given to a question (RFC 4256); `profile`: one of `PROFILES`.
    """
    options = _options(target.pin, login, target.connect_timeout_ms, interactive, profile)
    client = _Client(unseal, interactive)
    try:
        async with asyncio.timeout(target.connect_timeout_ms / 1000):
            connection, _ = await asyncssh.create_connection(lambda: client, target.host, target.port, options=options)
    except (OSError, TimeoutError, ValueError, asyncssh.Error) as error:
        if client.failure is not None:
            raise client.failure from None
        if _host_key_refused(error):
            raise IdentityMismatch("the phone system's host key is not the pinned one; nothing was sent") from error
        if isinstance(error, asyncssh.PermissionDenied):
            raise CredentialRefused("the phone system refused our credential") from error
        raise Unreachable(f"the phone system cannot be reached ({type(error).__name__})") from error
    return connection


def _broken(words: str, *, writes: bool) -> ProtocolViolation | OutcomeUnknown:
    return (
        OutcomeUnknown(f"{words}; whether it was done cannot be told", next_step=_LOOK)
        if writes
        else (ProtocolViolation(words))
    )


async def stream(
    connection: asyncssh.SSHClientConnection,
    command: str,
    timeout_ms: int,
    *,
    max_bytes: int = MAX_OUTPUT,
    writes: bool = False,
) -> AsyncGenerator[bytes]:
    """The output of one command, as it comes: each chunk within the deadline, all of it within the caps.

    Whoever stops listening before the end ends the command. Unreachable when it could not be asked at all,
    ProtocolViolation when the answer breaks off, stalls, or goes past a cap; OutcomeUnknown instead for one that
    `writes`.
    """
    process: asyncssh.SSHClientProcess[bytes] | None = None
    loop = asyncio.get_running_loop()
    end, size = loop.time() + MAX_SECONDS, 0
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            process = await connection.create_process(command, encoding=None, stderr=asyncssh.STDOUT, window=_WINDOW)
        while True:
            async with asyncio.timeout(timeout_ms / 1000):
                data: bytes = await process.stdout.read(_WINDOW // 2)
            if not data:
                break
            size += len(data)
            if size > max_bytes or loop.time() > end:
                raise _broken("the phone system's answer was too long; the rest was left out", writes=writes)
            held = loop.time()
            yield data
            end += loop.time() - held  # whoever reads it page by page is not the phone system's delay
        async with asyncio.timeout(timeout_ms / 1000):
            await process.wait_closed()
        if process.exit_status is None:
            raise _broken("the phone system's answer broke off", writes=writes)
    except (OSError, TimeoutError, asyncssh.Error) as error:
        # One that writes and was not answered in time may have been taken.
        if process is None and not (writes and isinstance(error, TimeoutError)):
            raise Unreachable(f"the phone system does not take the command ({type(error).__name__})") from error
        raise _broken(f"the phone system stopped answering ({type(error).__name__})", writes=writes) from error
    finally:
        if process is not None:
            process.channel.abort()
