"""What this connector honestly says of itself."""

from __future__ import annotations

from typing import Final

from connectors.asterisk.cache import CACHED
from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.contract import PEOPLE, Capabilities, Operation, Proof, Secrecy, SecretKind
from connectors.transport.postgres_logins import RECORD
from connectors.transport.postgres_role import Findings

NO_CONSOLE: Final = "there is no console behind a database"


def capabilities(settings: AsteriskRealtimeSettings | None = None, findings: Findings | None = None) -> Capabilities:
    """Of the family, or of one open connection with what was found at its start."""
    secrecy, why = Secrecy.ENFORCED, "the database itself refuses our role every password column; asked at each connect"
    if findings is not None and not findings.enforced:
        secrecy = Secrecy.SELECTED
        why = f"THE ROLE COULD READ SECRETS ({'; '.join(findings.readable[:8])}); no request of ours names one"
    cannot = {
        "diag": NO_CONSOLE,
        "console-look": NO_CONSOLE,
        "console-act": NO_CONSOLE,
        "reset-portal": "Asterisk has no portal password",
        "must-change": "Asterisk cannot make a user change a new PIN",
        "messages": "recorded messages and greetings of a removed person stay on the phone system's disk",
    }
    if settings is None or settings.ddi is None:
        cannot["ddi"] = "not available unless the settings name the site's table of direct numbers"
    if settings is None or settings.sorcery_cache == "operator-expires":
        cannot["sorcery cache"] = CACHED
    return Capabilities(
        title="Asterisk with users in PostgreSQL",
        operations=PEOPLE - {Operation.RESET_PORTAL},
        secrecy={SecretKind.VOICEMAIL: secrecy, SecretKind.SIP: secrecy},
        secrecy_why=why,
        proven=(Proof.LIVE, Proof.SCHEMA, Proof.TRANSCRIPTS),
        credential={"password": True, "key": False},
        proven_how="a live Asterisk 22.10.1 on these tables, resets by REGISTER (`make test-vendor`, where one is "
        "named); the conformance kit on a real PostgreSQL with the tables and role of that version (always)",
        cannot=cannot,
        login_record=RECORD,
    )
