"""Wrapping: sealing with a key and a context, and the master key, under which every other key is wrapped.

The master key wraps the key store's files and nothing else, so that changing it (audit/rewrap.py) rewrites those files
alone: no row of a database, no object, no name of a file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit.storage import sync_folder

_NONCE: Final = 12
_HEADER: Final = "frameroom-master-key-v1"
ID_BYTES: Final = 8
"""Length of a master key's id, which stands in front of everything that it wrapped."""


class SealingError(Exception):
    """A key or sealed value that cannot be used."""


class MasterKeyAway(Exception):
    """The master key cannot be reached now; what was asked can be asked again.

    Not a SealingError, which says of something sealed that it does not hold: whoever passes over that, writes it down
    or goes on without it must not do so because a token was unplugged.
    """


class KeyStoreAway(MasterKeyAway):
    """The folder of the wrapped keys cannot be read or written now. Whoever wants a key is helped as little as when the
    master key is away, and told the same way."""


class KeyMissing(SealingError):
    """No such key was ever made here."""


class KeyDestroyed(SealingError):
    """The key was destroyed on purpose, on `day` (2026-11-25; "" when it is not known): what it sealed is erased."""

    def __init__(self, key_id: str, day: str = "") -> None:
        super().__init__(key_id)
        self.day = day


def seal_apart(key: bytes, context: bytes, plain: bytes | bytearray) -> tuple[bytes, bytes]:
    """(nonce, AES-256-GCM(plain)), bound to `context`: for what is large enough that joining the two would cost."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce, AESGCM(key).encrypt(nonce, plain, context)


def seal(key: bytes, context: bytes, plain: bytes) -> bytes:
    """nonce ‖ AES-256-GCM(plain), bound to `context`."""
    return b"".join(seal_apart(key, context, plain))


def open_sealed(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """The inverse of `seal`. SealingError when key, context or bytes do not fit."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError) as error:
        raise SealingError("a sealed value does not open with this key and context") from error


class MasterKey(Protocol):
    """Wraps other keys. Its calls may block for as long as `slow` says."""

    @property
    def slow(self) -> bool:
        """True when a call leaves the process (a token): never to be waited for on the event loop."""

    @property
    def id(self) -> bytes:
        """What stands in front of everything that it wrapped (8 bytes)."""

    def wrap(self, context: bytes, plain: bytes) -> bytes:
        """id ‖ the key sealed for this context. MasterKeyAway."""

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """The inverse. SealingError when key, context or bytes do not fit; MasterKeyAway."""


class FileMasterKey:
    """A master key in a file of mode 0600; is never written elsewhere."""

    slow = False

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.id = hashlib.sha256(b"frameroom-master-key-id\0" + key).digest()[:ID_BYTES]

    @classmethod
    def create(cls, path: Path) -> FileMasterKey:
        """Make a key file. FileExistsError when there is one."""
        made = cls(secrets.token_bytes(32))
        made.save(path)
        return made

    def save(self, path: Path) -> None:
        """Write it, durably. FileExistsError when there is one."""
        text = f"{_HEADER}\n{base64.b64encode(self._key).decode()}\n"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)

    @classmethod
    def load(cls, path: Path) -> FileMasterKey:
        """Read it. SealingError when it is not one, or when others could read it."""
        if path.stat().st_mode & 0o077:
            raise SealingError(f"{path} can be read by others: chmod 600 it")
        lines = path.read_text(errors="replace").split("\n")
        try:
            key = base64.b64decode(lines[1], validate=True) if len(lines) > 1 and lines[0] == _HEADER else b""
        except ValueError:
            key = b""
        if len(key) != 32:
            raise SealingError(f"{path} is not a master key")
        return cls(key)

    def wrap(self, context: bytes, plain: bytes) -> bytes:
        """id ‖ nonce ‖ AES-256-GCM."""
        return self.id + seal(self._key, b"wrap\0" + context, plain)

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Open what `wrap` made. SealingError when another key made it."""
        return open_sealed(self._key, b"wrap\0" + context, wrapped[ID_BYTES:])
