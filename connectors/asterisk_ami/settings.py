"""What the operator says about one Asterisk: no secret is among it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Context = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,79}$")]


class AsteriskAmiSettings(BaseModel):
    """Settings of family `asterisk-ami`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tls: Literal["pinned", "loopback"] = "pinned"
    """pinned: TLS, certificate checked against the pin. loopback: no TLS, to this machine only."""
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    """The name in the certificate: needed where the pin is an authority's certificate and not the server's own."""
    user_contexts: tuple[Context, ...] = ()
    """Dialplan contexts whose endpoints are people; empty: every endpoint with a caller id or a mailbox."""
    voicemail_context: Context = "default"
    """Where a mailbox without "@context" is."""
    voicemail: Literal["kept", "rebuilt", "spooldir"] = "kept"
    """A line of voicemail.conf holds the PIN beside the address, and is written whole or not at all. kept: never
    written. rebuilt: a PIN reset writes it from what Asterisk shows of the mailbox. spooldir:
    `passwordlocation=spooldir` with every PIN in the spool, so that an address can be changed, and a PIN cannot."""
    one_file: bool = False
    """The operator's word that no account stands in a file that pjsip.conf includes: only then is a line added to a
    section, for Asterisk adds it to pjsip.conf itself, and there to whichever section is last."""
    sip_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Where a reset is proven by a REGISTER over UDP (same host); empty: it is not proven."""
