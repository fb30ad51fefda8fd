"""What follows from what was found: what a refusal means, what is one person's to change, to lose and to reset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connectors.asterisk_ami.actions import CallerId, comparable
from connectors.asterisk_ami.answers import Answer
from connectors.asterisk_ami.capabilities import PIN_IN_SPOOL, PIN_KEPT
from connectors.asterisk_ami.mailbox import Mailbox
from connectors.asterisk_ami.people import Own
from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.callerid import renamed
from connectors.contract import Removal, SecretKind
from connectors.errors import Conflict, NotSupported, OutcomeUnknown, Refused

AT_THE_PBX: Final = "Change it at the phone system."
_ROLES: Final = "The operator compares manager.conf with docs/connectors/asterisk-ami.md."
_CALLERID_LENGTH: Final = 120
ONE_FILE: Final = (
    "Asterisk adds a line to pjsip.conf itself, wherever the account stands: only where the settings say `one_file`"
)
NO_LINE: Final = f"the account's password section has no line for a password (a digest stands alone), and {ONE_FILE}"
_STAYS: Final = (
    "its telephones' registrations, until they expire",
    "recorded messages and greetings on the phone system's disk",
    "direct numbers, and dialplan, queue and group entries that name this extension",
    "calls in progress",
)


def done(answer: Answer) -> None:
    """Raise what Asterisk's refusal means, in our own words. Nothing was written when it comes of a write."""
    match answer.refused:
        case None | "none":
            return
        case "denied":
            raise Refused("the phone system does not let our account do that; nothing was written", next_step=_ROLES)
        case "no-section":
            raise Refused(
                "a section that this person's telephone names is not in pjsip.conf; nothing was written",
                next_step=AT_THE_PBX,
            )
        case "not-as-it-was":
            raise Conflict("it changed since it was shown; nothing was written")
        case "no-file" | "bad-file" | "restricted":
            raise Refused("the phone system cannot read its own configuration file; nothing was written")
        case "not-saved":
            raise OutcomeUnknown("the phone system could not save its configuration file")
        case _:
            raise Refused("the phone system refused it; nothing was written")


def renamings(own: Own, name: str, settings: AsteriskAmiSettings) -> Iterable[CallerId]:
    """Refused where a line would have to be added, and it is not known to which file."""
    for one in own.devices:
        if one.callerid_lines != 1 and not settings.one_file:
            raise Refused(
                f"the account {one.section} has {'several lines' if one.callerid_lines else 'no line'} for its caller "
                f"id, and {ONE_FILE}; nothing was written", next_step=AT_THE_PBX,
            )  # fmt: skip
        becomes = renamed(one.callerid, name, own.first.extension, _CALLERID_LENGTH)
        how = {0: "none", 1: "one"}.get(one.callerid_lines, "several")
        yield CallerId(one.section, comparable(one.callerid), becomes, how)


def removal(own: Own, mailbox: Mailbox | None) -> Removal:
    gone = [f"the telephone accounts {', '.join(own.ids)}"]
    stays = list(_STAYS)
    if len(own.alone(own.auths, "auth")) < len(own.auths):
        stays.append("a SIP password that other accounts share")
    if mailbox is not None and (sharers := own.sharers()):
        stays.append(f"the mailbox, which {', '.join(sharers)} also uses")
    elif mailbox is not None:
        gone.append(f"the mailbox {mailbox.mailbox}@{mailbox.context}")
    elif own.box is not None:
        stays.append(f"the mailbox {own.box[1]}@{own.box[0]}, if there is one: it is not in voicemail.conf")
    return Removal(tuple(gone), tuple(stays))


def may_reset(settings: AsteriskAmiSettings, kind: SecretKind, own: Own, mailbox: Mailbox | None) -> None:
    """NotSupported or Refused where this password cannot be reset; nothing was written."""
    if kind is SecretKind.PORTAL:
        raise NotSupported("Asterisk has no portal password")
    if kind is SecretKind.VOICEMAIL:
        if settings.voicemail != "rebuilt":
            why = PIN_IN_SPOOL if settings.voicemail == "spooldir" else PIN_KEPT
            raise NotSupported(f"a PIN cannot be reset here: {why}", next_step=AT_THE_PBX)
        if mailbox is None:
            raise NotSupported("this person has no mailbox")
        if sharers := own.sharers():
            raise Refused(f"the mailbox also belongs to {', '.join(sharers)}", next_step=AT_THE_PBX)
        return
    if not own.auths:
        raise NotSupported("this person's telephones have no SIP password of their own")
    if len(own.alone(own.auths, "auth")) < len(own.auths):
        raise Refused("the SIP password is shared with other people", next_step=AT_THE_PBX)
