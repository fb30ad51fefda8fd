"""What our database role could read and what it lacks: asked of the database itself before anything else is done.

A family says in a `Documented` which rights its page grants; whatever else can be read of those tables counts as a
secret. The statements here are part of the guard and the statements of every family that speaks to PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from connectors.contract import CheckLine
from connectors.errors import ProtocolViolation, SecretReadable
from connectors.guard import Template, listed, text
from connectors.transport.identity import identity_line
from connectors.transport.postgres import Link, Row

_COLUMNS: Final = listed(text(200), 400)

TEMPLATES: Final = (
    Template("begin", True),
    Template("commit", True),
    Template("rollback", True),
    Template("role", False),
    Template(
        "readable", False,
        {"schema": text(63), "allowed": _COLUMNS, "touched": listed(text(63), 64), "secrets": listed(text(63), 64)},
    ),
    Template("missing", False, {"rights": _COLUMNS}),
    Template("logging", False),
    Template("collations", False),
    Template("own-login", False),
    Template("logins", False),
)  # fmt: skip

_LOGIN: Final = """select a.pid, (extract(epoch from a.backend_start) * 1000000)::bigint,
    pg_catalog.host(a.client_addr), a.application_name,
    (extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint from pg_catalog.pg_stat_activity a
"""

TEXTS: Final[Mapping[str, str]] = {
    "begin": "begin isolation level read committed",
    "commit": "commit",
    "rollback": "rollback",
    "role": """select r.rolname::text, r.rolsuper, r.rolreplication, r.rolcreaterole, r.rolbypassrls,
        pg_catalog.pg_has_role(session_user, 'pg_execute_server_program', 'MEMBER')
        or pg_catalog.pg_has_role(session_user, 'pg_read_server_files', 'MEMBER')
        from pg_catalog.pg_roles r where pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')""",
    "readable": """select distinct n.nspname::text, c.relname::text, a.attname::text,
          pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER')
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        join pg_catalog.pg_roles r on pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
        where c.relkind in ('r', 'p', 'v', 'm', 'f')
          and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%%'
          and (pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')
               or (n.nspname = %(schema)s and c.relname = any(%(touched)s::text[])
                   and pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER')))
          and ((n.nspname = %(schema)s and c.relname = any(%(touched)s::text[])
                and not (c.relname || '.' || a.attname) = any(%(allowed)s::text[]))
            or a.attname = any(%(secrets)s::text[]))
        order by 1, 2, 3 limit 200""",
    # A table or column that is not there is a right that is missing, and no error.
    "missing": """select w.r from unnest(%(rights)s::text[]) w(r)
        left join pg_catalog.pg_attribute a on a.attrelid = to_regclass(split_part(w.r, ' ', 2))
          and a.attname = split_part(w.r, ' ', 3) and a.attnum > 0 and not a.attisdropped
        where case when to_regclass(split_part(w.r, ' ', 2)) is null then true
          when split_part(w.r, ' ', 3) = ''
          then not pg_catalog.has_table_privilege(to_regclass(split_part(w.r, ' ', 2)), split_part(w.r, ' ', 1))
          else not coalesce(pg_catalog.has_column_privilege(a.attrelid, a.attnum, split_part(w.r, ' ', 1)), false)
          end""",
    "logging": """select pg_catalog.current_setting('log_statement'),
        pg_catalog.current_setting('log_min_duration_statement'),
        coalesce(pg_catalog.current_setting('log_parameter_max_length', true), '-1')""",
    "collations": """select c.collname::text from pg_catalog.pg_collation c
        where c.collname in ('und-x-icu', 'pg_c_utf8') and c.collnamespace = 'pg_catalog'::regnamespace
          and c.collencoding in (-1, 6) order by c.collname desc""",
    # Of its own role's connections every role sees all; of others' it is told next to nothing. `datid` is not asked:
    # our role may come into any database of the server.
    "own-login": _LOGIN + "where a.pid = pg_catalog.pg_backend_pid()",
    "logins": _LOGIN + """where a.usesysid = (select r.oid from pg_catalog.pg_roles r where r.rolname = session_user)
        and a.backend_type <> 'parallel worker' order by a.backend_start, a.pid""",  # noqa: S608 - of this file
}  # fmt: skip

