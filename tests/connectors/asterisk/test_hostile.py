"""The database as an enemy, and our own role as one: what it is refused, what we refuse, what never leaks."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from connectors.asterisk.connector import AsteriskConnector, AsteriskRealtimeFamily
from connectors.asterisk.statements import GUARD
from connectors.contract import Change, Credential, Secret, SecretKind
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    RequestNotAllowed,
    Unreachable,
)

from .conftest import PASSWORD, VECTORS, Pbx, certificate

_CAPTURE = (VECTORS / "90-pg-grants.txt").read_text()
REFUSED = re.findall(r"^gateway=> (.+)\n(?=ERROR:)", _CAPTURE, re.M)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize("attempt", REFUSED)
def test_the_database_refuses_what_it_refused_on_the_live_system(pbx: Pbx, attempt: str) -> None:
    role = attempt.replace("set role asterisk", "set role owner")
    with pbx.as_gateway() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(role.encode())


def test_the_capture_was_read() -> None:
    assert len(REFUSED) >= 20


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from ps_auths", "select password from ps_auths", "select md5_cred from ps_auths",
        "select password_digest from ps_auths", "select refresh_token from ps_auths",
        "select oauth_secret from ps_auths", "select password from voicemail", "select imappassword from voicemail",
        "select id from ps_auths where password = 'x'", "select id from ps_auths where password like 'C%'",
        "select id from ps_auths order by md5_cred", "select count(distinct password) from voicemail",
        "select row_to_json(a) from ps_auths a", "select to_jsonb(v) from voicemail v", "select a from ps_auths a",
        "select a.*::text from ps_auths a", "copy ps_auths to stdout",
        "copy (select password from voicemail) to stdout",
        "copy ps_auths (password) to stdout", "table ps_auths",
        "update ps_auths set password = 'x' where id = '1001' returning password",
        "delete from ps_auths where id = '1001' returning password", "update ps_auths set md5_cred = password",
        "update ps_auths set md5_cred = md5_cred || 'x'",
        "update ps_endpoints e set callerid = a.password from ps_auths a where a.id = e.id",
        "update voicemail set fullname = password", "delete from ps_auths where password = 'x'",
        "delete from voicemail where password like '1%'", "create table stolen as select * from ps_auths",
        "select pg_read_file('/etc/passwd')", "truncate ps_auths",
    ],
)  # fmt: skip
def test_every_way_to_a_secret_that_is_known_is_refused_by_the_database_itself(pbx: Pbx, attempt: str) -> None:
    with pbx.as_gateway() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(attempt.encode())


def test_statistics_show_our_role_nothing(pbx: Pbx) -> None:
    pbx.sql("analyze")
    with pbx.as_gateway() as connection:
        rows = connection.execute(
            "select most_common_vals, histogram_bounds from pg_stats where attname in ('password', 'md5_cred')"
        ).fetchall()
    assert rows == []


@pytest.mark.parametrize("name", ["select password from ps_auths", "select", "set-password", ""])
def test_what_is_not_on_the_list_cannot_be_made(name: str) -> None:
    with pytest.raises(RequestNotAllowed):
        GUARD.render(name)


async def test_values_stay_values(pbx: Pbx, opened: AsteriskConnector) -> None:
    for nasty in ("'; drop table ps_auths; --", "1001' or '1'='1", "$1", "%s", "%(id)s"):
        assert (await opened.find(nasty.replace(" ", ""), 5)).people == ()
        with contextlib.suppress(ConnectorError):
            await opened.view(nasty)
    assert pbx.sql("select count(*) from ps_auths") == [(21,)]


async def test_another_certificate_and_the_credential_stays_sealed(pbx: Pbx) -> None:
    other, _ = certificate()
    with pytest.raises(IdentityMismatch):
        await AsteriskRealtimeFamily().connect(pbx.target(pin=other), pbx.unseal)
    assert pbx.unsealed == []


@pytest.mark.parametrize("pin", ["ssh-ed25519 AAAA", "", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"])
async def test_a_pin_that_is_none(pbx: Pbx, pin: str) -> None:
    target = pbx.target(pin=pin or " ")
    with pytest.raises(IdentityMismatch):
        await AsteriskRealtimeFamily().connect(target, pbx.unseal)
    assert pbx.unsealed == []


async def test_nobody_there(pbx: Pbx) -> None:
    with pytest.raises(Unreachable):
        await AsteriskRealtimeFamily().connect(pbx.target(port=1), pbx.unseal)
    assert pbx.unsealed == []


async def test_a_wrong_password(pbx: Pbx) -> None:
    async def unseal() -> Credential:
        return Credential("gateway", "CANARY-not-this-one")

    with pytest.raises(CredentialRefused) as caught:
        await AsteriskRealtimeFamily().connect(pbx.target(), unseal)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@contextlib.asynccontextmanager
async def fake(answer: Answer) -> AsyncIterator[int]:
    """A server that answers the SSLRequest with `answer`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):  # the client hangs up as it likes
            await reader.readexactly(8)
            await answer(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_no_tls_offered_and_the_credential_stays_sealed(pbx: Pbx) -> None:
    async def no(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"N")
        await writer.drain()

    async with fake(no) as port:
        with pytest.raises(IdentityMismatch):
            await AsteriskRealtimeFamily().connect(pbx.target(port=port), pbx.unseal)
    assert pbx.unsealed == []


@pytest.mark.parametrize("garbage", [b"", b"S", b"SSH-2.0-x\r\n", b"S" + bytes(4096), b"E" + b"\xff" * 4096])
async def test_garbage_before_identity(pbx: Pbx, garbage: bytes) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        await writer.drain()

    async with fake(say) as port:
        with pytest.raises((IdentityMismatch, Unreachable)):
            await AsteriskRealtimeFamily().connect(pbx.target(port=port), pbx.unseal)
    assert pbx.unsealed == []


async def test_a_pinned_server_that_asks_for_the_password_in_clear_does_not_get_it(pbx: Pbx, tmp_path: Path) -> None:
    """Even the right certificate does not make a database that may see the password."""
    pem, key = certificate()
    (tmp_path / "cert.pem").write_text(pem)
    (tmp_path / "key.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    heard = bytearray()

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(context)
        heard.extend(await reader.read(1000))
        writer.write(b"R" + struct.pack("!ii", 8, 3))  # AuthenticationCleartextPassword
        await writer.drain()
        heard.extend(await reader.read(1000))

    async with fake(ask) as port:
        with pytest.raises(ConnectorError):
            await AsteriskRealtimeFamily().connect(pbx.target(port=port, pin=pem), pbx.unseal)
    assert PASSWORD.encode() not in heard


async def test_without_tls_only_this_machine(pbx: Pbx) -> None:
    target = pbx.target(sslmode="loopback")
    away = type(target)("s", "192.0.2.1", 5432, target.pin, target.settings)
    with pytest.raises(IdentityMismatch):
        await AsteriskRealtimeFamily().connect(away, pbx.unseal)
    assert pbx.unsealed == []


async def test_a_failed_write_tells_nothing_of_what_was_written(pbx: Pbx, opened: AsteriskConnector) -> None:
    """PostgreSQL's own error quotes the whole row, password included; ours says none of it, nor does its context."""
    pbx.sql("alter table voicemail add check (password !~ '^9182')")
    pin = "".join(("918", "273"))  # so that this line's own source is not what a traceback shows
    with pytest.raises(ConnectorError) as caught:
        await opened.reset("1001", SecretKind.VOICEMAIL, Secret(pin))
    error: BaseException | None = caught.value
    while error is not None:
        told = "".join(traceback.format_exception(error)) + repr(error) + str(getattr(error, "next_step", ""))
        assert pin not in told
        assert "2262791001" not in told
        assert not isinstance(error, psycopg.Error)
        error = error.__context__
    assert pbx.sql("select password from voicemail where mailbox = '1001'") == [("2262791001",)]


async def test_a_lost_right_is_a_refusal_and_writes_nothing(pbx: Pbx, opened: AsteriskConnector) -> None:
    shown = await opened.view("1001")
    pbx.sql("revoke update (email) on voicemail from gateway")
    with pytest.raises(Refused):
        await opened.alter("1001", Change(name="Grace Bell", email="g@example.test"), shown)
    assert (await opened.view("1001")).name == "Grace Okonkwo"


def _cut(pbx: Pbx) -> None:
    pbx.sql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'gateway' "
            "and datname = current_database()")  # fmt: skip


async def test_cut_before_the_commit_nothing_happened(pbx: Pbx, opened: AsteriskConnector) -> None:
    shown = await opened.view("1001")
    _cut(pbx)
    with pytest.raises(Unreachable):
        await opened.alter("1001", Change(name="Grace Bell"), shown)
    assert pbx.sql("select fullname from voicemail where mailbox = '1001'") == [("Grace Okonkwo",)]


async def test_cut_at_the_commit_the_outcome_is_unknown(pbx: Pbx, opened: AsteriskConnector) -> None:
    shown = await opened.view("1001")
    # A deferred trigger runs inside COMMIT: there the server ends our connection.
    pbx.sql("""create function cut() returns trigger language plpgsql security definer as
        $$begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(0.01); return null; end$$;
        create constraint trigger cut after update on ps_endpoints deferrable initially deferred
        for each row execute function cut()""")
    with pytest.raises(OutcomeUnknown):
        await opened.alter("1001", Change(name="Grace Bell"), shown)


async def test_a_row_held_by_another_writer_ends_in_time(pbx: Pbx) -> None:
    target = pbx.target()
    short = type(target)("s", target.host, target.port, target.pin, target.settings, 5_000, 400)
    connector = await AsteriskRealtimeFamily().connect(short, pbx.unseal)
    shown = await connector.view("1001")
    with psycopg.connect(pbx.owner_url) as holder:
        holder.execute("select id from ps_endpoints where id = '1001' for update")
        with pytest.raises(ConnectorError):
            await connector.alter("1001", Change(name="Grace Bell"), shown)
    await connector.close()


async def test_fifty_thousand_people_in_pages(pbx: Pbx) -> None:
    pbx.sql("""insert into ps_endpoints (id, callerid, mailboxes)
        select 'u' || lpad(n::text, 6, '0'), '"User ' || n || '" <' || n || '>', n || '@default'
        from generate_series(100001, 150000) n; analyze""")
    connector = await pbx.connect()
    first = await connector.people("u149000", 500)
    second = await connector.people(first.cursor, 500)
    assert len(first.people) == len(second.people) == 500
    assert (first.people[0].id, second.people[-1].id) == ("u149001", "u150000")
    assert second.cursor is None or not (await connector.people(second.cursor, 500)).people
    assert len((await connector.find("User", 20)).people) == 20
    await connector.close()


async def test_an_answer_too_large_ends_the_connection(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = await pbx.connect()
    monkeypatch.setattr("connectors.transport.postgres._MAX_ROWS", 5)
    with pytest.raises(ProtocolViolation):
        await connector.people(None, 50)
    with pytest.raises(Unreachable):
        await connector.view("1001")
