"""A real PostgreSQL with TLS and SCRAM: a FusionPBX's tables, the role of our page, two domains, canaries."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import bcrypt
import psycopg

from connectors.contract import Credential, SecretKind, Target
from connectors.fusionpbx.connector import FusionPbxConnector, FusionPbxFamily
from connectors.fusionpbx.rights import READS
from connectors.fusionpbx.settings import FusionPbxSettings
from tests.support.pg_tls import tls_server
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[3]
SCHEMA = (ROOT / "tests/vectors/fusionpbx/schema.sql").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/connectors/fusionpbx.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, re.S)
PASSWORD = "CANARY-pgpass-frameroom-31"
DOMAIN, OTHER = "brook.example", "other.example"
_SPACE = UUID("6f0f6f5c-1111-4222-8333-444455556666")
SALT = "5e0c1f6a"


def uuid(*of: str) -> str:
    """The same for the same words."""
    return str(uuid5(_SPACE, "/".join(of)))


@dataclass(frozen=True)
class Somebody:
    """One extension as it is planted."""

    extension: str
    name: str
    email: str | None = None
    numbers: tuple[str, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict)
    domain: str = DOMAIN

    @property
    def id(self) -> str:
        return uuid("extension", self.domain, self.extension)

    def secret(self, kind: str) -> str:
        return self.secrets.get(kind) or f"CANARY-{kind}-{self.extension}-{self.domain}"


PEOPLE = (
    Somebody("1001", "Grace Okonkwo", "grace@brook.example", ("+442079460101",)),
    Somebody("1002", "Tomás Álvarez", "tomas@brook.example", ("+442079460102", "+441614960102")),
    Somebody("1003", "李 小龍", None),
    Somebody("1004", "Siobhán O'Brien", "siobhan@brook.example"),
    Somebody("1001", "Somebody Else", "else@other.example", ("+442079460901",), domain=OTHER),
)


def rows(people: tuple[Somebody, ...] | list[Somebody]) -> dict[str, list[tuple[Any, ...]]]:
    """What FusionPBX would have written for them: `table (columns)` → rows."""
    made: dict[str, list[tuple[Any, ...]]] = {
        "v_extensions (extension_uuid, domain_uuid, extension, password, effective_caller_id_name, "
        "directory_first_name, directory_last_name, user_context, follow_me_uuid, enabled)": [],
        "v_voicemails (voicemail_uuid, domain_uuid, voicemail_id, voicemail_password, voicemail_mail_to, "
        "voicemail_enabled)": [],
        "v_users (user_uuid, domain_uuid, username, password, salt, user_email, api_key, user_totp_secret, "
        "user_enabled)": [],
        "v_extension_users (extension_user_uuid, domain_uuid, extension_uuid, user_uuid)": [],
        "v_user_groups (user_group_uuid, domain_uuid, user_uuid, group_name)": [],
        "v_device_lines (device_line_uuid, domain_uuid, server_address, user_id, auth_id, password)": [],
        "v_destinations (destination_uuid, domain_uuid, dialplan_uuid, destination_type, destination_number, "
        "destination_prefix, destination_context, destination_actions, destination_app, destination_data)": [],
        "v_dialplans (dialplan_uuid, domain_uuid, dialplan_context, dialplan_name, dialplan_number, dialplan_xml)": [],
        "v_dialplan_details (dialplan_detail_uuid, domain_uuid, dialplan_uuid, dialplan_detail_tag, "
        "dialplan_detail_data)": [],
    }
    extensions, boxes, users, links, groups, lines, routes, plans, details = made.values()
    for p in people:
        home, who = uuid("domain", p.domain), uuid("user", p.domain, p.extension)
        first, _, last = p.name.partition(" ")
        extensions.append((p.id, home, p.extension, p.secret("sip"), p.name, first, last, p.domain, None, True))
        boxes.append((uuid("box", p.id), home, p.extension, p.secret("voicemail"), p.email, True))
        hashed = hashlib.md5((SALT + p.secret("portal")).encode(), usedforsecurity=False).hexdigest()
        users.append((who, home, f"u{p.extension}", hashed, SALT, p.email, p.secret("api_key"),
                      p.secret("user_totp_secret"), True))  # fmt: skip
        links.append((uuid("link", p.id), home, p.id, who))
        groups.append((uuid("group", p.id), home, who, "user"))
        lines.append((uuid("line", p.id), home, p.domain, p.extension, p.extension, p.secret("sip")))
        for number in p.numbers:
            plan, data = uuid("plan", number), f"{p.extension} XML {p.domain}"
            actions = json.dumps([{"destination_app": "transfer", "destination_data": data}], separators=(",", ":"))
            routes.append((uuid("route", number), home, plan, "inbound", number[3:], number[1:3], "public", actions,
                           "transfer", data))  # fmt: skip
            plans.append((plan, home, "public", number[3:], number[3:], f"<old number={number}/>"))
            details.append((uuid("detail", number), home, plan, "condition", f"old {number}"))
    return made


def plant(url: str, people: tuple[Somebody, ...] | list[Somebody]) -> None:
    """Both domains and these people."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for name in (DOMAIN, OTHER):
            cursor.execute("insert into v_domains (domain_uuid, domain_name) values (%s, %s) on conflict do nothing",
                           (uuid("domain", name), name))  # fmt: skip
        for table, values in rows(people).items():
            with cursor.copy(f"copy {table} from stdin".encode()) as copy:
                for row in values:
                    copy.write_row(row)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")


