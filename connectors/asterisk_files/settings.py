"""What the operator says of one Asterisk with flat files. Where those are stands in the helper's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from connectors.transport.helper import LOGIN


class AsteriskFilesSettings(BaseModel):
    """Settings of family `asterisk-files`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = LOGIN
    """The account on the phone system whose key is bound to the helper."""
