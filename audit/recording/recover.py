"""After a crash: what a killed process's journal holds becomes the segments that were missing."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.recording.frames import RecordingError, Segment, open_segment, read_records, seal_segment, unpack
from audit.sealing import FileKeyStore, SealingError
from audit.storage import Objects


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found of a session that a crash left: all its segments, the last one perhaps made now.

    `damaged` says what of the journal could not be used; None when all of it could.
    """

    customer: str
    session: str
    segments: tuple[Segment, ...]
    damaged: str | None = None


@contextmanager
def _unlocked(path: Path) -> Iterator[bool]:
    """True when no living process writes this journal; nobody else takes it meanwhile."""
    fd = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def recover(folder: Path, objects: Objects, keys: FileKeyStore, keep: Path | None = None) -> list[Recovered]:
    """Turn journals that dead processes left into the segments that were missing, up to the last durable frame.

    A journal goes only when every session in it was recovered. One session's damage does not hold up another's.
    MasterKeyAway leaves the journal for the next time.
    """
    found: list[Recovered] = []
    for path in sorted(folder.glob("*.journal")):
        if path == keep:
            continue
        with _unlocked(path) as dead:
            if dead:
                found += _recover_journal(path, objects, keys)
                path.unlink()
    return found


def _recover_journal(path: Path, objects: Objects, keys: FileKeyStore) -> list[Recovered]:
    sessions: dict[tuple[str, str], dict[int, bytes]] = {}
    damage: dict[tuple[str, str], str] = {}
    for record in read_records(path.read_bytes()):
        place = (record.customer, record.session)
        chunks = sessions.setdefault(place, {})
        if place in damage:
            continue
        try:
            chunks[record.chunk] = record.open(keys.get(record.customer, f"session:{record.session}"))
        except SealingError as error:
            # What follows a record that does not open is not known to follow what came before it.
            damage[place] = str(error)
    return [
        _recover_one(customer, session, chunks, objects, keys, damage.get((customer, session)))
        for (customer, session), chunks in sessions.items()
    ]


def stored_segments(objects: Objects, keys: FileKeyStore, customer: str, session: str) -> tuple[list[Segment], int]:
    """The segments that a session has in the object store, and the last journal chunk that they hold."""
    key = keys.get(customer, f"session:{session}")
    segments: list[Segment] = []
    chunk = 0
    while (data := objects.get(f"recordings/{customer}/{session}/{len(segments)}")) is not None:
        chunk, frames = open_segment(key, customer, session, len(segments), data)
        segments.append(_segment(len(segments), data, frames))
    return segments, chunk


def _segment(number: int, data: bytes, frames: bytes) -> Segment:
    offsets = [frame.offset_us for frame in unpack(frames)] or [0]
    return Segment(number, hashlib.sha256(data).hexdigest(), offsets[0], offsets[-1], len(data))


def _recover_one(
    customer: str,
    session: str,
    chunks: dict[int, bytes],
    objects: Objects,
    keys: FileKeyStore,
    damaged: str | None,
) -> Recovered:
    try:
        segments, last_chunk = stored_segments(objects, keys, customer, session)
        rest = b"".join(frames for chunk, frames in sorted(chunks.items()) if chunk > last_chunk)
        if rest:
            number = len(segments)
            data = seal_segment(keys.get(customer, f"session:{session}"), customer, session, number, max(chunks), rest)
            objects.put_new(f"recordings/{customer}/{session}/{number}", data)
            segments.append(_segment(number, data, rest))
    except (SealingError, RecordingError) as error:
        return Recovered(customer, session, (), damaged or str(error))
    return Recovered(customer, session, tuple(segments), damaged)
