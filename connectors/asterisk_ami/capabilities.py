"""What this connector honestly says of itself; with settings, of one phone system."""

from __future__ import annotations

from typing import Final

from connectors.asterisk_ami.settings import AsteriskAmiSettings
from connectors.contract import (
    PEOPLE,
    Capabilities,
    Operation,
    Proof,
    Secrecy,
    SecretKind,
)

FULL_CONTROL: Final = (
    "THE ACCOUNT EQUALS FULL CONTROL OF THE PHONE SYSTEM: Asterisk has no right that changes people without also "
    "reading every file of its configuration, passwords among it, and giving itself more rights"
)
WHY: Final = (
    f"{FULL_CONTROL}. What keeps passwords from us is a fixed list of requests: sections are asked for by a filter "
    "that leaves password sections out, and no other request for a file can be expressed"
)
PIN_KEPT: Final = (
    "the line of voicemail.conf that holds the PIN also holds name, address and options, and reading it would send the "
    "old PIN: only where the settings say `voicemail: rebuilt`"
)
EMAIL_KEPT: Final = (
    "the line of voicemail.conf that holds the address also holds the PIN, which is not read: only where the PINs are "
    "in the spool (`passwordlocation=spooldir`) and the settings say `voicemail: spooldir`; otherwise at the phone "
    "system, together with a new PIN"
)
PIN_IN_SPOOL: Final = "the PINs are in the phone system's spool, which the manager interface cannot write"
NO_DDI: Final = (
    "a direct number is a line of the dialplan; every way to read one sends the whole context, and PINs and passwords "
    "stand in dialplans as arguments"
)
NO_DIAG: Final = "the right that commands need (`command`) would print every password"
NO_LOGINS: Final = (
    "the manager interface does not show who else is signed in with an account: `manager show connected` needs the "
    "right that would print every password; let Asterisk's own security log go where the maintainer cannot reach it"
)
NO_DEVICES: Final = "which telephones are registered: only if the account also has `system`, which nothing else needs"
WIZARD: Final = (
    "people in pjsip_wizard.conf, in a database or in astdb are not seen: their sections hold the password, or are not "
    "in pjsip.conf; `system check` counts the wizard's"
)


def capabilities(settings: AsteriskAmiSettings | None = None) -> Capabilities:
    """Of the family, or of one phone system with its settings."""
    cannot = {
        "ddi": NO_DDI,
        "diag": NO_DIAG,
        "console-look": NO_DIAG,
        "console-act": NO_DIAG,
        "logins": NO_LOGINS,
        "reset-portal": "Asterisk has no portal password",
        "must-change": "Asterisk cannot make a user change a new PIN",
        "devices": NO_DEVICES,
        "people": WIZARD,
    }
    mode = None if settings is None else settings.voicemail
    operations = set(PEOPLE) - {Operation.RESET_PORTAL}
    if mode != "rebuilt":
        cannot["reset-voicemail"] = PIN_IN_SPOOL if mode == "spooldir" else PIN_KEPT
    if mode != "spooldir":
        cannot["email"] = EMAIL_KEPT
        cannot["mailbox name"] = "a new name reaches the caller id; the mailbox keeps its own, for the same reason"
    if settings is not None and mode != "rebuilt":
        operations.discard(Operation.RESET_VOICEMAIL)
    return Capabilities(
        title="Asterisk over its manager interface (AMI)",
        operations=frozenset(operations),
        secrecy={SecretKind.VOICEMAIL: Secrecy.SELECTED, SecretKind.SIP: Secrecy.SELECTED},
        secrecy_why=WHY,
        proven=(Proof.LIVE, Proof.TRANSCRIPTS),
        credential={"password": True},
        proven_how="a live Asterisk 22.10.1, resets by REGISTER (`make test-vendor`, where one is named); transcripts "
        "of it, and the conformance kit on a stand-in that answers as they do (always)",
        cannot=cannot,
    )
