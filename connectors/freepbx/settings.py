"""What the operator says of one FreePBX. How it writes numbers stands in the helper's configuration."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.errors import ConnectorError
from connectors.transport.helper import LOGIN
from connectors.transport.identity import identity


class Api(BaseModel):
    """FreePBX's own API, to read names by. The client's secret is the credential's password, beside the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    """Named apart from the helper's: whoever answers there is told the secret. Reached from here, by no route."""
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    pin: str
    """The certificate (PEM), its fingerprint (sha256:…), or system-cas, which wants `server_name`."""
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    client: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,128}$")]
    """The client's ID, as FreePBX shows it."""

    @model_validator(mode="after")
    def _trusted(self) -> Self:
        words = ""
        try:
            identity(self.pin, self.server_name)
        except ConnectorError as error:
            words = f"{error.message}. {error.next_step}"
        if words:
            raise ValueError(words)
        return self


class FreePbxSettings(BaseModel):
    """Settings of family `freepbx`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = LOGIN
    """The account on the phone system whose key is bound to the helper."""
    apply_seconds: Annotated[int, Field(ge=1, le=600)] = 90
    """How long a change may take on top of any other answer: FreePBX writes all its files anew and reloads Asterisk."""
    api: Api | None = None
    """Names are read by GraphQL, and have to be the helper's. It weakens what is promised: `capabilities.WEAKENS`."""
