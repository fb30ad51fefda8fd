"""The rights that our role has on an Asterisk's database, as docs/connectors/asterisk-realtime.md grants them."""

from __future__ import annotations

from typing import Final

from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.asterisk.statements import READABLE
from connectors.transport.postgres_role import Documented

_UPDATES: Final = {
    "ps_endpoints": ("callerid",),
    "ps_auths": ("auth_type", "password", "md5_cred", "password_digest"),
    "voicemail": ("fullname", "email", "password"),
}
_SECRETS: Final = frozenset(
    {
        "password", "secret", "md5_cred", "password_digest", "refresh_token", "oauth_secret", "imappassword",
        "sippasswd", "vmsecret", "pin",
    }
)  # fmt: skip


def documented(settings: AsteriskRealtimeSettings) -> Documented:
    """With the site's own table of direct numbers, where the settings name one."""
    reads, updates = dict(READABLE), dict[str, tuple[str, ...]](_UPDATES)
    if settings.digest == "sha256":
        updates["ps_auths"] = (*updates["ps_auths"], "supported_algorithms_uas", "supported_algorithms_uac")
    inserts = dict[str, tuple[str, ...]]()
    deletes = set(READABLE)
    if (ddi := settings.ddi) is not None:
        reads[ddi.table] = reads.get(ddi.table, frozenset()) | {ddi.number_column, ddi.extension_column}
        updates[ddi.table] = (*updates.get(ddi.table, ()), ddi.number_column)
        inserts[ddi.table] = (ddi.number_column, ddi.extension_column)
        deletes.add(ddi.table)
    return Documented(settings.namespace, reads, updates, frozenset(deletes), _SECRETS, inserts)
