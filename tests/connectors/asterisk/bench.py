"""Asterisk realtime as the conformance kit tries it, on a real PostgreSQL with what a live Asterisk's held."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from connectors.asterisk.connector import AsteriskRealtimeFamily
from connectors.asterisk.statements import GUARD, statements
from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.guard import Guard
from tests.connectors.asterisk.database import PASSWORD, Pbx, running_server
from tests.connectors.asterisk.enemy import Enemy

_LOGGED = re.compile(r"^(?:statement|execute [^:]*): (.*)", re.S)
_NOT_HTTP = "the database's protocol is not HTTP, XML or JSON"

_SCOPE: Mapping[str, object] = {"contexts": ["internal"], "vmcontext": "default"}
_ONE: Mapping[str, object] = {**_SCOPE, "id": "alice.wong"}
_OF = {"id": "20001", "vmcontext": "default"}
_BOX: Mapping[str, object] = {"context": "default", "mailbox": "20001"}
_IDS: Mapping[str, object] = {"ids": ["20001", "20002"]}
_EXTENSION: Mapping[str, object] = {"extension": "20001"}


def _normal(text: str) -> str:
    return " ".join(text.split())


def _numbered(text: str) -> str:
    """A statement as psycopg sends it: $1 for the first value that it names."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return _normal(re.sub(r"%\((\w+)\)s", number, text).replace("%%", "%"))


class AsteriskSystem:
    """One database, reached through something that can turn into an enemy."""

    def __init__(self, pbx: Pbx, enemy: Enemy, log: Path, people: Sequence[Planted]) -> None:
        self.people = people
        self.target: Target = replace(pbx.target(), port=enemy.port)
        self.other_pin = enemy.other_pin
        self._pbx, self._enemy, self._log = pbx, enemy, log
        self._read = log.stat().st_size
        with psycopg.connect(pbx.owner_url) as connection:
            self._names = {}
            settings: Any = self.target.settings
            for collation in (None, "und-x-icu", "pg_c_utf8"):
                for name, text in statements(settings, collation).items():
                    self._names[_numbered(text.as_string(connection))] = name

    async def unseal(self) -> Credential:
        """The role and its password."""
        return Credential("gateway", PASSWORD)

    async def wrong(self) -> Credential:
        """Another password."""
        return Credential("gateway", "CANARY-not-this-one")

    async def now(self, person_id: str) -> Planted | None:
        """As the tables have it; a name that is not the same in both of its places is told as half."""
        rows = self._pbx.sql(
            """select e.callerid, v.fullname, v.email, v.mailbox, array(select '+' || number from site_ddi d
               where d.extension = v.mailbox order by 1)
               from ps_endpoints e join voicemail v on v.mailbox || '@default' = e.mailboxes where e.id = %s""",
            person_id,
        )
        if not rows:
            return None
        callerid, fullname, email, extension, ddis = rows[0]
        name = fullname if callerid == f'"{fullname}" <{extension}>' else f"half: {callerid} {fullname}"
        return Planted(person_id, extension, name, email, tuple(ddis))

    async def count(self) -> int:
        """Endpoints, each being a person's."""
        return int(self._pbx.sql("select count(*) from ps_endpoints")[0][0])

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As Asterisk would judge it: a digest that is there wins over a password (res_pjsip, auth_type md5)."""
        if kind is SecretKind.VOICEMAIL:
            rows = self._pbx.sql(
                "select v.password from voicemail v join ps_endpoints e on v.mailbox || '@default' = e.mailboxes "
                "where e.id = %s", person_id,
            )  # fmt: skip
            return bool(rows) and rows[0][0] == secret
        rows = self._pbx.sql(
            "select auth_type::text, username, coalesce(realm, 'asterisk'), password, md5_cred, password_digest "
            "from ps_auths where id = %s", person_id,
        )  # fmt: skip
        if not rows:
            return False
        how, user, realm, password, md5, digest = rows[0]
        if how != "md5":
            return bool(password == secret)
        return digest is None and md5 == hashlib.md5(f"{user}:{realm}:{secret}".encode()).hexdigest()  # noqa: S324

    async def put(self, person: Planted) -> None:
        """As the site's own administrator would."""
        callerid = f'"{person.name}" <{person.extension}>'
        if len(callerid) > 40:
            raise ValueError("a caller id has at most 40 characters")
        self._pbx.sql("update ps_endpoints set callerid = %s where id = %s", callerid, person.id)
        self._pbx.sql(
            "update voicemail set fullname = %s, email = %s where mailbox = %s",
            person.name, person.email, person.extension,
        )  # fmt: skip
        self._pbx.sql("delete from site_ddi where extension = %s", person.extension)
        for number in person.ddis:
            self._pbx.sql("insert into site_ddi values (%s, %s)", number.removeprefix("+"), person.extension)

    async def drop(self, person_id: str) -> None:
        """All of a person's rows."""
        self._pbx.sql("delete from voicemail using ps_endpoints e where e.id = %s "
                      "and voicemail.mailbox || '@default' = e.mailboxes", person_id)  # fmt: skip
        self._pbx.sql("with a as (delete from ps_auths where id = %s), b as (delete from ps_aors where id = %s) "
                      "delete from ps_endpoints where id = %s", person_id, person_id, person_id)  # fmt: skip

    async def heard(self) -> Sequence[str]:
        """From the database's own log of statements."""
        await asyncio.to_thread(self._quiet)
        with self._log.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        heard = []
        for entry in data.decode(errors="replace").split("@@@")[1:]:
            database, _, words = entry.partition("@ ")
            text = _LOGGED.match(words.partition(":  ")[2])
            if database == f"gateway.{self._pbx.database}" and text:
                heard.append(self._names.get(_normal(text[1]), text[1]))
        return heard

    def _quiet(self) -> None:
        """Wait until none of our role's connections is in the middle of anything."""
        with psycopg.connect(self._pbx.owner_url, autocommit=True) as connection:
            while connection.execute(
                "select 1 from pg_stat_activity where usename = 'gateway' and datname = current_database() "
                "and state <> 'idle'"
            ).fetchone():
                connection.execute("select pg_sleep(0.02)")

    @asynccontextmanager
    async def misbehave(self, how: Hostile, elsewhere: int) -> AsyncIterator[None]:
        """What the database says, is from now on what an enemy would."""
        self._enemy.how = how
        try:
            yield
        finally:
            self._enemy.how = None