_RIGHTS: Final = (
    "is a superuser", "may replicate", "may make roles", "bypasses row security", "may read server files",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Documented:
    """The rights that a family's page grants, table by table; `secrets`: names that a column with a password has in
    any other table or view of the database."""

    schema: str
    reads: Mapping[str, frozenset[str]]
    updates: Mapping[str, Sequence[str]]
    deletes: frozenset[str]
    secrets: frozenset[str]
    inserts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def rights(self) -> list[str]:
        """Each as `RIGHT schema.table column`, deletions without a column."""
        given = {"SELECT": self.reads, "UPDATE": self.updates, "INSERT": self.inserts}
        made = [
            f"{right} {self.schema}.{table} {column}"
            for right, tables in given.items() for table, columns in tables.items() for column in sorted(columns)
        ]  # fmt: skip
        return made + [f"DELETE {self.schema}.{table}" for table in sorted(self.deletes)]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the role could read: nothing when the phone system itself keeps the secrets from us."""

    readable: tuple[str, ...]

    @property
    def enforced(self) -> bool:
        """Whether it does."""
        return not self.readable


async def _rows(link: Link, name: str, width: int, **values: object) -> list[Row]:
    """Rows of the width that was asked for; ProtocolViolation for a database that answers otherwise."""
    rows = await link.read(name, **values)
    if any(len(row) != width for row in rows):
        raise ProtocolViolation("the phone system's database answered something that makes no sense")
    return rows


async def prove(link: Link, documented: Documented, *, put_up_with: bool) -> Findings:
    """SecretReadable naming what could be read, unless the settings put up with it."""
    found = list[str]()
    for name, *has in await _rows(link, "role", 6):
        found += [f"the role {name} {words}" for one, words in zip(has, _RIGHTS, strict=True) if one]
    allowed = [f"{table}.{column}" for table, columns in documented.reads.items() for column in columns]
    owners = set[str]()
    rows = await _rows(
        link, "readable", 4, schema=documented.schema, allowed=sorted(allowed), touched=sorted(documented.reads),
        secrets=sorted(documented.secrets),
    )  # fmt: skip
    for schema, table, column, owner in rows:
        found.append(f"{schema}.{table}.{column}")
        if owner and table in documented.reads and table not in owners:
            owners.add(table)
            found.append(f"the role owns {schema}.{table}, or belongs to its owner")
    if found and not put_up_with:
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise SecretReadable(f"our database role could read secrets: {'; '.join(found[:8])}{more}")
    return Findings(tuple(found))


async def check_lines(link: Link, documented: Documented, logged: str) -> Sequence[CheckLine]:
    """Secrets, rights and statement log, in plain words. `logged`: what would be in the log ("a new PIN")."""
    found = await prove(link, documented, put_up_with=True)
    words = "the database refuses our role every password column" if found.enforced else "; ".join(found.readable[:8])
    lines = [CheckLine("secrets", found.enforced, words)]
    missing = [str(row[0]) for row in await _rows(link, "missing", 1, rights=documented.rights())]
    lines.append(CheckLine("rights", not missing, "missing: " + "; ".join(missing[:8]) if missing else "as documented"))
    logging = await _rows(link, "logging", 3)
    if len(logging) != 1:
        raise ProtocolViolation("the phone system's database answered something that makes no sense")
    statement, duration, length = logging[0]
    logs = (statement in ("mod", "all") or duration != "-1") and length != "0"
    words = f"{logged} would be in the database's log: set log_parameter_max_length = 0 for our role"
    lines.append(CheckLine("statement log", not logs, words if logs else "no value that we write is in it"))
    return lines


def top_lines(*, pinned: bool) -> tuple[CheckLine, ...]:
    """What a connection that stands has shown already."""
    return (
        CheckLine("reach", True, "the database answers"),
        identity_line(pinned=pinned),
        CheckLine("credential", True, "it takes our role and password"),
    )
