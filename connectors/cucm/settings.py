"""What the operator says about one Cisco Unified Communications Manager: no secret is among it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

import phonenumbers
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.errors import ConnectorError
from connectors.transport.identity import identity

VERSIONS: Final = ("14.0", "12.5", "12.0", "11.5", "11.0", "10.5", "10.0", "9.1", "8.5")
"""AXL schemas that this connector speaks, newest first."""
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
ServerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]


def _trusted(pin: str, server_name: str | None) -> None:
    """ValueError for a pin that trusts nobody: told when it is said, and not in the middle of the first reset."""
    words = ""
    try:
        identity(pin, server_name)
    except ConnectorError as error:
        words = f"unity: {error.message}. {error.next_step}"
    if words:
        raise ValueError(words)


class Unity(BaseModel):
    """The Unity Connection that holds the mailboxes. The account of our credential has to be there, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName | None = None
    """Empty: the same machine and port, as Business Edition 5000 has it. Otherwise reached from here, by no route."""
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    pin: str | None = None
    """As the phone system's own pin; needed with `host`."""
    server_name: ServerName | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.host is None) != (self.pin is None):
            raise ValueError("unity wants host and pin together, or neither where it is the same machine")
        if self.pin is not None:
            _trusted(self.pin, self.server_name)
        return self


class CucmSettings(BaseModel):
    """Settings of family `cisco-cucm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal["ask", "14.0", "12.5", "12.0", "11.5", "11.0", "10.5", "10.0", "9.1", "8.5"] = "ask"
    """The AXL schema that is spoken. ask: the newest that the phone system takes, found out at each connection."""
    server_name: ServerName | None = None
    """The name in the certificate, where the pin is an authority's and not the server's own."""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "GB"
    """The country in whose way numbers without + are written in the directory (ISO 3166)."""
    voicemail: Literal["none", "unity", "synchronised"] = "none"
    """What a reset of the voicemail PIN writes. unity: the mailbox's, in Unity Connection (`unity`). synchronised: the
    user's PIN here, which this cluster hands on (PIN synchronisation); it also is the PIN of Extension Mobility.
    none: nothing, it is refused."""
    unity: Unity | None = None
    directory_passwords: Literal["directory", "local"] = "directory"
    """Of users who come from LDAP. directory: their passwords are checked there, and are not reset here. local: the
    cluster has no LDAP authentication, so that their passwords are its own."""

    @field_validator("region")
    @classmethod
    def _known(cls, region: str) -> str:
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("no country is called that")
        return region

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.voicemail == "unity") != (self.unity is not None):
            raise ValueError("voicemail = unity and the table unity belong together")
        return self
