"""Our chacha20-poly1305 says byte for byte what asyncssh's says, and takes nothing that asyncssh's would not."""

from __future__ import annotations

import os

import pytest
from asyncssh.crypto.chacha import ChachaCipher
from asyncssh.encryption import ChachaEncryption, get_encryption
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.asyncssh_cipher import Reused, reuse

KEY = os.urandom(64)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=700)), min_size=1, max_size=6))
def test_packet_after_packet_is_the_same_both_ways(packets: list[tuple[int, bytes]]) -> None:
    ours, theirs = Reused(KEY[:32], KEY[32:]), ChachaCipher(KEY)
    for seq, data in packets:
        nonce, header = seq.to_bytes(8, "big"), len(data).to_bytes(4, "big")
        sealed, tag = ours.encrypt_and_sign(header, data, nonce)
        assert (sealed, tag) == theirs.encrypt_and_sign(header, data, nonce)
        assert ours.decrypt_header(sealed[:4], nonce) == header
        assert ours.verify_and_decrypt(sealed[:4], sealed[4:], nonce, tag) == data


@pytest.mark.parametrize("place", ["length", "content", "tag", "number"])
def test_a_packet_that_was_touched_is_refused_and_the_next_one_is_taken(place: str) -> None:
    ours, theirs = Reused(KEY[:32], KEY[32:]), ChachaCipher(KEY)
    nonce, after = (7).to_bytes(8, "big"), (8).to_bytes(8, "big")
    sealed, tag = theirs.encrypt_and_sign(b"\0\0\0\x05", b"hello", nonce)
    length, content = sealed[:4], sealed[4:]
    touched = {
        "length": (bytes([length[0] ^ 1]) + length[1:], content, nonce, tag),
        "content": (length, bytes([content[0] ^ 1]) + content[1:], nonce, tag),
        "tag": (length, content, nonce, tag[:-1] + bytes([tag[-1] ^ 1])),
        "number": (length, content, after, tag),
    }
    assert ours.verify_and_decrypt(*touched[place]) is None
    assert ours.verify_and_decrypt(length, content, nonce, tag) == b"hello"


def test_only_this_cipher_is_put_in_its_place() -> None:
    chacha = get_encryption(b"chacha20-poly1305@openssh.com", KEY, b"")
    reuse(chacha)
    assert isinstance(chacha, ChachaEncryption)
    assert isinstance(chacha._cipher, Reused)
    reuse(chacha)
    assert isinstance(chacha._cipher, Reused)
    other = get_encryption(b"aes256-gcm@openssh.com", KEY[:32], KEY[:12])
    reuse(other)
    reuse(None)
    assert not isinstance(getattr(other, "_cipher"), Reused)  # noqa: B009 - not a name of its declared class
