"""Where objects go: segments of recordings, tiles and checkpoints. Durable before a call returns.

Two places do what `Objects` says: a local folder (here), and a bucket (audit/bucket.py).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class StorageError(Exception):
    """The object store could not do it; nothing that was there is changed."""


class Objects(Protocol):
    """A place for objects; names are relative paths with `/`. Calls block, and raise StorageError alone."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Store a new object; False when the name is taken."""

    def put(self, name: str, data: bytes) -> None:
        """Store or replace an object. For what several may write at once, `update`."""

    def get(self, name: str) -> bytes | None:
        """The object's bytes, or None. StorageError when it is there and cannot be read."""

    def update(self, name: str, decide: Callable[[bytes | None], bytes | None]) -> bool:
        """Compare and swap: `decide` is given what is held and says what is to stand there (None: leave it); it may
        be asked again. True when it was replaced."""

    def remove(self, name: str) -> None:
        """Take an object away; nothing when there is none."""

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right under a folder, without it, sorted."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names under a folder, or of everything, sorted folder by folder."""


def object_parts(name: str) -> Sequence[str]:
    """The parts of an object's name. StorageError for one that could leave the store, or that a store reads its own
    way."""
    parts = name.split("/")
    if any(not p or p.startswith(".") or not p.isprintable() for p in parts):
        raise StorageError(f"not an object's name: {name!r}")
    return parts


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable in its parent before anything is put into it."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(exist_ok=True, mode=0o700)
        sync_folder(made.parent)


def _temporary(path: Path, data: bytes, by_way_of: Path | None = None) -> Path:
    temporary = by_way_of or path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if by_way_of else os.O_EXCL), 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def write_new(path: Path, data: bytes) -> bool:
    """Write a file that was not there, durably and all at once; False (and nothing done) when it was."""
    temporary = _temporary(path, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sync_filesystem(folder: Path) -> None:
    """Make all durable that was written so far where a folder is: one way to the disk, however many files those are."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "the file system could not be synchronised")
    finally:
        os.close(fd)


def write_all_new(folder: Path, files: Mapping[Path, bytes]) -> set[Path]:
    """`write_new` of many under a folder that is there, in two ways to the disk for all of them; those that were not
    there before."""
    temporary = {path: path.with_name(f".{path.name}.{secrets.token_hex(6)}") for path in files}
    made: set[Path] = set()
    try:
        for path, data in files.items():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(temporary[path], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
        sync_filesystem(folder)
        for path, written in temporary.items():
            with suppress(FileExistsError):
                os.link(written, path)
                made.add(path)
    finally:
        for written in temporary.values():
            written.unlink(missing_ok=True)
    sync_filesystem(folder)
    return made


def replace(path: Path, data: bytes, by_way_of: Path | None = None) -> None:
    """Write or replace a file, durably and all at once.

    `by_way_of`: where it is written first, for a caller who keeps others away and must find it after a crash.
    """
    temporary = _temporary(path, data, by_way_of)
    try:
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


class LocalObjects:
    """Objects in a local folder; names are relative paths with `/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, name: str) -> Path:
        return self.folder.joinpath(*object_parts(name))

    def put_new(self, name: str, data: bytes) -> bool:
        """Store a new object; False when the name is taken. StorageError when the disk says no."""
        path = self._path(name)
        try:
            make_folder(path.parent)
            return write_new(path, data)
        except OSError as error:
            raise StorageError(f"could not store {name}: {error.strerror}") from error

    def put(self, name: str, data: bytes) -> None:
        """Store or replace an object. For what several may write at once, `update`."""
        path = self._path(name)
        try:
            make_folder(path.parent)
            replace(path, data)
        except OSError as error:
            raise StorageError(f"could not store {name}: {error.strerror}") from error

    def get(self, name: str) -> bytes | None:
        """The object's bytes, or None. StorageError when it is there and cannot be read."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"could not read {name}: {error.strerror}") from error

    def update(self, name: str, decide: Callable[[bytes | None], bytes | None]) -> bool:
        """Compare and swap: `decide` is given what is held and says what is to stand there (None: leave it).

        Nobody else updates the object in between, in this process or another. True when it was replaced.
        """
        path = self._path(name)
        try:
            make_folder(path.parent)
            lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"could not store {name}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = decide(self.get(name))
            if data is None:
                return False
            self.put(name, data)
            return True
        finally:
            os.close(lock)

    def remove(self, name: str) -> None:
        """Take an object away; nothing when there is none. StorageError."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"could not remove {name}: {error.strerror}") from error

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right under a folder, without it, sorted."""
        try:
            with os.scandir(self._path(prefix)) as found:
                return sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StorageError(f"could not list {prefix}: {error.strerror}") from error

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names under a folder, or of everything, sorted folder by folder; memory is that of one folder's names."""
        folder = self._path(prefix) if prefix else self.folder
        # Looked at when it is come to: a name that goes meanwhile is no error, nor is a folder that never was.
        try:
            with os.scandir(folder) as found:
                inside = sorted((entry.name, entry.is_dir()) for entry in found if not entry.name.startswith("."))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"could not list {prefix or 'the objects'}: {error.strerror}") from error
        for name, is_folder in inside:
            path = f"{prefix}/{name}" if prefix else name
            if is_folder:
                yield from self.list(path)
            else:
                yield path
