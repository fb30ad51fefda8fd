"""Mailboxes as app_voicemail has them: a line's fields and options over the defaults of [general]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.ami.config import Category

_NOT_CONTEXTS = {"general", "zonemessages"}
_YES = {"yes", "true", "1", "on", "y", "t"}
# In the order in which Asterisk shows them: field, option, what it is where nobody says.
_SHOWN: tuple[tuple[str, str, str], ...] = (
    ("ServerEmail", "serveremail", ""), ("FromString", "fromstring", ""),
    ("MailCommand", "mailcmd", "/usr/sbin/sendmail -t"),
    ("Language", "language", ""), ("TimeZone", "tz", ""), ("Callback", "callback", ""), ("Dialout", "dialout", ""),
    ("UniqueID", "uniqueid", ""), ("ExitContext", "exitcontext", ""), ("SayDurationMinimum", "saydurationm", "2"),
    ("SayEnvelope", "envelope", "yes"), ("SayCID", "saycid", "no"), ("AttachMessage", "attach", "no"),
    ("AttachmentFormat", "attachfmt", ""), ("DeleteMessage", "delete", "no"), ("VolumeGain", "volgain", "0.00"),
    ("CanReview", "review", "no"), ("CanMarkUrgent", "leaveurgent", "yes"), ("CallOperator", "operator", "no"),
    ("MaxMessageCount", "maxmsg", "100"), ("MaxMessageLength", "maxsecs", "0"),
)  # fmt: skip
_FLAGS = {"envelope", "saycid", "attach", "delete", "review", "leaveurgent", "operator"}


@dataclass
class Box:
    """One mailbox as loaded."""

    context: str
    mailbox: str
    pin: str
    fullname: str
    email: str
    pager: str
    options: dict[str, str] = field(default_factory=dict)

    def shown(self) -> list[tuple[str, str]]:
        """What an entry says of it: everything but the PIN."""
        rows = [
            ("VMContext", self.context), ("VoiceMailbox", self.mailbox), ("Fullname", self.fullname),
            ("Email", self.email), ("Pager", self.pager),
        ]  # fmt: skip
        for name, option, default in _SHOWN:
            value = self.options.get(option, default)
            rows.append((name, ("Yes" if value.lower() in _YES else "No") if option in _FLAGS else value))
        return [*rows, ("NewMessageCount", "0"), ("OldMessageCount", "0")]


def boxes(categories: list[Category]) -> Iterator[Box]:
    """Every mailbox of a voicemail.conf."""
    general = {
        line.name: line.value for category in categories if category.name == "general" for line in category.lines
    }
    for category in categories:
        if category.name in _NOT_CONTEXTS:
            continue
        for line in category.lines:
            fields = (line.value.split(",", 4) + [""] * 5)[:5]
            own = dict(part.split("=", 1) for part in fields[4].split("|") if "=" in part)
            yield Box(category.name, line.name, *fields[:4], options=general | own)
