"""What the operator says about one Asterisk: no secret is among it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
Identifier = Annotated[str, Field(pattern=_NAME)]


class DdiTable(BaseModel):
    """The site's own table of direct numbers: one row a number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Identifier
    number_column: Identifier
    extension_column: Identifier
    shape: Literal["plus", "digits", "national"] = "digits"
    """How numbers are written there: +442079460123, 442079460123 or 02079460123."""
    country_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] = "44"

    def shown(self, stored: str) -> str:
        """A stored number as E.164 where it parses, else as it is."""
        bare = stored.strip().removeprefix("+")
        if self.shape == "national" and re.fullmatch(r"0[0-9]{5,14}", bare):
            return f"+{self.country_code}{bare[1:]}"
        return f"+{bare}" if self.shape != "national" and re.fullmatch(r"[1-9][0-9]{5,14}", bare) else stored

    def word(self, typed: str) -> str:
        """A word of a search as the table would write it, when it looks like a whole or half a direct number."""
        digits = re.sub(r"[().\-/]", "", typed)
        if not re.fullmatch(r"\+[0-9]{3,15}|0[0-9]{6,14}", digits):
            return typed
        wanted = digits if digits.startswith("+") else f"+{self.country_code}{digits[1:]}"
        try:
            return self.stored(wanted)
        except ValueError:
            return typed

    def stored(self, shown: str) -> str:
        """An E.164 number as the table writes it. ValueError where a national table cannot hold it."""
        if self.shape == "plus":
            return shown
        if self.shape == "digits":
            return shown.removeprefix("+")
        prefix = f"+{self.country_code}"
        if not shown.startswith(prefix):
            raise ValueError("a number of another country")
        return f"0{shown.removeprefix(prefix)}"


class Expiry(BaseModel):
    """The way to an account on the phone system whose key does nothing but empty Asterisk's cache, by SSH."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pin: Annotated[str, Field(pattern=r"^[a-z0-9@.-]{1,40} [A-Za-z0-9+/=]{20,2000}$")]
    """Its host key: type and key, as in known_hosts."""
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] | None = None
    """Where the database is, unless told."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 22
    login: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$")] = "frameroom"


class AsteriskRealtimeSettings(BaseModel):
    """Settings of family `asterisk-realtime`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}$")] = "asterisk"
    namespace: Identifier = Field(default="public", alias="schema")
    sslmode: Literal["pinned", "loopback"] = "pinned"
    """pinned: TLS, certificate checked against the pin. loopback: no TLS, to this machine or a unix socket only."""
    user_contexts: tuple[str, ...] = ()
    """Dialplan contexts whose endpoints are people; empty: every endpoint with a caller id or a mailbox."""
    voicemail_context: str = "default"
    """Where a mailbox without "@context" is."""
    mailbox: Literal["mailboxes", "extension"] = "mailboxes"
    """Which mailbox is a person's: the endpoint's `mailboxes` column, or the one named as the extension."""
    realm: Annotated[str, Field(pattern=r'^[^":\x00-\x1f]{1,255}$')] = "asterisk"
    """Asterisk's default_realm, for rows that name none."""
    digest: Literal["md5", "sha256"] = "md5"
    """The hash that a SIP reset writes; sha256 wants Asterisk 20.12, 21.7 or 22.2 and telephones that speak it."""
    sorcery_cache: Literal["none", "operator-expires", "expires"] = "none"
    """What becomes of a cache of res_pjsip/auth, if sorcery.conf has one: operator-expires: somebody empties it by
    hand; expires: Frameroom does, by `expiry`, with the credential's key."""
    expiry: Expiry | None = None
    ddi: DdiTable | None = None
    allow_selected: bool = False
    """Work although the role could read secrets; shown as `selected` everywhere. For a site that cannot do better."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.sorcery_cache == "expires") != (self.expiry is not None):
            raise ValueError('sorcery_cache "expires" and expiry go together')
        return self
