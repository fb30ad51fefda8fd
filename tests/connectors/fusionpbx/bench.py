"""FusionPBX as the conformance kit tries it: a real PostgreSQL with its tables, and a stand-in for its FreeSWITCH."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from connectors.conformance.bench import Hostile, Planted, Traits
from connectors.console import FREESWITCH, Class, find, parse
from connectors.contract import Credential, Family, SecretKind, Target
from connectors.fusionpbx.connector import FusionPbxFamily
from connectors.fusionpbx.requests import GUARD
from connectors.fusionpbx.statements import statements
from connectors.guard import Guard
from tests.connectors.asterisk.bench import _LOGGED, _numbered
from tests.connectors.asterisk.enemy import Enemy
from tests.connectors.fusionpbx.database import (
    DOMAIN,
    PASSWORD,
    Pbx,
    Somebody,
    drop,
    fresh,
    plant,
    rows,
    running_server,
    uuid,
)
from tests.support.event_socket import FreeSwitch

_NOT_HTTP = "the database's protocol is not HTTP, XML or JSON"
_ID = uuid("extension", DOMAIN, "20001")
_DOMAIN: Mapping[str, object] = {"domain": uuid("domain", DOMAIN)}
_ONE: Mapping[str, object] = {**_DOMAIN, "id": _ID}
_EXTENSIONS: Mapping[str, object] = {**_DOMAIN, "extensions": ["20001", "30001"]}
_BOX: Mapping[str, object] = {**_DOMAIN, "box": _ID}
_USER: Mapping[str, object] = {**_DOMAIN, "user": _ID}
_PLAN: Mapping[str, object] = {**_DOMAIN, "dialplan": _ID}
_LINES = [
    f'<extension name="2079460123" continue="false" uuid="{_ID}">',
    r'<condition field="destination_number" expression="^\+?(?:44)?(2079460123)$">',
    '<action application="transfer" data="20001 XML brook.example"/>', "</condition>", "</extension>",
]  # fmt: skip
_ROUTE: Mapping[str, object] = {
    **_PLAN, "destination": _ID, "number": "2079460123", "prefix": "44", "regex": r"^\+?(?:44)?(2079460123)$",
}  # fmt: skip
_KEY = {"key": "directory:20001@brook.example"}


def _somebody(person: Planted) -> Somebody:
    return Somebody(person.extension, person.name, person.email, person.ddis, dict(person.secrets))


def _words_of(heard: str) -> str:
    """The template's name for what the event socket heard, or its own words."""
    if re.fullmatch(r"api lua app/servers/resources/clear_cache\.lua delete [A-Za-z0-9*#+_@.-]+", heard):
        return "flush-file"
    typed = find(heard.removeprefix("api "), FREESWITCH) if heard.startswith("api ") else None
    if typed is not None:
        return "act" if typed[1].acts else "look"
    return {"auth": "event-socket-auth", "auth, wrong": "event-socket-auth"}.get(heard, heard)