class AsteriskBench:
    """Asterisk's own tables on a real PostgreSQL, TLS and SCRAM."""

    family: Family = AsteriskRealtimeFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        "begin": {}, "commit": {}, "rollback": {}, "role": {}, "logging": {}, "collations": {}, "own-login": {},
        "logins": {}, "expire": {},
        "readable": {"schema": "public", "allowed": ["ps_auths.id"], "touched": ["ps_auths"],
                     "secrets": ["password"]},
        "missing": {"rights": ["SELECT public.ps_auths id"]},
        "people": {**_SCOPE, "cursor": "20001", "limit": 50}, "find": {**_SCOPE, "words": ["grace"], "limit": 50},
        "named": {**_SCOPE, "names": ["20001", "+442079460123"], "numbers": ["20001", "442079460123"]},
        "view": _ONE, "own": _ONE, "lock-own": _ONE, "lock-box-of": _OF, "box-users": _OF,
        "ddis-of": {"id": "20001"}, "box": _BOX, "lock-box": _BOX, "delete-box": _BOX,
        "box-others": {**_BOX, **_IDS, "vmcontext": "default"}, "extension-others": {**_IDS, **_EXTENSION},
        "parts-others": _IDS, "lock-auths": _IDS, "devices": _IDS, "delete-contacts": _IDS, "delete-endpoints": _IDS,
        "delete-auths": _IDS, "delete-aors": _IDS,
        "ddis": _EXTENSION, "lock-ddis": _EXTENSION, "delete-ddis": _EXTENSION,
        "ddi-owner": {"number": "442079460123"}, "set-callerid": {"id": "20001", "callerid": '"Zoë" <20001>'},
        "set-fullname": {**_BOX, "name": "Zoë de Vries"}, "set-email": {**_BOX, "email": "zoe@customer.example"},
        "set-pin": {**_BOX, "secret": "73910284"}, "set-md5": {"id": "20001", "hash": "0" * 32},
        "set-sha256": {"id": "20001", "hash": "SHA-256:" + "0" * 64},
        "insert-ddi": {"number": "442079460123", "extension": "20001"},
        "move-ddi": {"old": "442079460123", "new": "442079460124", "extension": "20001"},
    }  # fmt: skip
    traits = Traits(
        more_secrets=("refresh_token", "oauth_secret", "imappassword"),
        inapplicable=dict.fromkeys(
            (Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.DEEP_JSON, Hostile.REDIRECT), _NOT_HTTP
        ),
    )

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._started = False

    def _start(self) -> None:
        """The server, when it is first wanted: the tests of the guard alone do without."""
        self._started = True
        self._made, self._port, self._pem = self._stack.enter_context(running_server())
        with psycopg.connect(self._url("asterisk"), autocommit=True) as connection:
            for table in ("ps_endpoints", "ps_auths", "ps_aors", "ps_contacts", "voicemail", "site_ddi"):
                connection.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
            connection.execute("alter role gateway set log_statement = 'all'")
            connection.execute("alter role gateway set log_parameter_max_length = 0")  # as the connector's page says
            connection.execute("alter role gateway connection limit 100")
            connection.execute("alter system set log_line_prefix = '@@@%u.%d@ '")
            connection.execute("alter system set max_connections = 200")
            connection.execute("select pg_reload_conf()")

    def _url(self, database: str) -> str:
        return f"{self._made.url(database, 'owner')}&port={self._port}"

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[AsteriskSystem]:
        """A database of its own."""
        if not self._started:
            self._start()
        self._made._count += 1
        name = f"kit{self._made._count}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name} template asterisk".encode())
        pbx = Pbx(self._url(name), name, self._port, self._pem)
        plant(self._url(name), people)
        told = " ".join(secret for person in people for secret in person.secrets.values())
        enemy = Enemy(self._port, self._made._folder, self._pem, [person.name for person in people], told)
        async with enemy.running():
            yield AsteriskSystem(pbx, enemy, self._made._folder / "log", list(people))
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())

    def close(self) -> None:
        """The server."""
        self._stack.close()


