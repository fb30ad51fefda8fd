"""chacha20-poly1305@openssh.com with its cipher contexts made once for a key instead of three times for a packet.

A part of the seam (asyncssh_seam.py). The bytes are asyncssh's own; a short packet costs a third of what it did, and
most packets of a visit are short. The construction: OpenSSH, PROTOCOL.chacha20poly1305; RFC 8439 for the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from asyncssh.crypto.chacha import ChachaCipher
from asyncssh.encryption import ChachaEncryption
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

RELIES_ON: Final[Sequence[tuple[type, str, str]]] = (
    (ChachaEncryption, "_cipher", "where our cipher is put in the place of asyncssh's"),
    (ChachaCipher, "_key", "the key of a packet's content and tag"),
    (ChachaCipher, "_adkey", "the key of a packet's length"),
)

_COUNTER: Final = bytes(8)
_BLOCK: Final = bytes(64)
_TAG_KEY: Final = 32


def _context(key: bytes) -> Any:
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()


class Reused:
    """What `ChachaEncryption` asks of a ChachaCipher, for one direction of one connection.

    `nonce` is the packet's sequence number in 8 bytes. Block 0 of its key stream is the tag's key (32 bytes of it are
    used), the content begins at block 1: one context gives both, one after the other.
    """

    def __init__(self, key: bytes, length_key: bytes) -> None:
        self._content, self._length = _context(key), _context(length_key)

    def _begin(self, nonce: bytes) -> bytes:
        """Set the content's context to its block 1; the tag's key."""
        self._content.reset_nonce(_COUNTER + nonce)
        stream: bytes = self._content.update(_BLOCK)
        return stream[:_TAG_KEY]

    def encrypt_and_sign(self, header: bytes, data: bytes, nonce: bytes) -> tuple[bytes, bytes]:
        """(encrypted length and content, tag) of a packet."""
        tag_key = self._begin(nonce)
        packet = self.decrypt_header(header, nonce) + self._content.update(data)
        return packet, Poly1305.generate_tag(tag_key, packet)

    def decrypt_header(self, header: bytes, nonce: bytes) -> bytes:
        """A packet's length; the same both ways."""
        self._length.reset_nonce(_COUNTER + nonce)
        length: bytes = self._length.update(header)
        return length

    def verify_and_decrypt(self, header: bytes, data: bytes, nonce: bytes, tag: bytes) -> bytes | None:
        """The content of a packet whose tag is right, or None; not a byte is decrypted before that."""
        tag_key = self._begin(nonce)
        try:
            Poly1305.verify_tag(tag_key, header + data, tag)
        except InvalidSignature:
            return None
        content: bytes = self._content.update(data)
        return content


def reuse(encryption: Any) -> None:
    """Give a direction that was just agreed on contexts that last; nothing for another cipher than this one."""
    if isinstance(encryption, ChachaEncryption) and isinstance(encryption._cipher, ChachaCipher):
        theirs: Any = encryption._cipher
        ours: Any = Reused(theirs._key, theirs._adkey)
        encryption._cipher = ours
