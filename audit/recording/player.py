"""Reading a recording: frames, plain text for search, sanitised play, and asciicast v2 as an export."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Final

from audit.recording.frames import MARKER, OUTPUT, RESIZE, Frame, open_segment, unpack
from audit.recording.sanitise import Sanitiser
from audit.recording.sanitise import plain as plain
from audit.recording.sanitise import sanitise as sanitise
from audit.sealing import FileKeyStore
from audit.storage import Objects

_NAMES: Final = {OUTPUT: "o", RESIZE: "r", MARKER: "m"}


class Player:
    """One recording, opened. Whoever opens it appends `looked.recording` first."""

    def __init__(self, objects: Objects, keys: FileKeyStore, customer: str, session: str) -> None:
        self._objects, self._customer, self._session = objects, customer, session
        self._key = keys.get(customer, f"session:{session}")

    def frames(self, from_us: int = 0) -> Iterator[Frame]:
        """Frames from an offset on, segment by segment."""
        return (frame for frame in self._frames_around(from_us) if frame.offset_us >= from_us)

    def _frames_around(self, from_us: int) -> Iterator[Frame]:
        """Frames from the beginning of the segment on that an offset lies in."""
        number = self._number_at(from_us)
        while (packed := self._segment(number)) is not None:
            yield from unpack(packed)
            number += 1

    def _segment(self, number: int) -> bytes | None:
        data = self._objects.get(f"recordings/{self._customer}/{self._session}/{number}")
        return None if data is None else open_segment(self._key, self._customer, self._session, number, data)[1]

    def _begins_by(self, number: int, at_us: int) -> bool:
        """True when there is such a segment and it begins no later."""
        packed = self._segment(number)
        if packed is None:
            return False
        first = next(unpack(packed), None)
        return first is not None and first.offset_us <= at_us

    def _number_at(self, at_us: int) -> int:
        """The last segment that begins no later: by doubling and halving, so that twelve hours take some two dozen
        segments to find a place in, and not all that come before it."""
        if at_us <= 0 or not self._begins_by(1, at_us):
            return 0
        low, high = 1, 2
        while self._begins_by(high, at_us):
            low, high = high, high * 2
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if self._begins_by(middle, at_us) else (low, middle)
        return low

    def text(self, from_us: int = 0) -> Iterator[tuple[int, str]]:
        """(offset µs, sanitised text) of the output; characters and sequences split across frames come whole."""
        yield from self._shown(Sanitiser(), from_us)

    def _shown(self, sanitiser: Sanitiser, from_us: int = 0) -> Iterator[tuple[int, str]]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        last = from_us
        for frame in self._frames_around(from_us):
            last = max(from_us, frame.offset_us)
            # What comes before in the segment is read too: a sequence or character may have begun in it.
            shown = sanitiser.feed(decoder.decode(frame.data)) if frame.direction == OUTPUT else ""
            if shown and frame.offset_us >= from_us:
                yield last, shown
        if shown := sanitiser.feed(decoder.decode(b"", True)):
            yield last, shown

    def search(self, words: str, from_us: int = 0) -> Iterator[tuple[int, str]]:
        """(offset µs, line) of the lines that hold `words`, in whatever case, from an offset on."""
        line, started = "", 0
        for offset, shown in self._shown(Sanitiser(plain=True), from_us):
            for piece in shown.replace("\r", "").splitlines(keepends=True):
                started = started if line else offset
                line += piece
                if line.endswith("\n"):
                    if words.casefold() in line.casefold():
                        yield started, line.rstrip("\n")
                    line = ""
        if line and words.casefold() in line.casefold():
            yield started, line

    def asciicast(self, title: str) -> Iterator[str]:
        """asciicast v2, line by line. Sanitised: whoever plays the file has a terminal too."""
        decoder, sanitiser = codecs.getincrementaldecoder("utf-8")("replace"), Sanitiser()
        started, last = False, 0
        for frame in self.frames():
            last = frame.offset_us
            if frame.direction == OUTPUT:
                text = sanitiser.feed(decoder.decode(frame.data))
            else:
                text = frame.data.decode("utf-8", "replace")
            if frame.direction == RESIZE and not started:
                width, _, height = text.partition("x")
                yield json.dumps({"version": 2, "width": int(width), "height": int(height), "title": title})
                started = True
            elif text or frame.direction == MARKER:
                yield json.dumps([last / 1_000_000, _NAMES[frame.direction], text])
        if rest := decoder.decode(b"", True):
            yield json.dumps([last / 1_000_000, "o", rest])
