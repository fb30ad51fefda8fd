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
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
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
_FRESH_S: Final = 5.0
"""How long a key is used from memory alone: another node that destroys one is heard of within this."""
_GONE: Final = b"destroyed "


class SealingError(Exception):
    """A key or sealed value that cannot be used."""


class KeyMissing(SealingError):
    """No such key was ever made here."""


class KeyDestroyed(SealingError):
    """The key was destroyed on purpose, on `day` (2026-11-25; "" when it is not known): what it sealed is erased."""

    def __init__(self, key_id: str, day: str = "") -> None:
        super().__init__(key_id)
        self.day = day


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

    File names are keyed hashes, so that the folder's listing tells nothing. A destroyed key leaves a file that says
    on which day; an empty one is a destroyed key too.
    """

    def __init__(self, folder: Path, master: FileMasterKey) -> None:
        self._folder = folder
        self._master = master
        self._index = master.derive("keystore names")
        self._cache: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _place(self, customer: str, key_id: str) -> tuple[Path, bytes]:
        context = f"{customer}\0{key_id}".encode()
        name = hmac.new(self._index, context, hashlib.sha256).hexdigest()
        return self._folder / name[:2] / name, context

    def _remember(self, customer: str, key_id: str, key: bytes) -> bytes:
        self._cache[customer, key_id] = key, time.monotonic() + _FRESH_S
        self._cache.move_to_end((customer, key_id))
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return key

    def cached(self, customer: str, key_id: str) -> bool:
        """True when the key is at hand without a disk."""
        found = self._cache.get((customer, key_id))
        return found is not None and found[1] > time.monotonic()

    def get(self, customer: str, key_id: str) -> bytes:
        """The key (32 bytes). KeyMissing, KeyDestroyed."""
        cached = self._cache.get((customer, key_id))
        if cached is not None and cached[1] > time.monotonic():
            return cached[0]
        path, context = self._place(customer, key_id)
        try:
            wrapped = path.read_bytes()
        except FileNotFoundError as error:
            raise KeyMissing(key_id) from error
        if not wrapped or wrapped.startswith(_GONE):
            self._cache.pop((customer, key_id), None)
            raise KeyDestroyed(key_id, wrapped[len(_GONE) :].decode("ascii", "replace"))
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

    def living(self, customer: str, key_id: str) -> str:
        """The key under which something new is sealed, made if need be: `key_id`, or after it was destroyed
        `key_id~2` and so on. A user who was erased may be seen again the day after."""
        number, name = 1, key_id
        while True:
            try:
                self.get_or_create(customer, name)
            except KeyDestroyed:
                number += 1
                name = f"{key_id}~{number}"
            else:
                return name

    def alias(self, customer: str, what: str, text: str) -> str:
        """The key id for a person of whom only an address or a name is known: the same for the same text."""
        told = "\0".join(("alias", customer, what, text.strip().casefold())).encode()
        return f"subject:{what}_{hmac.digest(self._index, told, 'sha256').hex()[:32]}"

    def keyed(self, customer: str, what: str, text: str) -> str:
        """What stands in an index for something personal (32 hex digits): the same for the same text, and nothing
        without the master key."""
        told = "\0".join(("index", customer, what, text.strip().casefold())).encode()
        return hmac.digest(self._index, told, "sha256").hex()[:32]

    def has(self, customer: str, key_id: str) -> bool:
        """True when there is such a key and it was not destroyed."""
        try:
            self.get(customer, key_id)
        except (KeyMissing, KeyDestroyed):
            return False
        return True

    def destroy(self, customer: str, key_id: str, at_ms: int | None = None) -> None:
        """Overwrite the wrapped key, durably, and leave the day of `at_ms` (Unix ms; now). Nothing when it was
        destroyed before. KeyMissing when there never was one."""
        path, _ = self._place(customer, key_id)
        self._cache.pop((customer, key_id), None)
        try:
            file = path.open("r+b")
        except FileNotFoundError as error:
            raise KeyMissing(key_id) from error
        with file:
            if file.read(len(_GONE)) == _GONE:
                return
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            file.write(b"\0" * size)
            file.flush()
            os.fsync(file.fileno())
            # Empty is destroyed already: a crash in between loses the day alone.
            file.truncate(0)
            os.fsync(file.fileno())
            at = time.time() if at_ms is None else at_ms / 1000
            file.seek(0)
            file.write(_GONE + datetime.fromtimestamp(at, UTC).date().isoformat().encode())
            file.flush()
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
        by_key.setdefault(keys.living(log, item.key_id), {})[item.field] = {"salt": salt.hex(), "value": item.value}
    sealed = [
        (key_id, seal(keys.get_or_create(log, key_id), _context(event_id, key_id), canonical.encode(fields)))
        for key_id, fields in by_key.items()
    ]
    return commitments, sealed


def payload(keys: FileKeyStore, log: str, event_id: str, key_id: str, sealed: bytes) -> dict[str, Any]:
    """{field: {"salt": hex, "value": value}} as it was sealed, checked against nothing. KeyDestroyed, SealingError."""
    key = keys.get(log, key_id)
    if not sealed:
        raise KeyDestroyed(key_id)  # the ciphertext alone went: something else stands under the same key
    found: dict[str, Any] = json.loads(open_sealed(key, _context(event_id, key_id), sealed))
    return found


def open_personal(
    keys: FileKeyStore, log: str, event_id: str, key_id: str, sealed: bytes, commitments: Mapping[str, str]
) -> dict[str, Any]:
    """The fields in clear, each checked against its commitment. KeyDestroyed when erased; SealingError when false."""
    fields: dict[str, Any] = {}
    for name, item in payload(keys, log, event_id, key_id, sealed).items():
        if commitments.get(name) != commitment(bytes.fromhex(item["salt"]), item["value"]):
            raise SealingError(f"{name} is not what the log committed to")
        fields[name] = item["value"]
    return fields


def _context(event_id: str, key_id: str) -> bytes:
    return f"payload\0{event_id}\0{key_id}".encode()
