"""What this connector honestly says of itself; with settings, of one phone system."""

from __future__ import annotations

from typing import Final

from connectors.contract import PEOPLE, Capabilities, Operation, Proof, Secrecy, SecretKind
from connectors.cucm.settings import CucmSettings

WHY: Final = (
    "THE ACCOUNT EQUALS FULL CONTROL OF THE PHONE SYSTEM: whoever may change a user over AXL may read and write the "
    "whole configuration by SQL. What keeps passwords from us is a fixed list of requests: each names the fields that "
    "it wants, none is a password, PIN or digest credential, and no other request can be expressed"
)
NO_ROUTING: Final = (
    "the number shown and changed is the one in the phone system's directory (Telephone Number); which outside number "
    "rings which telephone is in gateways, translation patterns and masks, differs from site to site, and is neither "
    "read nor changed"
)
NO_VOICEMAIL: Final = (
    "where the settings say neither `voicemail: unity` nor `voicemail: synchronised`, it is not known whose PIN that is"
)
NO_DEVICES: Final = (
    "AXL shows which devices a person controls, not which are registered now: that is another interface, which another "
    "role opens"
)
DIRECTORY: Final = (
    "people who come from an LDAP directory are shown; name, email, number and removal are the directory's, and "
    "refused here. Before schema 10.0 AXL does not tell who they are, and the phone system itself has to refuse"
)


def capabilities(settings: CucmSettings | None = None) -> Capabilities:
    """Of the family, or of one phone system with its settings."""
    cannot = {
        "ddi": NO_ROUTING,
        "diag": "AXL is for configuration alone; the phone system's own prompt is not reached",
        "logins": "AXL does not show who signed in with an account; let the phone system's audit log go where the "
        "maintainer cannot reach it",
        "devices": NO_DEVICES,
        "directory": DIRECTORY,
        "extension": "the primary extension is shown; other lines of a person's devices are not",
    }
    operations = set(PEOPLE)
    if settings is None or settings.voicemail == "none":
        cannot["reset-voicemail"] = NO_VOICEMAIL
    if settings is not None and settings.voicemail == "none":
        operations.discard(Operation.RESET_VOICEMAIL)
    return Capabilities(
        title="Cisco Unified Communications Manager (AXL) with Unity Connection",
        operations=frozenset(operations),
        secrecy=dict.fromkeys(SecretKind, Secrecy.SELECTED),
        secrecy_why=WHY,
        proven=(Proof.SCHEMA,),
        credential={"password": True},
        proven_how=(
            "every request, and every answer of the stand-in, against Cisco's own AXL schemas of nine versions from "
            "8.5 to 14.0; Unity Connection after Cisco's documentation alone; the conformance kit on the stand-in; "
            "never a live system"
        ),
        cannot=cannot,
    )
