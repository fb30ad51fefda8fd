"""Searching what a process holds for secrets, without the search holding them.

Needles come masked, each byte exchanged for another, and memory is masked the same way before it is searched: the
secret itself is never in the searching process, so that finding it there is a leak.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

_MASK: Final = bytes(byte ^ 0x5A for byte in range(256))
_CHUNK: Final = 1 << 20
_OVERLAP: Final = 512


def mask(data: bytes) -> bytes:
    """Each byte exchanged; masking twice gives it back."""
    return data.translate(_MASK)


def _base64_forms(data: bytes) -> Iterator[bytes]:
    """What base64 has of these bytes wherever they stand in something longer: the letters that neighbours share are
    left out."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data + bytes((-before - len(data)) % 3))
        first = (before * 8 + 5) // 6
        last = (before + len(data)) * 8 // 6
        yield whole[first:last]
        yield whole[first:last].replace(b"+", b"-").replace(b"/", b"_")


def forms(secret: str) -> set[bytes]:
    """A secret as text in the encodings that Python and protocols have, as base64 and as hex."""
    found = {secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be"), secret.encode("utf-32-le")}
    found |= {secret.encode().hex().encode(), secret.encode().hex().upper().encode()}
    return found | set(_base64_forms(secret.encode()))


def masked(secrets: Iterable[str]) -> dict[str, list[str]]:
    """For another process: each secret's number among these, and its forms, masked, as hex."""
    return {str(number): [mask(form).hex() for form in sorted(forms(one))] for number, one in enumerate(secrets)}


class Search:
    """Looks for masked needles."""

    def __init__(self, needles: Mapping[str, list[str]]) -> None:
        self._needles = [(name, bytes.fromhex(form)) for name, all_ in needles.items() for form in all_]

    def of(self, data: bytes) -> set[str]:
        """Which needles are in it."""
        hidden = mask(data)
        return {name for name, form in self._needles if form in hidden}

    def memory(self) -> set[str]:
        """Which are in this process's own memory: everything that it can write to, and its stack (proc(5))."""
        found: set[str] = set()
        with Path("/proc/self/maps").open(encoding="utf-8") as maps:
            spans = [line.split(maxsplit=5) for line in maps]
        memory = os.open("/proc/self/mem", os.O_RDONLY)
        try:
            for (
                span,
                rights,
                *_,
            ) in spans:
                if rights.startswith("rw"):
                    low, high = (int(end, 16) for end in span.split("-"))
                    found |= self._span(memory, low, high)
        finally:
            os.close(memory)
        return found

    def _span(self, memory: int, low: int, high: int) -> set[str]:
        found: set[str] = set()
        for start in range(low, high, _CHUNK):
            try:
                found |= self.of(os.pread(memory, min(_CHUNK + _OVERLAP, high - start), start))
            except (OSError, OverflowError):
                continue  # a guard page, or the kernel's own
        return found
