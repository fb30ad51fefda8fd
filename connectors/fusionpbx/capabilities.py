"""What this connector honestly says of itself; with settings and findings, of one open connection."""

from __future__ import annotations

from typing import Final

from connectors.contract import PEOPLE, Capabilities, Proof, Secrecy, SecretKind
from connectors.fusionpbx.event_socket import STAYS
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.transport.postgres_logins import RECORD
from connectors.transport.postgres_role import Findings

FULL_CONTROL: Final = (
    "THE EVENT SOCKET'S PASSWORD EQUALS FULL CONTROL OF THE PHONE SYSTEM, and it goes there without TLS; two fixed "
    "requests are all that is sent there"
)
NO_DEVICES: Final = "which telephones are registered: FreeSWITCH keeps that in its own memory"


def capabilities(settings: FusionPbxSettings | None = None, findings: Findings | None = None) -> Capabilities:
    """Of the family, or of one open connection with what was found at its start."""
    secrecy, why = Secrecy.ENFORCED, "the database itself refuses our role every password column; asked at each connect"
    if findings is not None and not findings.enforced:
        secrecy = Secrecy.SELECTED
        why = f"THE ROLE COULD READ SECRETS ({'; '.join(findings.readable[:8])}); no request of ours names one"
    if settings is not None and settings.event_socket is not None:
        # What holds that password could read every other one.
        secrecy, why = Secrecy.SELECTED, f"{FULL_CONTROL}. Of the database: {why}"
    elif settings is None:
        why += ". Where the settings name FreeSWITCH's event socket it is `selected`: its password could do everything"
    cannot = {
        "diag": "there is no console behind a database",
        "devices": NO_DEVICES,
        "must-change": "FusionPBX cannot make a user change a new password or PIN",
        "contacts": "names and addresses of FusionPBX's address book are neither read nor written",
        "key labels": "a new name reaches the keys of telephones when somebody saves the extension in FusionPBX",
    }
    if settings is None or settings.event_socket is None:
        cannot["cache"] = f"without the event socket {STAYS}"
    return Capabilities(
        title="FusionPBX (FreeSWITCH)",
        operations=PEOPLE,
        secrecy=dict.fromkeys((SecretKind.VOICEMAIL, SecretKind.SIP, SecretKind.PORTAL), secrecy),
        secrecy_why=why,
        proven=(Proof.SCHEMA,),
        proven_how="the conformance kit on a real PostgreSQL with the columns that FusionPBX 5.6 defines (an "
        "extract; its own definitions and its own PHP with `make test-vendor`); no live FusionPBX or FreeSWITCH",
        cannot=cannot,
        login_record=RECORD,
    )
