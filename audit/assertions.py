"""Checking that somebody's own key signed: WebAuthn assertions (W3C WebAuthn level 3, section 7.2) over a digest.

Standard library and cryptography alone. What is checked: type and challenge in the client's data, user presence and
user verification in the authenticator's, and the signature by the enrolled COSE key (RFC 9052; ES256, EdDSA, RS256).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

_PRESENT: Final = 0x01
_VERIFIED: Final = 0x04
_MAX_DEPTH: Final = 4


class AssertionFault(ValueError):
    """An assertion or key that is malformed, or does not hold."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator and a browser gave, as they gave it."""

    authenticator_data: bytes
    client_data: bytes
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
    """Of a COSE key, as it stands on the agreement: SHA-256 in groups of four hex digits."""
    digits = hashlib.sha256(public_key).hexdigest()[:32]
    return " ".join(digits[start : start + 4] for start in range(0, 32, 4))


def check(assertion: Assertion, public_key: bytes, challenge: bytes, rp_id: str) -> None:
    """That the COSE key signed `challenge` for this site with the user verified. AssertionFault says what fails."""
    try:
        client = json.loads(assertion.client_data)
        kind, given, crossed = client["type"], client["challenge"], client.get("crossOrigin", False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AssertionFault("the client's data is damaged") from error
    if kind != "webauthn.get" or crossed is not False:
        raise AssertionFault("it was not made as a yes on this site")
    if given != to_text(challenge):
        raise AssertionFault("it is a yes to something else")
    data = assertion.authenticator_data
    if len(data) < 37 or data[:32] != hashlib.sha256(rp_id.encode()).digest():
        raise AssertionFault(f"it was not made for {rp_id}")
    if not data[32] & _PRESENT or not data[32] & _VERIFIED:
        raise AssertionFault("the person was not verified by their authenticator")
    _check_signature(public_key, data + hashlib.sha256(assertion.client_data).digest(), assertion.signature)


def _check_signature(public_key: bytes, signed: bytes, signature: bytes) -> None:
    key, rest = _cbor(public_key, 0, 0)
    if rest != len(public_key) or not isinstance(key, dict):
        raise AssertionFault("the enrolled key is not a COSE key")
    try:
        match key.get(1), key.get(3):
            case 2, -7:
                point = ec.EllipticCurvePublicNumbers(
                    int.from_bytes(key[-2], "big"), int.from_bytes(key[-3], "big"), ec.SECP256R1()
                )
                point.public_key().verify(signature, signed, ec.ECDSA(hashes.SHA256()))
            case 1, -8:
                ed25519.Ed25519PublicKey.from_public_bytes(key[-2]).verify(signature, signed)
            case 3, -257:
                numbers = rsa.RSAPublicNumbers(int.from_bytes(key[-2], "big"), int.from_bytes(key[-1], "big"))
                numbers.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            case _:
                raise AssertionFault("the enrolled key is of a kind that is not known")
    except InvalidSignature as error:
        raise AssertionFault("the signature is not by the enrolled key") from error
    except (KeyError, TypeError, ValueError) as error:
        raise AssertionFault("the enrolled key is damaged") from error


def _cbor(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """One value of the part of CBOR that COSE keys are written in (RFC 8949): numbers, bytes, text, maps."""
    if at >= len(data) or depth > _MAX_DEPTH:
        raise AssertionFault("the enrolled key is cut short")
    major, short = data[at] >> 5, data[at] & 31
    at += 1
    if short < 24:
        number = short
    elif short <= 27:
        size = 1 << (short - 24)
        number, at = int.from_bytes(data[at : at + size], "big"), at + size
    else:
        raise AssertionFault("the enrolled key is not a COSE key")
    if major in {0, 1}:
        return (number if major == 0 else -1 - number), at
    if major in {2, 3}:
        if at + number > len(data):
            raise AssertionFault("the enrolled key is cut short")
        piece = data[at : at + number]
        return (piece if major == 2 else piece.decode("utf-8", "replace")), at + number
    if major == 5 and number <= 16:
        found: dict[Any, Any] = {}
        for _ in range(number):
            name, at = _cbor(data, at, depth + 1)
            value, at = _cbor(data, at, depth + 1)
            if isinstance(name, dict):
                raise AssertionFault("the enrolled key is not a COSE key")
            found[name] = value
        return found, at
    raise AssertionFault("the enrolled key is not a COSE key")
