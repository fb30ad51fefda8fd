"""A WebAuthn authenticator in software: what a passkey would sign, without one."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.assertions import Assertion

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PRESENT, VERIFIED = 0x01, 0x04


def _bytes(value: bytes) -> bytes:
    size = len(value)
    return (bytes([0x58, size]) if size < 256 else b"\x59" + size.to_bytes(2, "big")) + value


@dataclass
class Passkey:
    """One credential, for one site."""

    rp_id: str = "frameroom.example"
    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    @property
    def public(self) -> bytes:
        """The COSE key, as an authenticator writes it."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                point = self.key.public_key().public_numbers()
                x, y = (_bytes(number.to_bytes(32, "big")) for number in (point.x, point.y))
                return b"\xa5\x01\x02\x03\x26\x20\x01\x21" + x + b"\x22" + y
            case ed25519.Ed25519PrivateKey():
                raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
                return b"\xa4\x01\x01\x03\x27\x20\x06\x21" + _bytes(raw)
            case _:
                numbers = self.key.public_key().public_numbers()
                n = _bytes(numbers.n.to_bytes(256, "big"))
                return b"\xa4\x01\x03\x03\x39\x01\x00\x20" + n + b"\x21" + _bytes(numbers.e.to_bytes(3, "big"))

    def sign(self, challenge: bytes, flags: int = PRESENT | VERIFIED, **client: object) -> Assertion:
        """An assertion over `challenge`; `client` replaces what the browser says."""
        told = {
            "type": "webauthn.get", "challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "origin": f"https://{self.rp_id}", "crossOrigin": False,
        } | client  # fmt: skip
        client_data = json.dumps(told).encode()
        data = hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + bytes(4)
        return Assertion(data, client_data, self._sign(data + hashlib.sha256(client_data).digest()))

    def _sign(self, signed: bytes) -> bytes:
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(signed)
            case _:
                return self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
