"""A WebAuthn assertion checked long after it was made: with nothing but the key, and no part of Frameroom.

W3C Web Authentication Level 2, section 7.2, the steps that need no server state: 11 type, 12 challenge, 13 origin,
15 rpIdHash, 16 user present, 17 user verified, 19 and 20 the signature over authenticatorData and the client data's
digest. The public key is a DER SubjectPublicKeyInfo, so that any tool reads it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

_PRESENT, _VERIFIED = 0x01, 0x04
_HEAD: Final = 37
"""Bytes of authenticatorData that are always there: rpIdHash 32, flags 1, counter 4."""


class AssertionFault(ValueError):
    """An assertion that does not hold; the message says which step."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """What the browser gave, as bytes."""

    authenticator: bytes
    client: bytes
    signature: bytes


def to_text(data: bytes) -> str:
    """base64url without padding, as WebAuthn writes bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The inverse; ValueError for anything else."""
    if not text.isascii() or set(text) & set("+/="):
        raise ValueError("not base64url")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def fingerprint(public_key: bytes) -> str:
    """What a person writes down of a key: 160 bits of its SHA-256, as eight groups of four of base32 (RFC 4648)."""
    text = base64.b32encode(hashlib.sha256(public_key).digest()[:20]).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def check(assertion: Assertion, public_key: bytes, challenge: bytes, site: str) -> None:
    """AssertionFault unless the holder of `public_key` was verified and signed `challenge` at the origin `site`."""
    try:
        client = json.loads(assertion.client)
        kind, given, origin = client["type"], from_text(client["challenge"]), client["origin"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AssertionFault("its client data cannot be read") from error
    if kind != "webauthn.get":
        raise AssertionFault("it was made for something else than a signature")
    if given != challenge:
        raise AssertionFault("it signs something else")
    if origin != site or client.get("crossOrigin") is True:
        raise AssertionFault("it was made on another site")
    data = assertion.authenticator
    if len(data) < _HEAD or data[:32] != hashlib.sha256((urlsplit(site).hostname or "").encode()).digest():
        raise AssertionFault("it was made for another site")
    if not data[32] & _PRESENT or not data[32] & _VERIFIED:
        raise AssertionFault("the person was not verified")
    _check_signature(public_key, assertion.signature, data + hashlib.sha256(assertion.client).digest())


def _check_signature(public_key: bytes, signature: bytes, signed: bytes) -> None:
    try:
        key = load_der_public_key(public_key)
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, signed, ECDSA(SHA256()))
        elif isinstance(key, Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, signed, PKCS1v15(), SHA256())
        else:
            raise AssertionFault("its key is of a kind that passkeys do not have")
    except (InvalidSignature, UnsupportedAlgorithm) as error:
        raise AssertionFault("its signature does not fit the key") from error
    except ValueError as error:
        if isinstance(error, AssertionFault):
            raise
        raise AssertionFault("its key cannot be read") from error
