"""The key store: wrapped keys outside the database. Destroying one erases whatever was sealed under it."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from audit.storage import make_folder, replace, write_all_new, write_new
from audit.wrapping import ID_BYTES, KeyDestroyed, KeyMissing, KeyStoreAway, MasterKey, MasterKeyAway, SealingError

P = ParamSpec("P")
T = TypeVar("T")

_CACHED: Final = 20_000
_FRESH_S: Final = 5.0
"""How long a key is used from memory alone: another node that destroys one is heard of within this."""
_GONE: Final = b"destroyed "
_INDEX: Final = "index"
_LOCK: Final = ".lock"


@dataclass(slots=True)
class _Held:
    """A key in memory, as the file `name` has it; until then (monotonic s) nobody need look whether it still has."""

    name: str
    key: bytes
    wrapped: bytes
    until: float = 0


class FileKeyStore:
    """Wrapped keys, a file each, in a folder outside the database and its backups.

    File names are keyed hashes, so that the folder's listing tells nothing; the key of those names is the file
    `index`, wrapped like the others, and outlives every master key. A destroyed key leaves a file that says on which
    day; an empty one is a destroyed key too.
    """

    def __init__(self, folder: Path, master: MasterKey) -> None:
        self._folder = folder
        self.master = master
        self._cache: OrderedDict[tuple[str, str], _Held] = OrderedDict()
        self._named: dict[str, _Held] = {}
        self._naming = threading.Lock()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="keys")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secret = self._open_index()
        self._index = self.derive("keystore names")

    def _open_index(self) -> bytes:
        path = self._folder / _INDEX
        if not path.exists():
            if any(found.is_dir() for found in self._folder.iterdir()):
                raise SealingError(f"{path} is missing: put it back from the newest backup of the keys")
            with self.wrapping():
                write_new(path, self.master.wrap(_INDEX.encode(), secrets.token_bytes(32)))
        try:
            return self.master.unwrap(_INDEX.encode(), self.look(path))
        except SealingError as error:
            raise _damaged(path) from error

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose (keyed digests) that is the same under every master key."""
        return hmac.new(self._secret, b"derive\0" + purpose.encode(), hashlib.sha256).digest()

    @contextmanager
    def wrapping(self, *, alone: bool = False) -> Iterator[None]:
        """Held by whoever wraps a key until its file is durable; `alone`, by whoever changes the master key."""
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(lock)

    async def off_the_loop(self, call: Callable[P, T], *args: P.args, **rest: P.kwargs) -> T:
        """Do what may wait for a disk or a token, in a thread of the key store's own: a token that hangs takes none
        from whoever writes recordings."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(call, *args, **rest))

    def files(self) -> Iterator[Path]:
        """Every file that holds a wrapped key or says that one was destroyed, `index` among them."""
        yield self._folder / _INDEX
        for inside in sorted(found for found in self._folder.iterdir() if found.is_dir()):
            yield from sorted(file for file in inside.iterdir() if not file.name.startswith("."))

    def _place(self, customer: str, key_id: str) -> Path:
        name = hmac.new(self._index, f"{customer}\0{key_id}".encode(), hashlib.sha256).hexdigest()
        return self._folder / name[:2] / name

    def _remember(self, customer: str, key_id: str, held: _Held) -> bytes:
        held.until = time.monotonic() + _FRESH_S
        self._cache[customer, key_id] = held
        self._named[held.name] = held
        self._cache.move_to_end((customer, key_id))
        if len(self._cache) > _CACHED:
            _, oldest = self._cache.popitem(last=False)
            self._named.pop(oldest.name, None)
        return held.key

    def _forget(self, customer: str, key_id: str) -> None:
        held = self._cache.pop((customer, key_id), None)
        if held is not None:
            self._named.pop(held.name, None)

    def cached(self, customer: str, key_id: str) -> bool:
        """True when the key is at hand without a disk or a token."""
        found = self._cache.get((customer, key_id))
        return found is not None and found.until > time.monotonic()

    def get(self, customer: str, key_id: str) -> bytes:
        """The key (32 bytes). KeyMissing, KeyDestroyed, MasterKeyAway, KeyStoreAway."""
        held = self._cache.get((customer, key_id))
        if held is not None and held.until > time.monotonic():
            return held.key
        path = self._place(customer, key_id)
        try:
            wrapped = self._read(path, key_id)
        except KeyDestroyed:
            self._forget(customer, key_id)
            raise
        while held is None or held.wrapped != wrapped:  # a token is asked only for what it was not asked before
            try:
                held = _Held(path.name, self.master.unwrap(path.name.encode(), wrapped), wrapped)
            except SealingError as error:
                # Read while it was replaced under another master key, or destroyed: then it reads otherwise now.
                if (now := self._read(path, key_id)) == wrapped:
                    raise _damaged(path) from error
                wrapped = now
        return self._remember(customer, key_id, held)

    @classmethod
    def _read(cls, path: Path, key_id: str) -> bytes:
        try:
            wrapped = cls.look(path)
        except FileNotFoundError as error:
            raise KeyMissing(key_id) from error
        except OSError as error:
            raise _away(error) from error
        if is_destroyed(wrapped):
            raise KeyDestroyed(key_id, wrapped.strip(b"\0")[len(_GONE) :].decode("ascii", "replace"))
        return wrapped

    @staticmethod
    def look(path: Path) -> bytes:
        """What a key's file holds, wrapped as it is. FileNotFoundError."""
        wrapped = path.read_bytes()
        # Blank: being destroyed, or replaced under another master key between the opening and the reading.
        return wrapped if wrapped.strip(b"\0") else path.read_bytes()

    def get_or_create(self, customer: str, key_id: str) -> bytes:
        """The key, made durable now if it is new. Two who make it at once agree on one. As `get`, but KeyMissing."""
        try:
            if not self.cached(customer, key_id):
                with self._naming:  # what can be read there may not be durable before that
                    pass
            return self.get(customer, key_id)
        except KeyMissing:
            path = self._place(customer, key_id)
            key = secrets.token_bytes(32)
            try:
                # Where the index is gone, so is the folder (a volume that is not mounted): a key made in its place
                # would stand in the way of the one that is missed.
                (self._folder / _INDEX).stat()
                make_folder(path.parent)
                with self.wrapping():
                    wrapped = self.master.wrap(path.name.encode(), key)
                    made = write_new(path, wrapped)
            except OSError as error:
                raise _away(error) from error
            if made:
                return self._remember(customer, key_id, _Held(path.name, key, wrapped))
            return self.get(customer, key_id)

    def make_ready(self, customer: str, key_ids: Iterable[str]) -> None:
        """Make those of these keys that there never were, durably and together: many at once cost little more than one.
        As `get`, but KeyMissing."""
        made: dict[Path, tuple[str, _Held]] = {}
        for key_id in key_ids:
            with suppress(KeyDestroyed):
                try:
                    self.get(customer, key_id)
                except KeyMissing:
                    path = self._place(customer, key_id)
                    made[path] = key_id, _Held(path.name, secrets.token_bytes(32), b"")
        if not made:
            return
        try:
            (self._folder / _INDEX).stat()  # as in `get_or_create`
            with self.wrapping():
                for path, (_, held) in made.items():
                    held.wrapped = self.master.wrap(path.name.encode(), held.key)
                with self._naming:
                    new = write_all_new(self._folder, {path: held.wrapped for path, (_, held) in made.items()})
        except OSError as error:
            raise _away(error) from error
        for path in new:
            self._remember(customer, *made[path])

    def get_first(self, customer: str, key_id: str) -> bytes:
        """A key that a deployment begins with: made in a new key store alone. SealingError where others are there
        without it, because a new one in its place would hide that what was sealed under it opens no more."""
        try:
            return self.get(customer, key_id)
        except KeyMissing as error:
            if any(path.name != _INDEX for path in self.files()):
                path = self._place(customer, key_id)
                raise SealingError(f"{path} is missing: put it back from the newest backup of the keys") from error
            return self.get_or_create(customer, key_id)

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
        without the key store."""
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
        path = self._place(customer, key_id)
        self._forget(customer, key_id)
        at = time.time() if at_ms is None else at_ms / 1000
        if not path.exists():
            raise KeyMissing(key_id)
        with _locked(path) as file:
            if file.read(len(_GONE)) == _GONE:
                return
            # A rewrap that was cut short left a second copy beside it.
            _blank_and_remove(unfinished(path))
            _blank(file)
            # Empty is destroyed already: a crash in between loses the day alone.
            file.truncate(0)
            os.fsync(file.fileno())
            file.seek(0)
            file.write(_GONE + datetime.fromtimestamp(at, UTC).date().isoformat().encode())
            file.flush()
            os.fsync(file.fileno())

    def rewrap(self, path: Path) -> bool:
        """Wrap the key in one of `files` under the master key that wraps new ones; False when it is, or is destroyed.

        The old copy stays until the new one is durable and was seen to open, and is then overwritten. Nobody destroys
        the key meanwhile. SealingError when it does not open; MasterKeyAway.
        """
        with _locked(path) as file:
            wrapped = file.read()
            if is_destroyed(wrapped) or wrapped[:ID_BYTES] == self.master.id:
                return False
            context = path.name.encode()
            key = self.master.unwrap(context, wrapped)
            again = self.master.wrap(context, key)
            if not hmac.compare_digest(self.master.unwrap(context, again), key):
                raise MasterKeyAway("the new master key does not give back what it wrapped")
            replace(path, again, unfinished(path))
            if (held := self._named.get(path.name)) is not None:
                held.wrapped = again
            _blank(file)
        return True


def _away(error: OSError) -> KeyStoreAway:
    return KeyStoreAway(f"the folder of the keys cannot be used ({error.strerror or type(error).__name__})")


def _damaged(path: Path) -> SealingError:
    return SealingError(f"{path} does not open: put it back from the newest backup of the keys")


def unfinished(path: Path) -> Path:
    """Where a wrapped key is written before it takes the place of the one at `path`."""
    return path.with_name(f".{path.name}.again")


def is_destroyed(wrapped: bytes) -> bool:
    """True of the contents of a file of the key store whose key is gone."""
    return wrapped.startswith(_GONE) or not wrapped.strip(b"\0")


@contextmanager
def _locked(path: Path) -> Iterator[Any]:
    """The file at `path`, open for reading and writing, which nobody else destroys or rewraps meanwhile."""
    while True:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                continue  # rewrapped while we waited: what is open is no longer the key
            yield file
            return


def _blank(file: Any) -> None:
    file.seek(0)
    file.write(b"\0" * os.fstat(file.fileno()).st_size)
    file.flush()
    os.fsync(file.fileno())


def _blank_and_remove(path: Path) -> None:
    try:
        with path.open("r+b") as file:
            _blank(file)
    except FileNotFoundError:
        return
    path.unlink()
