"""What our role could read, asked of the database itself before anything else is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.asterisk.link import Link
from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.asterisk.statements import READABLE
from connectors.contract import CheckLine
from connectors.errors import SecretReadable

_UPDATES = {
    "ps_endpoints": ("callerid",),
    "ps_auths": ("auth_type", "password", "md5_cred", "password_digest"),
    "voicemail": ("fullname", "email", "password"),
}


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found: empty when the role can read no secret."""

    readable: tuple[str, ...]

    @property
    def enforced(self) -> bool:
        """Whether the phone system itself keeps the secrets from us."""
        return not self.readable


async def prove(link: Link, settings: AsteriskRealtimeSettings) -> Proof:
    """SecretReadable naming what could be read, unless the settings put up with it."""
    found = list[str]()
    for name, superuser, replication, makes_roles, bypasses, files in await link.read("role"):
        rights = zip(
            (superuser, replication, makes_roles, bypasses, files),
            ("is a superuser", "may replicate", "may make roles", "bypasses row security", "may read server files"),
            strict=True,
        )
        found += [f"the role {name} {words}" for has, words in rights if has]
    touched = set(READABLE) | ({settings.ddi.table} if settings.ddi else set())
    allowed = [f"{table}.{column}" for table, columns in READABLE.items() for column in columns]
    if settings.ddi is not None:
        allowed += [f"{settings.ddi.table}.{c}" for c in (settings.ddi.number_column, settings.ddi.extension_column)]
    owners = set[str]()
    rows = await link.read("readable", schema=settings.namespace, allowed=allowed, touched=sorted(touched))
    for schema, table, column, owner in rows:
        found.append(f"{schema}.{table}.{column}")
        if owner and table in touched and table not in owners:
            owners.add(table)
            found.append(f"the role owns {schema}.{table}, or belongs to its owner")
    if found and not settings.allow_selected:
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise SecretReadable(f"our database role could read secrets: {'; '.join(found[:8])}{more}")
    return Proof(tuple(found))


def _rights(settings: AsteriskRealtimeSettings) -> list[str]:
    schema = settings.namespace
    rights = [f"SELECT {schema}.{table} {column}" for table, columns in READABLE.items() for column in sorted(columns)]
    rights += [f"UPDATE {schema}.{table} {column}" for table, columns in _UPDATES.items() for column in columns]
    rights += [f"DELETE {schema}.{table}" for table in READABLE]
    if settings.ddi is not None:
        table = f"{schema}.{settings.ddi.table}"
        columns = (settings.ddi.number_column, settings.ddi.extension_column)
        rights += [f"SELECT {table} {column}" for column in columns] + [f"DELETE {table}"]
        rights += [f"INSERT {table} {column}" for column in columns]
        rights.append(f"UPDATE {table} {columns[0]}")
    return rights


async def check_lines(link: Link, settings: AsteriskRealtimeSettings) -> Sequence[CheckLine]:
    """Secrets, rights and statement log, in plain words."""
    lines = []
    proof = await prove(link, settings.model_copy(update={"allow_selected": True}))
    words = "the database refuses our role every password column" if proof.enforced else "; ".join(proof.readable[:8])
    lines.append(CheckLine("secrets", proof.enforced, words))
    missing = [str(row[0]) for row in await link.read("missing", rights=_rights(settings))]
    lines.append(CheckLine("rights", not missing, "missing: " + "; ".join(missing[:8]) if missing else "as documented"))
    statement, duration, length = (await link.read("logging"))[0]
    logs = (statement in ("mod", "all") or duration != "-1") and length != "0"
    words = "a new voicemail PIN would be in the database's log: set log_parameter_max_length = 0 for our role"
    lines.append(CheckLine("statement log", not logs, words if logs else "no value that we write is in it"))
    return lines
