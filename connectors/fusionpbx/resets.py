"""New passwords. The SIP password and the PIN have to be written as they are; of the portal's only a hash is.

Source: FusionPBX, app/extensions/extension_edit.php (device lines take the extension's password),
core/users/user_edit.php and core/authentication/…/plugins/database.php (password_hash, `salt` null, cost 10).
"""

from __future__ import annotations

from typing import Final, TypeVar

import bcrypt

from connectors.contract import Secret, SecretKind, SecretRules
from connectors.errors import InvalidValue, NotSupported, ProtocolViolation, Refused
from connectors.fusionpbx.people import AT_THE_PBX, Own, User
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.guard import secret as fit_to_send
from connectors.transport.postgres import Transaction

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_COST: Final = 10
_MOST: Final = 72
"""What bcrypt looks at."""
_STILL_IN: Final = "whoever is signed in at the portal, ticked 'remember me' or has an API key there stays in"

T = TypeVar("T")


def need(found: T | None, what: str) -> T:
    """NotSupported where there is none."""
    if found is None:
        raise NotSupported(f"this person has no {what.removeprefix('a ')}")
    return found


def rules(kind: SecretKind) -> SecretRules:
    """What a new secret of this kind must look like."""
    unread = "in clear in the phone system's database, where our role cannot read it"
    match kind:
        case SecretKind.VOICEMAIL:
            return SecretRules("0123456789", 6, 10, False, unread)
        case SecretKind.SIP:
            return SecretRules(_LETTERS, 20, 40, False, f"{unread}; FusionPBX knows no other form of it")
        case _:
            return SecretRules(_LETTERS, 20, 64, False, "as a one-way hash (bcrypt)")


async def sip(work: Transaction, own: Own, domain: tuple[str, str], secret: Secret) -> list[str]:
    """The extension's password, and that of the telephones that FusionPBX provisions for it."""
    scope = {"domain": domain[0]}
    line = {"name": domain[1], "extension": own.extension, **scope}
    if await work.write("set-sip", id=own.id, secret=secret.reveal(), **scope) != 1:
        raise ProtocolViolation("the database wrote another number of rows than it showed; nothing was written")
    lines = await work.write("set-lines", secret=secret.reveal(), **line)
    if not lines:
        return []
    return [f"provisioned telephones have it too ({lines}) and take it when they next fetch their settings"]


async def portal(
    work: Transaction, user: User, domain: tuple[str, str], secret: Secret, settings: FusionPbxSettings
) -> list[str]:
    """The portal user's. Refused for anybody who is more than this person."""
    if why := user.kept(settings):
        raise Refused(f"the portal user {user.name} is one {why}; nothing was written", next_step=AT_THE_PBX)
    fit_to_send("the new password", secret.reveal())  # only its hash is sent, which every text has one of
    if len(secret.reveal()) > _MOST:
        raise InvalidValue(f"a portal password has at most {_MOST} characters")
    hashed = bcrypt.hashpw(secret.reveal().encode("ascii"), bcrypt.gensalt(_COST)).decode("ascii")
    # PHP knows the same form by another letter.
    hashed = hashed.replace("$2b$", "$2y$", 1)
    if await work.write("set-portal", user=user.id, hash=hashed, domain=domain[0]) != 1:
        raise ProtocolViolation("the database wrote another number of rows than it showed; nothing was written")
    return [f"it is the password of the portal user {user.name}; {_STILL_IN}"]
