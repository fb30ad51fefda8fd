"""Checkpoints (C2SP tlog-checkpoint) in signed notes (C2SP signed-note), Ed25519; standard library and cryptography."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519 = b"\x01"
_MAX_SIGNATURES = 64


_NOTE = re.compile(r"^[^\s]+\n[0-9]+\n[A-Za-z0-9+/=]+\n(?:[^\n]+\n)*\n(?:— [^\n]+\n)+", re.MULTILINE)


class NoteError(ValueError):
    """A note, checkpoint or key that is malformed, or whose signature does not hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its origin, its size in entries and its root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, public: bytes) -> bytes:
    """SHA256(name ‖ 0x0A ‖ type ‖ public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


class Signer:
    """Signs checkpoints of one key name."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        if not name or "+" in name or any(c.isspace() for c in name):
            raise NoteError("a key name has no spaces and no plus sign")
        self.name = name
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def vkey(self) -> str:
        """The verifier key that a customer pins: name+hex8+base64(type ‖ public key)."""
        blob = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{key_id(self.name, self.public).hex()}+{blob}"

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note."""
        text = checkpoint.text()
        return f"{text}\n{self.signature(text)}"

    def signature(self, text: str) -> str:
        """The signature line of a note with this text."""
        blob = base64.b64encode(key_id(self.name, self.public) + self._key.sign(text.encode())).decode()
        return f"— {self.name} {blob}\n"


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("bad base64") from error
    # Spare bits in the last character would let one note be written in several ways.
    if base64.b64encode(data).decode() != text:
        raise NoteError("base64 that is not canonical")
    return data


def parse_vkey(vkey: str) -> tuple[str, bytes]:
    """Name and raw Ed25519 public key of a verifier key. NoteError when it is not one."""
    parts = vkey.strip().split("+", 2)
    if len(parts) != 3:
        raise NoteError("a verifier key has three parts: name+hash+key")
    name, given, blob = parts
    data = _decode(blob)
    if len(data) != 33 or data[:1] != _ED25519 or key_id(name, data[1:]).hex() != given:
        raise NoteError("not an Ed25519 verifier key, or its hash does not fit")
    return name, data[1:]


def parse(note: str) -> Checkpoint:
    """The checkpoint in a note, signatures not looked at. Refuses numbers that are not canonical."""
    if any(ord(c) < 0x20 and c != "\n" for c in note):
        raise NoteError("control characters in a note")
    text, blank, _ = note.rpartition("\n\n")
    lines = text.split("\n") if blank else []
    if len(lines) < 3 or not all(lines) or not note.endswith("\n"):
        raise NoteError("a checkpoint has an origin, a size and a root, and no empty line")
    size = lines[1]
    if not size.isascii() or not size.isdigit() or (size != "0" and size.startswith("0")) or len(size) > 18:
        raise NoteError("the size is not a canonical number")
    root = _decode(lines[2])
    if len(root) != 32:
        raise NoteError("the root is not 32 bytes")
    return Checkpoint(lines[0], int(size), root)


def notes_in(text: str) -> list[str]:
    """The checkpoints in a text: alone, or in the mail that brought them."""
    plain = text.replace("\r\n", "\n")
    return [match[0] for match in _NOTE.finditer(plain if plain.endswith("\n") else plain + "\n")]


def signed_text(note: str, *vkeys: str) -> str:
    """The text of a note that one of these keys signed. Unknown keys are passed over; a known one that fails is
    fatal. NoteError."""
    trusted = {(name, key_id(name, public)): public for name, public in map(parse_vkey, vkeys)}
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.removesuffix("\n").split("\n")
    if not blank or not note.endswith("\n"):
        raise NoteError("not a signed note")
    if len(lines) > _MAX_SIGNATURES:
        raise NoteError("too many signatures")
    good = False
    for line in lines:
        if not line.startswith("— ") or line.count(" ") != 2:
            raise NoteError("malformed signature line")
        _, signer, blob = line.split(" ")
        data = _decode(blob)
        public = trusted.get((signer, data[:4]))
        if public is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(data[4:], (text + "\n").encode())
        except InvalidSignature as error:
            raise NoteError("the signature does not hold") from error
        good = True
    if not good:
        raise NoteError("not signed by the pinned key")
    return text + "\n"


def verify(note: str, vkey: str | Sequence[str], origin: str) -> Checkpoint:
    """The checkpoint, if the pinned key (or one of several that are trusted) signed it. NoteError."""
    checkpoint = parse(note)
    if checkpoint.origin != origin:
        raise NoteError(f"the checkpoint is of {checkpoint.origin!r}, not of {origin!r}")
    signed_text(note, *((vkey,) if isinstance(vkey, str) else vkey))
    return checkpoint