@dataclass
class Pbx:
    """One FusionPBX's database: how its owner, and how our role, get in."""

    owner_url: str
    database: str
    port: int
    pin: str
    second: str = ""
    """The event socket's password."""
    unsealed: list[str] = field(default_factory=list)

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """As the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def as_role(self) -> psycopg.Connection[tuple[Any, ...]]:
        """As our role, without the connector between."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=self.database, user="frameroom", password=PASSWORD, autocommit=True
        )

    def target(self, *, port: int | None = None, pin: str | None = None, **settings: Any) -> Target:
        """As the connector gets it."""
        made = FusionPbxSettings.model_validate({"database": self.database, "domain": DOMAIN} | settings)
        return Target("sys_1", "127.0.0.1", port or self.port, pin or self.pin, made, 5_000, 5_000)

    async def unseal(self) -> Credential:
        """Noted, so that a test sees whether it came to that."""
        self.unsealed.append("unsealed")
        return Credential("frameroom", PASSWORD + (f"\n{self.second}" if self.second else ""))

    async def connect(self, **settings: Any) -> FusionPbxConnector:
        """An open connection."""
        return await FusionPbxFamily().connect(self.target(**settings), self.unseal)

    def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As FreeSWITCH, its voicemail script, or FusionPBX's sign-in (plugins/database.php) would judge it."""
        if kind is SecretKind.PORTAL:
            found = self.sql(
                "select u.password, u.salt from v_users u join v_extension_users x on x.user_uuid = u.user_uuid "
                "where x.extension_uuid = %s", person_id,
            )  # fmt: skip
            if not found:
                return False
            stored, salt = found[0]
            if stored.startswith("$"):
                return stored.startswith("$2y$") and bcrypt.checkpw(
                    secret.encode(), stored.replace("$2y$", "$2b$").encode()
                )
            return bool(hashlib.md5(((salt or "") + secret).encode(), usedforsecurity=False).hexdigest() == stored)
        text = "select password from v_extensions where extension_uuid = %s"
        if kind is SecretKind.VOICEMAIL:
            text = (
                "select v.voicemail_password from v_voicemails v join v_extensions e on e.extension = v.voicemail_id "
                "and e.domain_uuid = v.domain_uuid where e.extension_uuid = %s"
            )
        return self.sql(text, person_id) == [(secret,)]


def as_written(block: str) -> str:
    """A block of the page as its reader would run it."""
    return block.replace("'…'", f"'{PASSWORD}'").replace("connection limit 10", "connection limit 100")


@contextmanager
def running_server(schema: str = SCHEMA) -> Iterator[tuple[Postgres, int, str]]:
    """The server; its database `fusionpbx` has the tables, nobody in them, and is copied, never used."""
    with tls_server() as (made, port, pem):
        with psycopg.connect(f"{made.url('postgres', 'owner')}&port={port}", autocommit=True) as connection:
            connection.execute("create database fusionpbx")
        with psycopg.connect(f"{made.url('fusionpbx', 'owner')}&port={port}", autocommit=True) as connection:
            connection.execute(schema.encode())
            connection.execute(as_written(BLOCKS[0]).encode())
        yield made, port, pem


def fresh(server: tuple[Postgres, int, str], people: tuple[Somebody, ...] | list[Somebody] = PEOPLE) -> Pbx:
    """A database of its own with these people."""
    made, port, pem = server
    made._count += 1
    name = f"pbx{made._count}"
    with psycopg.connect(f"{made.url('postgres', 'owner')}&port={port}", autocommit=True) as connection:
        connection.execute(f"create database {name} template fusionpbx".encode())
    pbx = Pbx(f"{made.url(name, 'owner')}&port={port}", name, port, pem)
    plant(pbx.owner_url, people)
    return pbx


def drop(server: tuple[Postgres, int, str], pbx: Pbx) -> None:
    """Take it away, whoever is still connected."""
    made, port, _ = server
    with psycopg.connect(f"{made.url('postgres', 'owner')}&port={port}", autocommit=True) as connection:
        connection.execute(f"drop database {pbx.database} with (force)".encode())


def rows_of(pbx: Pbx, domain: str) -> dict[str, list[str]]:
    """Everything of one domain, by table."""
    home = uuid("domain", domain)
    return {
        table: sorted(str(row) for row in pbx.sql(f"select * from {table} where domain_uuid = %s", home))  # noqa: S608
        for table in READS
    }
