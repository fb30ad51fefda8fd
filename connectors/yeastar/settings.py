"""What the operator says about one Yeastar P-Series: no secret is among it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class YeastarSettings(BaseModel):
    """Settings of family `yeastar`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    """The name in the certificate: needed where the pin is an authority, and not the server's own certificate."""
    names: Literal["first last", "last first", "whole"] = "first last"
    """How the phone system puts a name together (its "Name Display Format"): a new name is split so that it is shown
    as it was written. whole: all of it becomes the first name, and the last name is emptied."""
    direct_numbers: Literal["routes", "none"] = "routes"
    """routes: read from the inbound routes. none: not read, and shown as not available."""
    country_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] = "44"
    """Of numbers that routes hold without one: 02079460123 is then shown as +442079460123."""
