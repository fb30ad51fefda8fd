"""What the operator says about one FusionPBX: no secret is among it."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


def _private(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("an address in digits: names can be made to lead elsewhere") from None
    if not address.is_loopback and not address.is_private:
        raise ValueError("a private address or this machine's own: the event socket knows no TLS")
    return host


def _harmless(group: str) -> str:
    if group.lower() in ("superadmin", "admin"):
        raise ValueError("administrators' passwords are never reset from here")
    return group


class Numbers(BaseModel):
    """How this site writes direct numbers into its destinations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] = "44"
    trunk: Annotated[str, Field(pattern=r"^[0-9]?$")] = "0"
    """What stands before a national number when it is dialled at home; empty where nothing does."""
    write: Literal["prefix", "digits", "plus", "national"] = "prefix"
    """A new number: prefix 44 and number 2079460123, or 442079460123, +442079460123, 02079460123 alone."""


class EventSocket(BaseModel):
    """FreeSWITCH's event socket. It has no TLS, and its own password is full control of the phone system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_private)]
    """Named apart from the database's: whoever answers there is told the password. This machine, or WireGuard."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8021
    cache: Literal["file", "memcache", "none"] = "file"
    """FusionPBX's setting cache / method; none: it is not emptied from here."""
    user: Annotated[str, Field(pattern=r"^(?:[A-Za-z0-9._-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,252})?$")] = ""
    """Of FreeSWITCH's directory, whose esl-allowed-api says what may be asked; empty: the socket's own password."""
    console: Literal["off", "look", "act"] = "off"
    """What FreeSWITCH's prompt may be used for. It shows every domain: for a FreeSWITCH that serves one alone."""


class FusionPbxSettings(BaseModel):
    """Settings of family `fusionpbx`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$")]
    """The FusionPBX domain that is this customer's; nothing of another is shown or touched."""
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}$")] = "fusionpbx"
    namespace: Identifier = Field(default="public", alias="schema")
    sslmode: Literal["pinned", "loopback"] = "pinned"
    """pinned: TLS, certificate checked against the pin. loopback: no TLS, to this machine or a unix socket only."""
    numbers: Numbers = Numbers()
    destination_context: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,80}$")] = "public"
    """Where a new inbound route goes."""
    dialplan_destination: Literal["destination_number", "${sip_to_user}", "${sip_req_user}"] = "destination_number"
    """FusionPBX's setting dialplan / destination."""
    dialplan_details: bool = True
    """FusionPBX's setting destinations / dialplan_details."""
    record_extension: Literal["mp3", "wav"] = "mp3"
    """FusionPBX's setting call_recordings / record_extension, for numbers whose calls are recorded."""
    portal_groups: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.-]{1,60}$"), AfterValidator(_harmless)], ...] = (
        "user",
    )
    """Groups whose members' portal passwords are reset and who go when their extension does; nobody in any other."""
    event_socket: EventSocket | None = None
    """Without it a change counts when FreeSWITCH's cache is emptied by somebody."""
    allow_selected: bool = False
    """Work although the role could read secrets; shown as `selected` everywhere. For a site that cannot do better."""

    @property
    def flushes(self) -> bool:
        """Whether FreeSWITCH's cache is emptied from here."""
        return self.event_socket is not None and self.event_socket.cache != "none"
