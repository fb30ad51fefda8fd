"""What follows from what was found: what is the directory's, what a removal takes and leaves, what can be reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connectors.contract import Removal, SecretKind, SecretRules
from connectors.cucm.capabilities import NO_VOICEMAIL
from connectors.cucm.people import Own
from connectors.cucm.settings import CucmSettings
from connectors.errors import NotSupported, Refused

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_DIGITS: Final = "0123456789"
_THERE: Final = (
    "Have it changed in the customer's directory (Active Directory or another LDAP server); the phone system takes it "
    "over at its next synchronisation."
)
_MOST_NAMED: Final = 20

RULES: Final[Mapping[SecretKind, SecretRules]] = {
    SecretKind.VOICEMAIL: SecretRules(_DIGITS, 8, 16, True, "by Cisco's word encrypted, and read by nobody"),
    SecretKind.SIP: SecretRules(
        _LETTERS, 20, 64, False, "encrypted, and read by the phone system itself to check telephones"
    ),
    SecretKind.PORTAL: SecretRules(_LETTERS, 16, 64, True, "by Cisco's word as a hash"),
}


def may_change(own: Own) -> None:
    """Refused for whoever comes from a directory: the next synchronisation would undo it."""
    if own.from_directory:
        raise Refused("this person comes from the customer's LDAP directory; nothing was written", next_step=_THERE)


def may_remove(own: Own) -> None:
    """The same of a removal."""
    if own.from_directory:
        raise Refused(
            "this person comes from the customer's LDAP directory, and would be back; nothing was removed",
            next_step="Have the person removed or disabled in the customer's directory (Active Directory or another "
            "LDAP server); the phone system removes them about a day after its next synchronisation.",
        )


def may_reset(own: Own, kind: SecretKind, settings: CucmSettings) -> None:
    """NotSupported or Refused where this password cannot be reset; nothing was written."""
    if kind is SecretKind.VOICEMAIL and settings.voicemail == "none":
        raise NotSupported(
            f"a voicemail PIN cannot be reset here: {NO_VOICEMAIL}",
            next_step="The operator says `voicemail` in this phone system's settings.",
        )
    if kind is SecretKind.PORTAL and own.from_directory and settings.directory_passwords == "directory":
        raise Refused(
            "this person's password is checked by the customer's LDAP directory; nothing was reset",
            next_step="Have it reset in the customer's directory (Active Directory or another LDAP server).",
        )


def notes(kind: SecretKind, settings: CucmSettings) -> tuple[str, ...]:
    """What to know about a reset that was done."""
    if kind is SecretKind.SIP:
        return (
            "it counts for telephones whose Digest User is this person, once they are reset; telephones that use no "
            "digest authentication do not ask for it",
        )
    if kind is SecretKind.VOICEMAIL and settings.voicemail == "synchronised":
        return ("it also is this person's PIN for Extension Mobility and telephone services",)
    return ()


def removal(own: Own, devices: Sequence[str], mailbox: bool | None) -> Removal:
    """`mailbox`: whether Unity Connection has one; None where it was not asked or did not answer."""
    stays = [f"the device {name}, which this person controlled, with its lines" for name in devices[:_MOST_NAMED]]
    if len(devices) > _MOST_NAMED:
        stays.append(f"{len(devices) - _MOST_NAMED} more devices")
    if own.extension:
        stays.append(f"the line {own.extension.removeprefix(chr(92))}, and whatever outside number leads to it")
    match mailbox:
        case True:
            stays.append("the mailbox in Unity Connection with its messages")
        case None:
            stays.append("the mailbox in Unity Connection, if there is one")
    stays += [
        "hunt groups, pickup groups and translation patterns that lead to this person's lines",
        "calls in progress",
    ]
    return Removal((f"the end user {own.userid}, with password, PIN and digest credentials",), tuple(stays))
