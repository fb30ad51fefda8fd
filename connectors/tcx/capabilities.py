"""What this connector honestly says of itself."""

from __future__ import annotations

from typing import Final

from connectors.contract import PEOPLE, Capabilities, Proof, Secrecy, SecretKind

NO_DIAG: Final = "3CX has no prompt, and its configuration interface answers questions about configuration alone"
NO_LOGINS: Final = (
    "3CX's audit log (ReportAuditLog) is of changes, with what stood there before and after, and no record of sign-ins "
    "that its schema would name; it is read on 3CX's web page, by its own people"
)
MADE_THERE: Final = (
    "3CX makes a new password itself and mails it to its person with the welcome message: Frameroom never holds one, "
    "and has nothing to send to an approver instead"
)
_WHY: Final = (
    "new passwords are made and mailed by 3CX itself, so that Frameroom holds none. Old ones could be read by our "
    "client (3CX has no right that changes people without it); what stops it is a fixed list of requests, each of "
    "which names its fields"
)


def capabilities() -> Capabilities:
    """Of any phone system of this family."""
    return Capabilities(
        title="3CX version 20 (XAPI)",
        operations=PEOPLE,
        secrecy=dict.fromkeys(SecretKind, Secrecy.SELECTED),
        secrecy_why=_WHY,
        proven=(Proof.SCHEMA,),
        credential={"password": True},
        proven_how=(
            "the vendor's own OpenAPI file (`make test-vendor`, where it is named): every request of ours, and every "
            "answer of the stand-in that the conformance kit runs on. It was never run against a live 3CX"
        ),
        cannot={
            "diag": NO_DIAG,
            "logins": NO_LOGINS,
            "hand-over": MADE_THERE,
            "must-change": "3CX makes nobody change a password that it mailed",
            "several numbers": "with several direct numbers nobody can tell which one is meant to change",
        },
        made_there=frozenset(SecretKind),
    )
