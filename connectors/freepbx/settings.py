"""What the operator says of one FreePBX. How it writes numbers stands in the helper's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from connectors.transport.helper import LOGIN


class FreePbxSettings(BaseModel):
    """Settings of family `freepbx`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = LOGIN
    """The account on the phone system whose key is bound to the helper."""
    apply_seconds: Annotated[int, Field(ge=1, le=600)] = 90
    """How long a change may take on top of any other answer: FreePBX writes all its files anew and reloads Asterisk."""
