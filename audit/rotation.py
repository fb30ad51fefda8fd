"""Changing the key that signs the log: the old key signs the new one over, so that whoever pinned the old one follows.

A handover is a signed note (C2SP signed-note) by both keys, with the text

    frameroom log key handover v1
    <deployment>
    <verifier key of the old key>
    <verifier key of the new key>

Standard library and cryptography alone. A key that was stolen is not handed over but replaced: its thief could sign a
handover too, so customers then get the new verifier key by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from audit.checkpoint import NoteError, Signer, parse_vkey, signed_text

_HEAD: Final = "frameroom log key handover v1"
_MAX: Final = 1_000


def handover(old: Signer, new: Signer) -> str:
    """The note by which the old key signs the new one over. NoteError when they are not of one deployment."""
    if old.name != new.name or old.vkey == new.vkey:
        raise NoteError("a handover is from one key of a deployment to another of the same")
    text = f"{_HEAD}\n{old.name}\n{old.vkey}\n{new.vkey}\n"
    return f"{text}\n{old.signature(text)}{new.signature(text)}"


def keys_of(note: str) -> tuple[str, str]:
    """(old, new) verifier key of a handover that both of them signed. NoteError."""
    lines = note.partition("\n\n")[0].split("\n")
    if len(lines) != 4 or lines[0] != _HEAD:
        raise NoteError("not a handover of a log key")
    if {parse_vkey(vkey)[0] for vkey in lines[2:]} != {lines[1]}:
        raise NoteError("not a handover within one deployment")
    for vkey in lines[2:]:
        signed_text(note, vkey)
    return lines[2], lines[3]


def successor(note: str, vkey: str) -> str:
    """The verifier key that `vkey` handed over to in this note. NoteError."""
    old, new = keys_of(note)
    if old != vkey:
        raise NoteError("a handover of another key")
    return new


def follow(pinned: str, notes: Iterable[str]) -> list[str]:
    """The pinned verifier key and every one that it was handed over to, oldest first.

    Notes by keys that are not trusted are passed over: a chain that does not begin at the pinned key proves nothing.
    NoteError when the pinned key is none.
    """
    parse_vkey(pinned)
    trusted, left = [pinned], list(notes)[:_MAX]
    while True:
        for note in left:
            try:
                following = successor(note, trusted[-1])
            except NoteError:
                continue
            if following not in trusted:
                trusted.append(following)
                left.remove(note)
                break
        else:
            return trusted


def lineage(current: str, notes: Iterable[str]) -> list[str]:
    """The current verifier key and those before it that handed over to it, newest first: what old checkpoints of this
    log are signed with. Notes that do not hold are passed over."""
    before: dict[str, str] = {}
    for note in list(notes)[:_MAX]:
        with suppress(NoteError):
            old, new = keys_of(note)
            before[new] = old
    found = [current]
    while (former := before.get(found[-1])) is not None and former not in found:
        found.append(former)
    return found
