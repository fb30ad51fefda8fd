"""What this connector honestly says of itself; with settings, of one phone system."""

from __future__ import annotations

from typing import Final

from connectors.contract import PEOPLE, Capabilities, Operation, Proof, Secrecy, SecretKind
from connectors.yeastar.settings import YeastarSettings

WHY: Final = (
    "an API client of this phone system could ask for every registration password and voicemail PIN "
    "(extension/getpassword), and it has no right that takes that away; what keeps them from us is a fixed list of "
    "requests on which neither that one stands nor the two that show an extension whole"
)
NO_PIN: Final = "the vendor documents no way to set a voicemail PIN over its API, only one to read it"
NO_DDI: Final = (
    "direct numbers are shown, and not changed: a route's list of numbers can only be written whole, and whoever "
    "changes another number of it at the same moment would lose theirs"
)
NO_DDI_AT_ALL: Final = "the settings say that inbound routes are not read"
NO_LOGINS: Final = (
    "the API tells nobody which tokens were given to whom; let the phone system's own operation log go where the "
    "maintainer cannot reach it"
)


def capabilities(settings: YeastarSettings | None = None) -> Capabilities:
    """Of the family, or of one phone system with its settings."""
    off = settings is not None and settings.direct_numbers == "none"
    cannot = {
        "reset-voicemail": NO_PIN,
        "ddi": NO_DDI_AT_ALL if off else NO_DDI,
        "diag": "the API has no console",
        "logins": NO_LOGINS,
        "must-change": "the phone system cannot make a person change a new password",
        "numbers by pattern": "what a route reaches by a pattern or a range is not worked out: such a person's numbers "
        "are shown as not available",
        "organisations": "where Organisation Management is on, the phone system takes no change without the person's "
        "organisations, which only a request that is never sent would tell: it refuses",
    }
    return Capabilities(
        title="Yeastar P-Series",
        operations=PEOPLE - {Operation.RESET_VOICEMAIL},
        secrecy={SecretKind.SIP: Secrecy.SELECTED, SecretKind.PORTAL: Secrecy.SELECTED},
        secrecy_why=WHY,
        proven=(Proof.DOCUMENTATION,),
        credential={"password": True},
        proven_how="the vendor's developer guide, never a phone system; the conformance kit on a stand-in made from it",
        cannot=cannot,
    )
