"""Changing the master key while everything goes on.

Steps, each safe to be cut short and done again: 1 the new key is named in the list as "next", and is made (a file) or
was made by the operator (a token), 2 the list makes it the current one, while nobody is wrapping, 3 file by file of
the key store is wrapped again, each in one rename, 4 nothing is left under another key: it is told, and the list says
so. Until then the old key opens what was not come to; only `retire` takes it away, and not before.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from audit.keystore import FileKeyStore, is_destroyed
from audit.masters import MasterKeys, Named, Open, name_key, opens
from audit.wrapping import ID_BYTES, FileMasterKey, SealingError

_CHANGING: Final = ".changing"
_IN_USE: Final = ".in-use"


class ChangeRefused(Exception):
    """The master keys are not changed now, or not so; `next_step` says what to do."""

    def __init__(self, words: str, next_step: str = "") -> None:
        super().__init__(words)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the master key shall be: in a file, or in a token (its label and the key's)."""

    kind: Literal["file", "pkcs11"]
    token: str = ""
    key: str = ""

    def is_at(self, named: Named) -> bool:
        """True when that is where it says."""
        return named.kind == self.kind and (self.kind == "file" or (named.token, named.key) == (self.token, self.key))


@dataclass(slots=True)
class Found:
    """What the key store holds: keys by the id (hex) of the master key that wraps them, how many were destroyed, and
    the names of files that do not open under the key that they name."""

    under: Counter[str] = field(default_factory=Counter)
    destroyed: int = 0
    damaged: list[str] = field(default_factory=list)


@contextmanager
def _held(path: Path, how: int, words: str) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ChangeRefused(words, "Try again when that is over.") from error
    finally:
        os.close(lock)


@contextmanager
def changing(masters: MasterKeys) -> Iterator[None]:
    """Nobody else changes the master key meanwhile. ChangeRefused when somebody does."""
    with _held(masters.folder / _CHANGING, fcntl.LOCK_EX, "somebody else is changing the master key right now"):
        yield


@contextmanager
def in_use(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Held by a backup, so that every master key that it may need is still there when it comes to it; `alone`, by
    whoever takes one away. ChangeRefused when the other is at it."""
    words = "a backup is being written" if alone else "a master key is being taken away right now"
    with _held(folder / _IN_USE, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, words):
        yield


def being_backed_up(folder: Path) -> bool:
    """True while somebody writes a backup."""
    try:
        with in_use(folder, alone=True):
            return False
    except ChangeRefused:
        return True


def count(keys: FileKeyStore, *, opening: bool = False) -> Iterator[Found]:
    """Look at every file; `opening`, also open each. Gives the same count again after each, at last the whole.
    MasterKeyAway."""
    found = Found()
    yield found
    for path in keys.files():
        wrapped = keys.look(path)
        if is_destroyed(wrapped):
            found.destroyed += 1
        else:
            found.under[wrapped[:ID_BYTES].hex()] += 1
            if opening and not _opens(keys, path, wrapped):
                found.damaged.append(path.name)
        yield found


def _opens(keys: FileKeyStore, path: Path, wrapped: bytes) -> bool:
    try:
        keys.master.unwrap(path.name.encode(), wrapped)
    except SealingError:
        return False
    return True


def choose(keys: FileKeyStore, masters: MasterKeys, wanted: Wanted) -> Named:
    """Step 1: the key to go on with, made and named. It is the current one while something is not under it yet.

    ChangeRefused when it is the one that is used already. SealingError, MasterKeyAway when it cannot be used.
    """
    _forget_unmade(masters, wanted)
    current = masters.current
    if wanted.is_at(current) and (current.moving or left(keys, masters)):
        return current
    if wanted.kind == "pkcs11" and wanted.is_at(current):
        raise ChangeRefused(
            f"the master key is that one already ({current.place})",
            "For a new one, make a key with another label in the token, and name it in keys.pkcs11_key.",
        )
    for named in masters.listed:
        if wanted.is_at(named) and (named.state == "next" or wanted.kind == "pkcs11"):
            return named
    return _new_file(masters) if wanted.kind == "file" else _new_in_token(masters, wanted)


def _forget_unmade(masters: MasterKeys, wanted: Wanted) -> None:
    """What was named and never made, or is not wanted any more: nothing can be wrapped under it."""
    for named in masters.listed:
        unmade = named.kind == "file" and not (masters.folder / named.file).exists()
        if named.state == "next" and (unmade or not wanted.is_at(named)):
            masters.drop(named.id)
            if named.kind == "file":
                (masters.folder / named.file).unlink(missing_ok=True)


def _new_file(masters: MasterKeys) -> Named:
    key = FileMasterKey(secrets.token_bytes(32))
    named = name_key(key, kind="file", file=f"master-{key.id.hex()}.key")
    masters.add(named)
    key.save(masters.folder / named.file)
    return named


def draft_in_token(reach: Open, wanted: Wanted) -> Named:
    """A line of the list for a key that the operator made in a token, which is tried. MasterKeyAway."""
    draft = Named(secrets.token_hex(ID_BYTES), "pkcs11", "next", 0, "", token=wanted.token, key=wanted.key)
    key = reach(draft)
    named = name_key(key, kind="pkcs11", token=wanted.token, key=wanted.key)
    opens(key, named)
    return named


def _new_in_token(masters: MasterKeys, wanted: Wanted) -> Named:
    named = draft_in_token(masters.reach, wanted)
    masters.add(named)
    return named


def switch(keys: FileKeyStore, masters: MasterKeys, named: Named) -> None:
    """Step 2. Whoever wraps a key afterwards, in whatever process, wraps it under this one."""
    with keys.wrapping(alone=True):
        if masters.current.id != named.id:
            masters.make_current(named.id)


def left(keys: FileKeyStore, masters: MasterKeys) -> list[Path]:
    """What step 3 has still to do."""
    current = masters.id
    files = ((path, keys.look(path)) for path in keys.files())
    return [path for path, wrapped in files if not is_destroyed(wrapped) and wrapped[:ID_BYTES] != current]


def needless(keys: FileKeyStore, masters: MasterKeys) -> list[Named]:
    """The old keys, under which nothing is wrapped any more. ChangeRefused when there is none, or something is."""
    old = [named for named in masters.listed if named.state == "old"]
    if not old:
        raise ChangeRefused("there is no old master key to take away")
    *_, found = count(keys)
    for named in old:
        if found.under[named.id]:
            raise ChangeRefused(
                f"{found.under[named.id]} keys are still wrapped under the master key {named.id}",
                "`frameroom keys rewrap` moves them; `frameroom keys check` says which do not open.",
            )
    return old


def retire(masters: MasterKeys, old: list[Named]) -> None:
    """Take away what `needless` gave, under the same locks.

    A key's file goes first: cut short, the list names a key that is not there, and the next call forgets it.
    """
    for named in old:
        if named.kind == "file":
            _destroy_file(masters.folder / named.file)
        masters.drop(named.id)


def _destroy_file(path: Path) -> None:
    """Overwrite and remove it. A disk may still hold old copies of its blocks."""
    try:
        with path.open("r+b") as file:
            file.write(b"\0" * os.fstat(file.fileno()).st_size)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    path.unlink()
