"""What this connector honestly says of itself; with settings and findings, of one open connection."""

from __future__ import annotations

from typing import Final

from connectors.contract import CONSOLE, PEOPLE, Capabilities, Operation, Proof, Secrecy, SecretKind
from connectors.fusionpbx.event_socket import STAYS
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.transport.postgres_logins import RECORD
from connectors.transport.postgres_role import Findings

FULL_CONTROL: Final = (
    "THE EVENT SOCKET'S PASSWORD EQUALS FULL CONTROL OF THE PHONE SYSTEM, and it goes there without TLS; fixed "
    "requests are all that is sent there"
)
NARROWED: Final = (
    "the event socket's user may ask FreeSWITCH for the commands that its esl-allowed-api names, and take part in "
    "calls that go on; its password goes there without TLS, and fixed requests are all that is sent there"
)
NO_PROMPT: Final = "its settings do not open FreeSWITCH's prompt, which shows all of a FreeSWITCH"
LOOKS: Final = "its settings open FreeSWITCH's prompt to look only"
OTHERS: Final = (
    "FreeSWITCH's prompt shows every domain of a FreeSWITCH, and this one has others, or its database would not tell"
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
        told = NARROWED if settings.event_socket.user else FULL_CONTROL
        secrecy, why = Secrecy.SELECTED, f"{told}. Of the database: {why}"
    elif settings is None:
        why += ". Where the settings name FreeSWITCH's event socket it is `selected`: its password could do everything"
    cannot = {
        "devices": NO_DEVICES,
        "must-change": "FusionPBX cannot make a user change a new password or PIN",
        "contacts": "names and addresses of FusionPBX's address book are neither read nor written",
        "key labels": "a new name reaches the keys of telephones when somebody saves the extension in FusionPBX",
    }
    opened = _opened(settings)
    if Operation.DIAG not in opened:
        cannot["diag"] = NO_PROMPT
    if settings is None or not settings.flushes:
        cannot["cache"] = f"without the event socket {STAYS}"
    return Capabilities(
        title="FusionPBX (FreeSWITCH)",
        operations=PEOPLE | opened,
        secrecy=dict.fromkeys((SecretKind.VOICEMAIL, SecretKind.SIP, SecretKind.PORTAL), secrecy),
        secrecy_why=why,
        proven=(Proof.SCHEMA,),
        credential={"password": True},
        proven_how="the conformance kit on a real PostgreSQL with the columns that FusionPBX 5.6 defines (an "
        "extract; its own definitions and its own PHP with `make test-vendor`); the prompt on a live FreeSWITCH "
        "1.10.12; no live FusionPBX",
        cannot=cannot,
        login_record=RECORD,
    )


def _opened(settings: FusionPbxSettings | None) -> frozenset[Operation]:
    """What of the console the settings open; all of it for the family as such."""
    if settings is None:
        return CONSOLE
    opened = settings.event_socket.console if settings.event_socket is not None else "off"
    looks = CONSOLE - {Operation.CONSOLE_ACT}
    return {"off": frozenset(), "look": looks, "act": CONSOLE}[opened]
