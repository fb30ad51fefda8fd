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
        number = 0
        while (data := self._objects.get(f"recordings/{self._customer}/{self._session}/{number}")) is not None:
            _, packed = open_segment(self._key, self._customer, self._session, number, data)
            yield from (frame for frame in unpack(packed) if frame.offset_us >= from_us)
            number += 1

    def text(self, from_us: int = 0) -> Iterator[tuple[int, str]]:
        """(offset µs, sanitised text) of the output; characters and sequences split across frames come whole."""
        yield from self._shown(Sanitiser(), from_us)

    def _shown(self, sanitiser: Sanitiser, from_us: int = 0) -> Iterator[tuple[int, str]]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        last = from_us
        for frame in self.frames(from_us):
            last = frame.offset_us
            if frame.direction == OUTPUT and (shown := sanitiser.feed(decoder.decode(frame.data))):
                yield last, shown
        if shown := sanitiser.feed(decoder.decode(b"", True)):
            yield last, shown

    def search(self, words: str) -> Iterator[tuple[int, str]]:
        """(offset µs, line) of the lines that hold `words`, in whatever case."""
        line, started = "", 0
        for offset, shown in self._shown(Sanitiser(plain=True)):
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
