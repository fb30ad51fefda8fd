"""A mailbox as Asterisk shows it, which is without its PIN, and the line of voicemail.conf that says the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from connectors.errors import Refused

# What Asterisk shows of a mailbox, and the option that sets it. What is empty is not set.
_OPTIONS: Final[Mapping[bytes, str]] = {
    b"AttachMessage": "attach", b"AttachmentFormat": "attachfmt", b"DeleteMessage": "delete", b"SayCID": "saycid",
    b"SayEnvelope": "envelope", b"SayDurationMinimum": "saydurationm", b"CanReview": "review",
    b"CanMarkUrgent": "leaveurgent", b"CallOperator": "operator", b"VolumeGain": "volgain", b"TimeZone": "tz",
    b"Language": "language", b"Callback": "callback", b"Dialout": "dialout", b"ExitContext": "exitcontext",
    b"MaxMessageCount": "maxmsg", b"MaxMessageLength": "maxsecs", b"ServerEmail": "serveremail",
    b"FromString": "fromstring",
}  # fmt: skip
_UNSET: Final = frozenset({"", "0", "0.00"})
_ALWAYS: Final = frozenset({"attach", "delete", "saycid", "envelope", "review", "leaveurgent", "operator"})
_FORBIDDEN: Final = frozenset(',|;"\\<>')
SHOWN: Final = frozenset({b"VMContext", b"VoiceMailbox", b"Fullname", b"Email", b"Pager", *_OPTIONS})
"""Fields of a mailbox's entry that are kept."""
FOUND: Final = frozenset({b"VMContext", b"VoiceMailbox", b"Fullname", b"Email"})
"""Fields that a search looks at."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox; `options` by their names in voicemail.conf."""

    context: str
    mailbox: str
    fullname: str
    email: str
    pager: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[bytes, bytes]) -> Mailbox:
        """From an entry."""

        def text(key: bytes) -> str:
            return fields.get(key, b"").decode("utf-8", "replace")

        options = {name: text(key) for key, name in _OPTIONS.items() if key in fields}
        kept = {
            name: value.lower() if name in _ALWAYS else value
            for name, value in options.items()
            if name in _ALWAYS or value not in _UNSET
        }
        return cls(text(b"VMContext"), text(b"VoiceMailbox"), text(b"Fullname"), text(b"Email"), text(b"Pager"), kept)

    def line(self, pin: str, *, name: str | None = None, email: str | None = None) -> dict[str, object]:
        """What `set-mailbox` takes: this mailbox with another PIN, name or email ("" for none), all else as shown.

        Refused when something of it could not be written as it is.
        """
        becomes = replace(
            self, fullname=self.fullname if name is None else name, email=self.email if email is None else email
        )
        for value in (self.fullname, self.email, self.pager, *self.options.values()):
            if _FORBIDDEN & set(value) or "\ufffd" in value or value != value.strip():
                raise Refused(
                    "this mailbox holds something that cannot be written back as it is; nothing was written",
                    next_step="Change it at the phone system.",
                )
        return {
            "context": self.context, "mailbox": self.mailbox, "pin": pin, "name": becomes.fullname,
            "email": becomes.email, "pager": becomes.pager,
            "options": tuple(f"{key}={value}" for key, value in sorted(becomes.options.items())),
        }  # fmt: skip
