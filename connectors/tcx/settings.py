"""What the operator says about one 3CX: no secret is among it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class TcxSettings(BaseModel):
    """Settings of family `3cx`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    """The phone system's own name (its FQDN), as it stands in the certificate. Needed where authorities vouch for it:
    the pin `system-cas`, or an authority's certificate."""
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "GB"
    """Where numbers without a country code are (ISO 3166): 3CX keeps direct numbers as its trunks send them."""