class FusionPbxSystem:
    """One FusionPBX, reached through something that can turn into an enemy."""

    def __init__(self, pbx: Pbx, enemy: Enemy, switch: FreeSwitch, log: Path, people: Sequence[Planted]) -> None:
        self.people = people
        socket = {"host": "127.0.0.1", "port": switch.port, "console": "act"}
        self.target: Target = replace(pbx.target(event_socket=socket), port=enemy.port)
        self.other_pin = enemy.other_pin
        self._pbx, self._enemy, self._switch, self._log = pbx, enemy, switch, log
        self._read = log.stat().st_size
        self._names = {}
        settings: Any = self.target.settings
        with psycopg.connect(pbx.owner_url) as connection:
            for collation in (None, "und-x-icu", "pg_c_utf8"):
                for name, text in statements(settings, collation).items():
                    self._names[_numbered(text.as_string(connection))] = name

    async def unseal(self) -> Credential:
        """The role, its password and the event socket's."""
        return Credential("frameroom", f"{PASSWORD}\n{self._switch.password}")

    async def wrong(self) -> Credential:
        """Another password."""
        return Credential("frameroom", f"CANARY-not-this-one\n{self._switch.password}")

    async def now(self, person_id: str) -> Planted | None:
        """As the tables have it; a name or a number that is not the same in all of its places is told as half."""
        found = self._pbx.sql(
            """select e.extension, e.effective_caller_id_name, concat_ws(' ', e.directory_first_name,
                 e.directory_last_name), v.voicemail_mail_to, array(select '+' || d.destination_prefix ||
                 d.destination_number || case when p.dialplan_xml like '%%>%%' and (p.dialplan_xml like '%%' ||
                   d.destination_number || '%%') and exists (select 1 from v_dialplan_details t where t.dialplan_uuid =
                   p.dialplan_uuid and t.dialplan_detail_data like '%%' || d.destination_number || '%%')
                   then '' else ' half' end from v_destinations d left join v_dialplans p using (dialplan_uuid)
                 where d.destination_data = e.extension || ' XML ' || e.user_context order by 1)
               from v_extensions e left join v_voicemails v on v.voicemail_id = e.extension and
                 v.domain_uuid = e.domain_uuid where e.extension_uuid = %s""",
            person_id,
        )
        if not found:
            return None
        extension, name, directory, email, ddis = found[0]
        name = name if name == directory else f"half: {name} {directory}"
        return Planted(person_id, extension, name, email, tuple(ddis))

    async def count(self) -> int:
        """Extensions, each being a person's."""
        return int(self._pbx.sql("select count(*) from v_extensions")[0][0])

    async def opens(self, person_id: str, kind: SecretKind, secret: str) -> bool:
        """As FreeSWITCH or FusionPBX would judge it."""
        return await asyncio.to_thread(self._pbx.opens, person_id, kind, secret)

    async def put(self, person: Planted) -> None:
        """As somebody at FusionPBX's own pages would."""
        first, _, last = person.name.partition(" ")
        self._pbx.sql(
            "update v_extensions set effective_caller_id_name = %s, directory_first_name = %s, "
            "directory_last_name = %s where extension_uuid = %s", person.name, first, last, person.id,
        )  # fmt: skip
        self._pbx.sql(
            "update v_voicemails set voicemail_mail_to = %s where voicemail_id = %s", person.email, person.extension
        )
        self._numbers(person)

    def _numbers(self, person: Planted) -> None:
        self._gone(person.extension)
        made = rows([_somebody(person)])
        for table, values in list(made.items())[-3:]:
            for row in values:
                holes = ", ".join(["%s"] * len(row))
                self._pbx.sql(f"insert into {table} values ({holes})", *row)  # noqa: S608 - of this file

    def _gone(self, extension: str) -> None:
        which = "(select dialplan_uuid from v_destinations where destination_data like %s)"
        for table in ("v_dialplan_details", "v_dialplans"):
            self._pbx.sql(f"delete from {table} where dialplan_uuid in {which}", f"{extension} XML %")  # noqa: S608
        self._pbx.sql("delete from v_destinations where destination_data like %s", f"{extension} XML %")

    async def drop(self, person_id: str) -> None:
        """The extension and its mailbox."""
        ((extension,),) = self._pbx.sql("select extension from v_extensions where extension_uuid = %s", person_id)
        self._gone(extension)
        self._pbx.sql("delete from v_voicemails where voicemail_id = %s", extension)
        self._pbx.sql("delete from v_extensions where extension_uuid = %s", person_id)

    async def heard(self) -> Sequence[str]:
        """From the database's own log of statements, and from the stand-in's."""
        await asyncio.to_thread(self._quiet)
        with self._log.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        heard = []
        for entry in data.decode(errors="replace").split("@@@")[1:]:
            database, _, words = entry.partition("@ ")
            text = _LOGGED.match(words.partition(":  ")[2])
            if database == f"frameroom.{self._pbx.database}" and text:
                heard.append(self._names.get(" ".join(text[1].split()), text[1]))
        told, self._switch.heard = self._switch.heard, []
        return heard + [_words_of(words) for words in told]

    def _quiet(self) -> None:
        """Wait until none of our role's connections is in the middle of anything."""
        with psycopg.connect(self._pbx.owner_url, autocommit=True) as connection:
            while connection.execute(
                "select 1 from pg_stat_activity where usename = 'frameroom' and datname = current_database() "
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


class FusionPbxBench:
    """FusionPBX's own tables on a real PostgreSQL, TLS and SCRAM."""

    family: Family = FusionPbxFamily()
    guard: Guard = GUARD
    examples: Mapping[str, Mapping[str, object]] = {
        **{key: {} for key in ("begin", "commit", "rollback", "role", "logging", "collations", "own-login", "logins")},
        "readable": {"schema": "public", "allowed": ["v_users.username"], "touched": ["v_users"],
                     "secrets": ["password"]},
        "missing": {"rights": ["SELECT public.v_users username"]},
        "domain": {"name": DOMAIN}, "other-domains": _DOMAIN,
        "address-owner": {**_USER, "email": "zoe@customer.example"},
        "people": {**_ONE, "after": "3230303031", "limit": 50}, "find": {**_DOMAIN, "words": ["grace"], "limit": 50},
        **dict.fromkeys(("view", "own", "lock-own", "users", "lock-users", "delete-extension",
                         "delete-extension-users", "delete-extension-settings"), _ONE),
        "sharers": {**_ONE, **_EXTENSIONS},
        **dict.fromkeys(("boxes", "lock-boxes", "routes", "lock-routes", "delete-ring-group-destinations"),
                        _EXTENSIONS),
        "number-owner": {"number": "+442079460123", "ids": [_ID]},
        "set-name": {**_ONE, "name": "Zoë de Vries"}, "set-directory": {**_ONE, "first": "Zoë", "last": "de Vries"},
        "set-mail": {**_BOX, "email": "zoe@customer.example"},
        "set-user-email": {**_USER, "email": "zoe@customer.example"},
        "set-pin": {**_BOX, "secret": "73910284"}, "set-sip": {**_ONE, "secret": "Kx7mQ2vTz9LpR4wNc8Hd"},
        "set-lines": {**_DOMAIN, "name": DOMAIN, "extension": "20001", "secret": "Kx7mQ2vTz9LpR4wNc8Hd"},
        "set-portal": {**_USER, "hash": "$2y$10$" + "a" * 53},
        "move-route": {**_ROUTE, "trunk": "0"},
        "insert-route": {**_ROUTE, "context": "public", "extension": "20001", "to": DOMAIN},
        "set-dialplan": {**_PLAN, "number": "2079460123", "lines": _LINES},
        "insert-dialplan": {**_PLAN, "number": "2079460123", "context": "public", "lines": _LINES},
        "insert-details": {**_PLAN, "details": [r"condition destination_number - ^(2079460123)$",
                                                "action transfer - 20001 XML brook.example"]},
        "clear-details": _PLAN,
        **{key: {**_DOMAIN, "dialplans": [_ID]} for key in ("delete-details", "delete-dialplans")},
        "delete-routes": {**_DOMAIN, "destinations": [_ID]},
        **{key: {**_DOMAIN, "follow_me": _ID} for key in ("delete-follow-me", "delete-follow-me-destinations")},
        **dict.fromkeys(("delete-box", "delete-box-messages", "delete-box-options", "delete-box-destinations"), _BOX),
        "delete-box-greetings": {**_DOMAIN, "extension": "20001"},
        **dict.fromkeys(("delete-user", "delete-user-groups", "delete-user-settings"), _USER),
        "event-socket-auth": {"secret": "CluelessCon"},
        "event-socket-userauth": {"user": "frameroom@prompt.example", "secret": "CluelessCon"},
        "look": {"line": "status"}, "act": {"line": "reloadxml"}, "flush-file": _KEY, "flush-memcache": _KEY,
    }  # fmt: skip
    traits = Traits(
        more_secrets=("api_key", "user_totp_secret"),
        diag=tuple(parse(entry.sample(), FREESWITCH) for entry in FREESWITCH if entry.kind is Class.LOOK),
        acts=tuple(parse(entry.sample(), FREESWITCH) for entry in FREESWITCH if entry.kind is Class.ACT),
        console="fusionpbx",
        long=parse("sofia status profile internal reg", FREESWITCH),
        inapplicable=dict.fromkeys(
            (Hostile.XML_BOMB, Hostile.XML_ENTITY, Hostile.DEEP_JSON, Hostile.REDIRECT), _NOT_HTTP
        ),
    )

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._server: Any = None

    def _start(self) -> None:
        """The server, when it is first wanted: the tests of the guard alone do without."""
        self._server = self._stack.enter_context(running_server())
        made, port, _ = self._server
        with psycopg.connect(f"{made.url('postgres', 'owner')}&port={port}", autocommit=True) as connection:
            connection.execute("alter role frameroom set log_statement = 'all'")
            connection.execute("alter system set log_line_prefix = '@@@%u.%d@ '")
            connection.execute("select pg_reload_conf()")

    @asynccontextmanager
    async def running(self, people: Sequence[Planted]) -> AsyncIterator[FusionPbxSystem]:
        """A database and a switch of their own."""
        if self._server is None:
            self._start()
        made, port, pem = self._server
        pbx = fresh(self._server, ())
        plant(pbx.owner_url, [_somebody(person) for person in people])
        # FreeSWITCH's prompt is for a FusionPBX of one domain: it shows all of them.
        pbx.sql("delete from v_domains where domain_name <> %s", DOMAIN)
        held = [replace(person, id=_somebody(person).id) for person in people]
        told = " ".join(secret for person in people for secret in person.secrets.values())
        enemy = Enemy(port, made._folder, pem, [person.name for person in people], told)
        async with (
            enemy.running(),
            FreeSwitch(secrets=told, registered=[person.extension for person in people]).running() as switch,
        ):
            yield FusionPbxSystem(pbx, enemy, switch, made._folder / "log", held)
        drop(self._server, pbx)

    def close(self) -> None:
        """The server."""
        self._stack.close()