def plant(url: str, people: Sequence[Planted]) -> None:
    """As rows: an endpoint, its address of record, its password entry, a mailbox, direct numbers."""

    def secret(person: Planted, field: str) -> str | None:
        return person.secrets.get(field)

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        rows: dict[str, list[tuple[Any, ...]]] = {
            "ps_endpoints (id, callerid, mailboxes, context, auth, aors)": [
                (p.id, f'"{p.name}" <{p.extension}>', f"{p.extension}@default", "internal", p.id, p.id) for p in people
            ],
            "ps_aors (id, max_contacts)": [(p.id, 2) for p in people],
            "ps_auths (id, auth_type, username, password, refresh_token, oauth_secret)": [
                (p.id, "userpass", p.id, secret(p, "sip"), secret(p, "refresh_token"), secret(p, "oauth_secret"))
                for p in people
            ],
            "voicemail (context, mailbox, password, fullname, email, imappassword)": [
                ("default", p.extension, secret(p, "voicemail") or "", p.name, p.email, secret(p, "imappassword"))
                for p in people
            ],
            "site_ddi (number, extension)": [(d.removeprefix("+"), p.extension) for p in people for d in p.ddis],
        }
        for table, values in rows.items():
            with cursor.copy(f"copy {table} from stdin".encode()) as copy:
                for row in values:
                    copy.write_row(row)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")
