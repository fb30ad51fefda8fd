"""Keys and user certificates under a signature: what counts as proof that somebody holds one.

Certificates come from plain CA keys only, name the login among their principals, are in date, and their
source-address holds (OpenSSH PROTOCOL.certkeys). FIDO2 wants a touch always, and counts as both factors when the
authenticator verified its user (PROTOCOL.u2f: flags UP = 1, UV = 4), which asyncssh does not look at.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket, String
from asyncssh.public_key import CERT_TYPE_USER, SSHOpenSSHCertificate, decode_ssh_certificate, decode_ssh_public_key

from gateway.errors import UsageError

_USER_PRESENT, _USER_VERIFIED = 1, 4
MIN_RSA_BITS: Final = 3072
_SIGNED_AS: Final = {
    b"ssh-ed25519": b"ssh-ed25519",
    b"ecdsa-sha2-nistp256": b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384": b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521": b"ecdsa-sha2-nistp521",
    b"rsa-sha2-256": b"ssh-rsa",
    b"rsa-sha2-512": b"ssh-rsa",
    b"sk-ssh-ed25519@openssh.com": b"sk-ssh-ed25519@openssh.com",
    b"sk-ecdsa-sha2-nistp256@openssh.com": b"sk-ecdsa-sha2-nistp256@openssh.com",
}
"""Signature algorithm → kind of key. SHA-1 is not among them, though asyncssh verifies it."""
_CERTIFIED: Final = "-cert-v01@openssh.com"


class ProofPolicy(Protocol):
    """What a proof is judged by."""

    address: str
    user_ca_keys: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified signature. `name` is what is logged: the fingerprint, or the certificate's id, serial and CA."""

    login: str
    fingerprint: str
    name: str
    user_verified: bool
    certificate_options: dict[str, Any] | None

    @property
    def certified(self) -> bool:
        """True when a certificate vouches for the key."""
        return self.certificate_options is not None


def parse_ca_key(line: str) -> bytes:
    """The wire form of a configured user CA key; UsageError for RSA (asyncssh takes its SHA-1 signatures)."""
    try:
        key = asyncssh.import_public_key(line)
    except asyncssh.KeyImportError as error:
        raise UsageError("ssh.user_ca_keys: a user CA key is one line of an OpenSSH .pub file") from error
    if key.get_algorithm() not in (
        "ssh-ed25519",
        *(a.decode() for a in _SIGNED_AS if a.startswith((b"ecdsa", b"sk-"))),
    ):
        raise UsageError(f"ssh.user_ca_keys: {key.get_algorithm()} cannot be a user CA here; use Ed25519 or ECDSA")
    return key.public_data


def key_kind_taken(key_data: bytes) -> bool:
    """True for a key or certificate of a kind that could sign in. Nothing is looked up."""
    try:
        kind = SSHPacket(key_data).get_string()
    except PacketDecodeError:
        return False
    return _bare(kind) in _SIGNED_AS.values()


def _bare(kind: bytes) -> bytes:
    """A certificate's kind without what makes it one: ssh-ed25519-cert-v01@openssh.com → ssh-ed25519."""
    text = kind.decode("ascii", "replace")
    if not text.endswith(_CERTIFIED):
        return kind
    text = text.removesuffix(_CERTIFIED)
    return (text + "@openssh.com" if text.startswith("sk-") else text).encode()


def read_proof(
    login: str, key_data: bytes, session_id: bytes, request: bytes, signature: bytes, policy: ProofPolicy
) -> Proof | None:
    """The proof in a signed publickey request (RFC 4252 section 7), or None: bad signature, key or certificate."""
    try:
        algorithm = _requested_algorithm(login, key_data, request)
        signed = SSHPacket(signature)
        signed_by = signed.get_string()
        kind = SSHPacket(key_data).get_string()
        if algorithm is None or signed_by != _bare(algorithm) or _SIGNED_AS.get(signed_by) != _bare(kind):
            return None
        certificate = _certificate(login, key_data, policy) if kind != _bare(kind) else None
        if certificate is None and kind != _bare(kind):
            return None
        key = certificate.key if certificate is not None else decode_ssh_public_key(key_data)
        flags = 0
        if signed_by.startswith(b"sk-"):
            signed.get_string()
            flags = signed.get_byte()
            if not flags & _USER_PRESENT:
                return None
        if kind.startswith(b"ssh-rsa") and int(getattr(key.pyca_key, "key_size", 0)) < MIN_RSA_BITS:
            return None
        if not key.verify(String(session_id) + request, signature):
            return None
    except (PacketDecodeError, asyncssh.KeyImportError, ValueError):
        return None
    fingerprint = key.get_fingerprint()
    verified = bool(flags & _USER_VERIFIED)
    if certificate is None:
        return Proof(login, fingerprint, fingerprint, verified, None)
    authority = certificate.signing_key.get_fingerprint()
    name = f"certificate {certificate._key_id[:80]!r} serial {certificate._serial} of {authority}"
    return Proof(login, fingerprint, name, verified, dict(certificate.options))


def _requested_algorithm(login: str, key_data: bytes, request: bytes) -> bytes | None:
    """The algorithm named in the signed bytes, if they are what they should be."""
    packet = SSHPacket(request)
    head = packet.get_byte(), packet.get_string(), packet.get_string(), packet.get_string(), packet.get_boolean()
    algorithm, key = packet.get_string(), packet.get_string()
    same = head == (50, login.encode(), b"ssh-connection", b"publickey", True) and key == key_data
    return algorithm if same else None


def _certificate(login: str, key_data: bytes, policy: ProofPolicy) -> SSHOpenSSHCertificate | None:
    """The certificate, if it lets this login in from this address. Its own signature is checked by decoding it."""
    certificate = decode_ssh_certificate(key_data)
    if not isinstance(certificate, SSHOpenSSHCertificate):
        return None
    if certificate.signing_key.public_data not in policy.user_ca_keys or not certificate.principals:
        return None
    certificate.validate(CERT_TYPE_USER, login)
    networks: Any = certificate.options.get("source-address")
    address = ipaddress.ip_address(policy.address)
    if networks is not None and not any(address in network for network in networks):
        return None
    return certificate
