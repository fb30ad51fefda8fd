"""Asterisk's own cache of accounts, where a site has one: what the database says counts once the cache is emptied.

Nothing in a database empties it. Where the site binds a key of ours on the phone system to that one command (an SSH
forced command: docs/connectors/asterisk-realtime.md), it is emptied after each change that it hides; where it does not,
whoever changed something is told what has to be typed on the console.

Source: Asterisk's res_sorcery_memory_cache.c, "sorcery memory cache expire" and what it answers.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import asyncssh

from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.asterisk.statements import GUARD
from connectors.contract import CheckLine, Credential, Target
from connectors.errors import ConnectorError, CredentialRefused, ProtocolViolation
from connectors.guard import Allowed
from connectors.transport import ssh

CACHED: Final = (
    "Asterisk caches accounts: the old password goes on working until somebody runs "
    "'sorcery memory cache expire res_pjsip/auth' on its console, or the cache ages out"
)
_ASKED: Final = "expire"
"""What is asked for over SSH; the key's own command is what runs, whatever is asked."""
_MOST: Final = 4096
_EMPTIED: Final = re.compile(rb"^All objects have been removed from cache '(res_pjsip/[a-z]{1,20})'$", re.M)
_AUTH: Final = "res_pjsip/auth"


class Cache:
    """One phone system's. `key`: the credential's, None where none is stored."""

    def __init__(self, target: Target, settings: AsteriskRealtimeSettings, key: str | None) -> None:
        self._settings, self._target, self._key = settings, target, key
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def is_emptied(self) -> bool:
        """Whether we do it."""
        return self._settings.expiry is not None

    async def emptied(self) -> tuple[str, ...]:
        """Empty it after a change; what is to be said where the old password goes on working, or nothing."""
        if self._settings.sorcery_cache == "none":
            return ()
        if not self.is_emptied:
            return (CACHED,)
        try:
            await self._empty(GUARD.render("expire"))
        except ConnectorError as error:
            return (f"{CACHED}; it could not be emptied from here ({error.message})",)
        return ()

    async def check(self) -> tuple[CheckLine, ...]:
        """Whether it can be emptied, by doing so: that costs Asterisk a look into the database and nobody a call."""
        if not self.is_emptied:
            return ()
        try:
            caches = await self._empty(GUARD.render("expire"))
        except ConnectorError as error:
            return (CheckLine("cache", False, f"Asterisk's cache cannot be emptied: {error.message}"),)
        return (CheckLine("cache", True, f"Asterisk's cache is emptied after each change ({', '.join(caches)})"),)

    async def _empty(self, request: Allowed) -> tuple[str, ...]:
        """Which caches were emptied; that of passwords is among them. Unreachable, IdentityMismatch,
        CredentialRefused, ProtocolViolation."""
        GUARD.require(request)
        connection, told = await self._connected(), b""
        try:
            async for data in ssh.stream(connection, _ASKED, self._target.answer_timeout_ms, max_bytes=_MOST):
                told += data
        except ConnectorError:
            self._hang_up()
            raise
        caches = tuple(dict.fromkeys(found.decode("ascii") for found in _EMPTIED.findall(told.replace(b"\r", b""))))
        if _AUTH not in caches:
            raise ProtocolViolation(f"what our key runs there did not empty {_AUTH}")
        return caches

    async def _connected(self) -> asyncssh.SSHClientConnection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        way, key = self._settings.expiry, self._key
        if way is None or key is None:
            raise CredentialRefused("no key for that is stored")

        async def unseal() -> Credential:
            return Credential(way.login, private_key=key)

        there = replace(self._target, host=way.host or self._target.host, port=way.port, pin=way.pin)
        self._connection = await ssh.connect(there, unseal, way.login)
        return self._connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def close(self) -> None:
        """Let go of the way to it, and of the key."""
        self._key = None
        self._hang_up()
