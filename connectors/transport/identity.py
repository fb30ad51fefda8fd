"""Whom a pin trusts, for connections with TLS: the authorities of this system, one authority, or one certificate.

A pin is one of: the words `system-cas`; `sha256:` and the SHA-256 of the server's own certificate (DER) in hexadecimal,
with or without colons; a PEM certificate, which is an authority's where a server name is given, and the server's own
where none is. Verification is never off: whoever is trusted by fingerprint is compared in the handshake itself, on
every connection, before a byte of the application is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from functools import lru_cache
from typing import Final

from connectors.contract import CheckLine
from connectors.errors import ConnectorError, Fault, IdentityMismatch, InvalidValue, PinUnusable, Unreachable

SYSTEM: Final = "system-cas"
_FINGERPRINT: Final = re.compile(r"sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.I | re.ASCII)


def identity_line(*, pinned: bool) -> CheckLine:
    """What `system check` says of a connection that stands. Whoever does without TLS on one machine chose it: a warning
    for as long as it lasts, and nothing that failed."""
    unpinned = "WEAKENED: not checked, for there is no TLS; the settings say so, and on this machine only"
    return CheckLine("identity", True, "its certificate is the pinned one" if pinned else unpinned)


def fingerprint_of(pin: str) -> str | None:
    """The 64 hexadecimal digits of a pin that is a fingerprint, else None."""
    found = _FINGERPRINT.fullmatch(pin.strip())
    return found[1].replace(":", "").lower() if found else None


def plain(pin: str) -> str | None:
    """A pin that is neither a key nor a certificate, as it is kept: `system-cas` or `sha256:…`; None for any other."""
    if pin.strip() == SYSTEM:
        return SYSTEM
    digest = fingerprint_of(pin)
    return f"sha256:{digest}" if digest else None


class _Compared(ssl.SSLObject):
    """A TLS session that ends in its handshake if the other side's certificate is not the pinned one."""

    def do_handshake(self) -> None:
        """As it is, and then the comparison. ssl.SSLCertVerificationError for another certificate."""
        super().do_handshake()
        shown = self.getpeercert(binary_form=True)
        wanted = getattr(self.context, "pinned", "")
        if not shown or not hmac.compare_digest(hashlib.sha256(shown).hexdigest(), wanted):
            raise ssl.SSLCertVerificationError("another certificate than the pinned one")


class _Pinned(ssl.SSLContext):
    """A context that trusts one certificate."""

    sslobject_class = _Compared
    pinned: str = ""

    def wrap_socket(self, *_: object, **__: object) -> ssl.SSLSocket:
        """Not this way: only what goes through `wrap_bio` is compared."""
        raise ssl.SSLError("a pinned connection is made by an event loop")


def _wrong(words: str) -> PinUnusable:
    return PinUnusable(
        f"{words}; nothing was sent",
        next_step=f"Pin the certificate (PEM), its fingerprint (sha256:…), or {SYSTEM} with `server_name`.",
    )


@lru_cache(maxsize=256)
def identity(pin: str, server_name: str | None) -> ssl.SSLContext:
    """What trusts this pin and nothing else; made once for each. IdentityMismatch for a pin that is none, InvalidValue
    for authorities without the name that their certificate has to bear."""
    if pin.strip() == SYSTEM:
        if server_name is None:
            fault = InvalidValue(
                "authorities vouch for names, and this phone system has none",
                next_step="Say `server_name` in the settings, as it stands in the certificate.",
            )
            fault.fault = Fault.OPERATOR
            raise fault
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
    if (digest := fingerprint_of(pin)) is not None:
        return _pinned(digest)
    if server_name is None:
        return _pinned(hashlib.sha256(_der(pin)).hexdigest())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=_der(pin))
    return context


def _der(pin: str) -> bytes:
    bad, made = False, b""
    try:
        made = ssl.PEM_cert_to_DER_cert(pin.strip())
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=made)
    except (ssl.SSLError, ValueError):
        bad = True
    if bad or not made:
        raise _wrong("the pin of this phone system is no certificate")
    return made


def _pinned(digest: str) -> ssl.SSLContext:
    context = _Pinned(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Nobody vouches for it: it is the very certificate that is compared (`_Compared`), whoever signed it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.pinned = digest
    return context


def not_connected(error: BaseException) -> ConnectorError:
    """Why there is no connection, in fixed words. Nothing was sent."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, ssl.SSLCertVerificationError):
            has_expired = getattr(one, "verify_code", None) == 10  # X509_V_ERR_CERT_HAS_EXPIRED
            expired = " (it has expired)" if has_expired else ""
            return IdentityMismatch(
                f"the phone system's certificate is not the one that is trusted{expired}; nothing was sent"
            )
        if isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            break  # cut off in the handshake: that says nothing of who is there
        if isinstance(one, ssl.SSLError):
            return IdentityMismatch("the phone system does not speak TLS there, or none that is safe; nothing was sent")
        one = one.__cause__ or one.__context__
    return Unreachable("the phone system cannot be reached")
