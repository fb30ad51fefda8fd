"""`frameroom backup`: database, objects, keyring and keys in one file, sealed to a recipient.

The identity that opens it is never on this machine.

What is consistent with what: 1 the published checkpoints are read, 2 one view of the database begins, which has
therefore at least what they commit to, 3 keyring and objects are read while that view stands, so they are at least as
new as the rows that name them. It works while `serve` runs; nobody waits for it. Memory is a page, whatever the size.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyrage

from audit.publisher import note_names
from audit.rewrap import ChangeRefused, in_use
from audit.storage import Objects, StorageError
from gateway.errors import ConflictError, UnavailableError
from gateway.store import rows, schema
from gateway.wiring.archive import CONFIG, HEAD, Digesting, Head, Writer, recipients_of
from gateway.wiring.ending import leaves
from gateway.wiring.parts import Parts, database_url

PARTS: Final = ("database", "objects", "keyring", "keys")
KEYS: Final = ("keyring", "keys")
"""What erasing a person must reach: kept apart, and for 30 days at most, a backup of the rest may be kept for long."""
_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Made:
    """A finished backup: SHA-256 (hex) and size in bytes of the sealed file, and how many files are in it."""

    digest: str
    size: int
    files: int


def partial(file: Path) -> Path:
    """Where a backup grows until it is whole."""
    return file.with_name(file.name + ".part")


async def write(
    opened: Parts, file: Path, to: tuple[str, ...], what: tuple[str, ...], config: str,
    say: Callable[[Made], Awaitable[None]] | None = None,
) -> Made:  # fmt: skip
    """Write the parts `what` of a deployment to `file`, durable and whole or not at all.

    `config` is the text of frameroom.toml. `say` logs it, before the file has its name and while it still counts as
    being written: whoever erases a person must not miss a backup that has the keys. ConflictError when the file is
    there, InvalidError on a recipient that is none, UnavailableError when it cannot be written or read.
    """
    recipients, growing = recipients_of(to), partial(file)
    _must_be_new(file)
    try:
        descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError(
            f"{growing} is there: another backup is being written, or one was cut short",
            next_step=f"When nobody is writing it, delete {growing.name} and try again.",
        ) from error
    except OSError as error:
        raise UnavailableError(f"{file} could not be written ({error.strerror})") from error
    try:
        with os.fdopen(descriptor, "wb") as out, in_use(opened.masters.folder):
            sink = Digesting(out)
            files = await _stream(opened, sink, recipients, what, config)
            out.flush()
            await asyncio.to_thread(os.fsync, out.fileno())
            made = Made(sink.hexdigest(), sink.size, files)
            if say is not None:
                await say(made)
            _settle(growing, file)
    except ChangeRefused as error:
        raise ConflictError(str(error), next_step=error.next_step) from error
    except OSError as error:
        raise UnavailableError(f"{file} could not be written ({error.strerror})") from error
    finally:
        growing.unlink(missing_ok=True)
    return made


def _must_be_new(file: Path) -> None:
    if file.exists():
        raise ConflictError(f"{file} is there already; a backup overwrites nothing")


def _settle(growing: Path, file: Path) -> None:
    """Give it its name, unless somebody took the name meanwhile; durably."""
    try:
        os.link(growing, file)
    except FileExistsError as error:
        raise ConflictError(f"{file} is there already; a backup overwrites nothing") from error
    except OSError as error:
        # A file system without hard links (a USB stick) can only rename.
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        _must_be_new(file)
        os.rename(growing, file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def _stream(opened: Parts, sink: Digesting, recipients: list[Any], what: tuple[str, ...], config: str) -> int:
    read_end, write_end = os.pipe()

    def seal() -> None:
        with os.fdopen(read_end, "rb") as pipe:
            pyrage.encrypt_io(pipe, sink, recipients)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(seal))
            writer = Writer(os.fdopen(write_end, "wb"))
            try:
                await _fill(opened, writer, what, config)
            finally:
                await asyncio.to_thread(writer.close)
    except BaseExceptionGroup as errors:
        # A pipe that broke only follows from what stopped the sealing.
        causes = leaves(errors)
        first = next((cause for cause in causes if not isinstance(cause, BrokenPipeError)), causes[0])
        if isinstance(first, StorageError):
            raise UnavailableError(str(first)) from errors
        raise first from errors
    return writer.files


async def _fill(opened: Parts, writer: Writer, what: tuple[str, ...], config: str) -> None:
    settings = opened.settings
    url = database_url(settings)
    has, newest = await asyncio.to_thread(schema.status, url)
    if has != newest:
        raise UnavailableError(
            f"the database has schema {has} and this program is made for {newest}",
            next_step="Back up with the version that it was made by, or `frameroom db upgrade` first.",
        )
    with_rows = "database" in what
    head = Head(
        deployment=settings.deployment.name, made_ms=opened.audit.clock.now(), parts=list(what),
        database=("sqlite" if opened.store.is_sqlite else "postgresql") if with_rows else "",
        revision=str(has) if with_rows else "", tables=rows.shape() if with_rows else {},
    )  # fmt: skip
    await asyncio.to_thread(writer.add, HEAD, head.model_dump_json().encode())
    await asyncio.to_thread(writer.add, CONFIG, config.encode())
    objects = opened.objects
    published = {name: objects.get(name) or b"" for name in note_names(objects)} if "objects" in what else {}
    async with opened.store.look_at_everyone() as scope:
        if with_rows:
            number = 0
            async for table, page in rows.dump(scope):
                number += 1
                await asyncio.to_thread(writer.add, f"database/{number:08}-{table}.jsonl", page)
        data = settings.storage.data_dir
        for part in KEYS:
            if part in what:
                await _add_all(writer, part, (_read(p, data / part) for p in _below(data / part)))
        if "objects" in what:
            await _add_all(writer, "objects", iter(published.items()))
            await _add_all(writer, "objects", _later(objects))
    await asyncio.to_thread(writer.finish)


def _later(objects: Objects) -> Iterator[tuple[str, bytes]]:
    for name in objects.list():
        if not name.startswith("log/") and (data := objects.get(name)) is not None:
            yield name, data


def _below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _below(folder / entry.name)
        elif not entry.name.startswith("."):
            yield folder / entry.name


def _read(path: Path, folder: Path) -> tuple[str, bytes]:
    return path.relative_to(folder).as_posix(), path.read_bytes()


async def _add_all(writer: Writer, folder: str, files: Iterator[tuple[str, bytes]]) -> None:
    """Off the loop, some at a time."""

    def some() -> bool:
        count = 0
        for name, data in islice(files, _AT_ONCE):
            writer.add(f"{folder}/{name}", data)
            count += 1
        return count > 0

    while await asyncio.to_thread(some):
        continue
