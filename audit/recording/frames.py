"""The bytes of a recording: frames, sealed journal records, sealed segments.

frame    := offset µs (u64) ‖ direction (u8: o output, r resize, m marker) ‖ length (u32) ‖ bytes
record   := length (u32) ‖ JSON header line {customer, session, chunk} ‖ sealed frames
segment  := sealed( zstd( last chunk (u32) ‖ frames ) )
All integers big-endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import zstandard

from audit.sealing import open_sealed, seal, seal_apart

OUTPUT: Final = ord("o")
RESIZE: Final = ord("r")
MARKER: Final = ord("m")
_FRAME: Final = struct.Struct(">QBI")
_LENGTH: Final = struct.Struct(">I")
_MAX_SEGMENT: Final = 64 << 20


class RecordingError(Exception):
    """Bytes that are not a recording's."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece: when (µs since the start), what kind, and the bytes as they were."""

    offset_us: int
    direction: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment: its number, the SHA-256 of its sealed bytes, first and last frame (µs), size (bytes)."""

    number: int
    digest: str
    first_us: int
    last_us: int
    size: int


def head(offset_us: int, direction: int, length: int) -> bytes:
    """What stands before the bytes of a frame."""
    return _FRAME.pack(offset_us, direction, length)


def pack(offset_us: int, direction: int, data: bytes) -> bytes:
    """One frame's bytes."""
    return head(offset_us, direction, len(data)) + data


def unpack(data: bytes) -> Iterator[Frame]:
    """The frames in order. RecordingError when they do not fill `data` exactly."""
    place = 0
    while place < len(data):
        if place + _FRAME.size > len(data):
            raise RecordingError("a frame is cut short")
        offset, direction, length = _FRAME.unpack_from(data, place)
        place += _FRAME.size
        if direction not in (OUTPUT, RESIZE, MARKER):
            raise RecordingError("a frame of no known kind")
        if place + length > len(data):
            raise RecordingError("a frame is cut short")
        yield Frame(offset, direction, data[place : place + length])
        place += length


def seal_record(key: bytes, customer: str, session: str, chunk: int, frames: bytes | bytearray) -> tuple[bytes, bytes]:
    """A journal record, in two parts that are written one after the other."""
    header = json.dumps({"customer": customer, "session": session, "chunk": chunk}).encode()
    nonce, sealed = seal_apart(key, b"journal\0" + header, frames)
    begin = header + b"\n" + nonce
    return _LENGTH.pack(len(begin) + len(sealed)) + begin, sealed


@dataclass(frozen=True, slots=True)
class Record:
    """A journal record as read, still sealed."""

    customer: str
    session: str
    chunk: int
    header: bytes
    sealed: bytes

    def open(self, key: bytes) -> bytes:
        """Its frames."""
        return open_sealed(key, b"journal\0" + self.header, self.sealed)


def read_records(data: bytes) -> Iterator[Record]:
    """Whole records; a tail that a crash cut short was never durable and is passed over."""
    place = 0
    while place + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        body = data[place : place + length]
        place += length
        header, found, sealed = body.partition(b"\n")
        if len(body) < length or not found:
            return
        try:
            told = json.loads(header)
            yield Record(str(told["customer"]), str(told["session"]), int(told["chunk"]), header, sealed)
        except (ValueError, KeyError, TypeError):
            return


def _context(customer: str, session: str, number: int) -> bytes:
    return f"segment\0{customer}\0{session}\0{number}".encode()


def seal_segment(
    key: bytes, customer: str, session: str, number: int, last_chunk: int, frames: bytes | bytearray
) -> bytes:
    """A segment's object."""
    packed = zstandard.ZstdCompressor(level=3).compress(_LENGTH.pack(last_chunk) + frames)
    return seal(key, _context(customer, session, number), packed)


def open_segment(key: bytes, customer: str, session: str, number: int, data: bytes) -> tuple[int, bytes]:
    """(last chunk, frames). RecordingError, SealingError."""
    packed = open_sealed(key, _context(customer, session, number), data)
    try:
        plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_SEGMENT)
    except zstandard.ZstdError as error:
        raise RecordingError("a segment does not unpack") from error
    if len(plain) < _LENGTH.size:
        raise RecordingError("a segment is cut short")
    return _LENGTH.unpack_from(plain)[0], plain[_LENGTH.size :]
