"""Sealing: master key, wrapped keys kept outside the database, commitments and sealed payloads.

AES-256-GCM is not key-committing, so what binds a sealed value is its commitment SHA256(salt32 ‖ canonical value)
in the leaf. Destroying a wrapped key erases every payload under it and leaves every proof whole.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import canonical
from audit.events import Personal
from audit.storage import make_folder, write_new

_NONCE: Final = 12
_HEADER: Final = "frameroom-master-key-v1"
_CACHED: Final = 20_000


class SealingError(Exception):
    """A key or sealed value that cannot be used."""


class KeyMissing(SealingError):
    """No such key was ever made here."""


class KeyDestroyed(SealingError):
    """The key was destroyed on purpose: what it sealed is erased."""


def seal(key: bytes, context: bytes, plain: bytes) -> bytes:
    """nonce ‖ AES-256-GCM(plain), bound to `context`."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def open_sealed(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """The inverse of `seal`. SealingError when key, context or bytes do not fit."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError) as error:
        raise SealingError("a sealed value does not open with this key and context") from error


class FileMasterKey:
    """The deployment's master key, in a file of mode 0600. Wraps other keys; is never written elsewhere."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def create(cls, path: Path) -> FileMasterKey:
        """Make a key file. FileExistsError when there is one."""
        key = secrets.token_bytes(32)
        text = f"{_HEADER}\n{base64.b64encode(key).decode()}\n"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

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
        """Seal under the master key."""
        return seal(self._key, b"wrap\0" + context, plain)

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Open what `wrap` made."""
        return open_sealed(self._key, b"wrap\0" + context, wrapped)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose (keyed indexes), never the master key itself."""
        return hmac.new(self._key, b"derive\0" + purpose.encode(), hashlib.sha256).digest()


class FileKeyStore:
    """Wrapped keys, a file each, in a folder outside the database and its backups.

    File names are keyed hashes, so that the folder's listing tells nothing. A destroyed key leaves an empty file.
    """

    def __init__(self, folder: Path, master: FileMasterKey) -> None:
        self._folder = folder
        self._master = master
        self._index = master.derive("keystore names")
        self._cache: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _place(self, customer: str, key_id: str) -> tuple[Path, bytes]:
        context = f"{customer}\0{key_id}".encode()
        name = hmac.new(self._index, context, hashlib.sha256).hexdigest()
        return self._folder / name[:2] / name, context

    def _remember(self, customer: str, key_id: str, key: bytes) -> bytes:
        self._cache[customer, key_id] = key
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return key

    def cached(self, customer: str, key_id: str) -> bool:
        """True when the key is at hand without a disk."""
        return (customer, key_id) in self._cache

    def get(self, customer: str, key_id: str) -> bytes:
        """The key (32 bytes). KeyMissing, KeyDestroyed."""
        if (cached := self._cache.get((customer, key_id))) is not None:
            return cached
        path, context = self._place(customer, key_id)
        try:
            wrapped = path.read_bytes()
        except FileNotFoundError as error:
            raise KeyMissing(key_id) from error
        if not wrapped:
            raise KeyDestroyed(key_id)
        return self._remember(customer, key_id, self._master.unwrap(context, wrapped))

    def get_or_create(self, customer: str, key_id: str) -> bytes:
        """The key, made durable now if it is new. Two who make it at once agree on one."""
        try:
            return self.get(customer, key_id)
        except KeyMissing:
            path, context = self._place(customer, key_id)
            make_folder(path.parent)
            write_new(path, self._master.wrap(context, secrets.token_bytes(32)))
            return self.get(customer, key_id)

    def destroy(self, customer: str, key_id: str) -> None:
        """Overwrite the wrapped key with nothing, durably. KeyMissing when there never was one."""
        path, _ = self._place(customer, key_id)
        self._cache.pop((customer, key_id), None)
        try:
            file = path.open("r+b")
        except FileNotFoundError as error:
            raise KeyMissing(key_id) from error
        with file:
            size = os.fstat(file.fileno()).st_size
            file.write(b"\0" * size)
            file.flush()
            os.fsync(file.fileno())
            file.truncate(0)
            os.fsync(file.fileno())


def commitment(salt: bytes, value: Any) -> str:
    """Hex SHA256(salt ‖ canonical value)."""
    return hashlib.sha256(salt + canonical.encode(value)).hexdigest()


def seal_personal(
    keys: FileKeyStore, log: str, event_id: str, personal: Sequence[Personal]
) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """Commitments by field, and one sealed payload a key: [(key id, bytes)]."""
    commitments: dict[str, str] = {}
    by_key: dict[str, dict[str, Any]] = {}
    for item in personal:
        salt = secrets.token_bytes(32)
        commitments[item.field] = commitment(salt, item.value)
        by_key.setdefault(item.key_id, {})[item.field] = {"salt": salt.hex(), "value": item.value}
    sealed = [
        (key_id, seal(keys.get_or_create(log, key_id), _context(event_id, key_id), canonical.encode(fields)))
        for key_id, fields in by_key.items()
    ]
    return commitments, sealed


def open_personal(
    keys: FileKeyStore, log: str, event_id: str, key_id: str, sealed: bytes, commitments: Mapping[str, str]
) -> dict[str, Any]:
    """The fields in clear, each checked against its commitment. KeyDestroyed when erased; SealingError when false."""
    plain = open_sealed(keys.get(log, key_id), _context(event_id, key_id), sealed)
    fields: dict[str, Any] = {}
    for name, item in json.loads(plain).items():
        if commitments.get(name) != commitment(bytes.fromhex(item["salt"]), item["value"]):
            raise SealingError(f"{name} is not what the log committed to")
        fields[name] = item["value"]
    return fields


def _context(event_id: str, key_id: str) -> bytes:
    return f"payload\0{event_id}\0{key_id}".encode()
