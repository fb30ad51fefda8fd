"""A real PostgreSQL with TLS and SCRAM that holds what the live Asterisk's did, seed, role and canaries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from connectors.asterisk.connector import AsteriskConnector, AsteriskRealtimeFamily
from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.contract import Credential, Target
from tests.support.certificates import certificate as certificate
from tests.support.pg_tls import tls_server
from tests.support.postgres import Postgres

VECTORS = Path(__file__).parents[2] / "vectors" / "asterisk"
PASSWORD = "CANARY-pgpass-gateway-78"
DDI = {"table": "site_ddi", "number_column": "number", "extension_column": "extension"}
SHA256_TOO = "grant update (supported_algorithms_uas, supported_algorithms_uac) on ps_auths to gateway"
"""What `digest: sha256` needs besides."""
_SITE = """
create table site_ddi (number varchar(20) primary key, extension varchar(20) not null, note text);
insert into site_ddi values ('442079460101', '1001'), ('442079460120', '1020'), ('442079460121', '1020');
grant select (number, extension), insert (number, extension), update (number), delete on site_ddi to gateway;
"""


@dataclass
class Pbx:
    """One Asterisk's database: how its owner, and how our role, get in."""

    owner_url: str
    database: str
    port: int
    pin: str
    unsealed: list[str] = field(default_factory=list)

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """As the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def as_gateway(self) -> psycopg.Connection[tuple[Any, ...]]:
        """As our role, without the connector between."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=self.database, user="gateway", password=PASSWORD, autocommit=True
        )

    def target(self, *, port: int | None = None, pin: str | None = None, **settings: Any) -> Target:
        """As the connector gets it."""
        made = AsteriskRealtimeSettings.model_validate({"database": self.database, "ddi": DDI} | settings)
        return Target("sys_1", "127.0.0.1", port or self.port, pin or self.pin, made, 5_000, 5_000)

    async def unseal(self) -> Credential:
        """Noted, so that a test sees whether it came to that."""
        self.unsealed.append("unsealed")
        return Credential("gateway", PASSWORD)

    async def connect(self, **settings: Any) -> AsteriskConnector:
        """An open connection."""
        return await AsteriskRealtimeFamily().connect(self.target(**settings), self.unseal)


@contextmanager
def running_server(*, durable: bool = False) -> Iterator[tuple[Postgres, int, str]]:
    """The server: TLS on a loopback port, SCRAM alone. Its database `asterisk` is copied, never used."""
    with tls_server(durable=durable) as (made, port, pem):
        with psycopg.connect(f"{made.url('postgres', 'owner')}&port={port}", autocommit=True) as connection:
            connection.execute("create database asterisk")
        with psycopg.connect(f"{made.url('asterisk', 'owner')}&port={port}", autocommit=True) as connection:
            for name in ("schema", "seed", "gateway_role"):
                connection.execute((VECTORS / f"{name}.sql").read_bytes())
                connection.execute("set search_path = public")  # the dump empties it, as dumps do
            connection.execute(_SITE.encode())
        yield made, port, pem
