"""What the operator says about one Avaya Communication Manager: no secret is among it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class AvayaCmSettings(BaseModel):
    """Settings of family `avaya-cm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")] = "frameroom"
    """The login on the phone system: SSH wants it before the credential is opened."""
    terminal: Literal["ossi4", "ossie"] = "ossi4"
    """What is answered to "Terminal Type"."""
    ssh: Literal["modern", "sha1", "group1"] = "modern"
    """Older algorithms, for a phone system that has no better ones; what they weaken is shown by `system check`."""
