"""How a connector comes in, what it says of itself, and what is left when it went."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from connectors.conformance.bench import Bench, Hostile, System
from connectors.conformance.people import planted
from connectors.conformance.suite.trying import applies, own, refusal, renewable, tried
from connectors.contract import (
    CONSOLE,
    OUTSIDE,
    Change,
    Connector,
    Credential,
    MakesSecrets,
    Operation,
    ReadsLogins,
    SecretKind,
    Target,
)
from connectors.errors import ConnectorError, CredentialRefused, IdentityMismatch, NotSupported, Unreachable

pytestmark = pytest.mark.asyncio


class _Sealed:
    """Counts how often the credential was asked for."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.opened = 0

    async def unseal(self) -> Credential:
        self.opened += 1
        return await self._system.unseal()


async def _connect(bench: Bench, target: Target, sealed: _Sealed) -> Connector:
    return await bench.family.connect(target, sealed.unseal)


async def test_the_credential_is_opened_once(bench: Bench) -> None:
    async with bench.running(planted(bench, 2)) as system:
        sealed = _Sealed(system)
        connector = await _connect(bench, system.target, sealed)
        assert isinstance(connector, Connector)
        await connector.view(own(system).id)
        await connector.people(None, 10)
        assert sealed.opened == 1
        await connector.close()


async def test_another_identity_and_the_credential_stays_sealed(bench: Bench) -> None:
    async with bench.running(planted(bench, 2)) as system:
        for pin in (system.other_pin, "no pin at all", " "):
            sealed = _Sealed(system)
            error = await refusal(_connect(bench, replace(system.target, pin=pin), sealed))
            if pin == system.other_pin:
                assert isinstance(error, IdentityMismatch)
            assert sealed.opened == 0
        assert not await system.heard()


async def test_an_identity_that_changes_between_two_calls(bench: Bench) -> None:
    applies(bench, Hostile.IDENTITY_SWAPPED)
    async with tried(bench) as (system, connector):
        await connector.view(own(system).id)
        async with system.misbehave(Hostile.IDENTITY_SWAPPED, 0):
            sealed = _Sealed(system)
            assert isinstance(await refusal(_connect(bench, system.target, sealed)), IdentityMismatch)
            assert sealed.opened == 0
            # The connection that was open goes on, or ends; it does not ask the impostor.
            await system.heard()
            try:
                await connector.view(own(system).id)
            except ConnectorError as error:
                assert isinstance(error, Unreachable | IdentityMismatch)
                assert not await system.heard()


async def test_a_credential_that_is_refused_and_one_that_cannot_be_opened(bench: Bench) -> None:
    async with bench.running(planted(bench, 2)) as system:
        wrong = await system.wrong()
        error = await refusal(bench.family.connect(system.target, system.wrong))
        assert isinstance(error, CredentialRefused)
        for part in (wrong.password, wrong.private_key):
            assert not part or part not in repr(error)

        async def sealed() -> Credential:
            raise RuntimeError("the vault is shut")

        with pytest.raises(RuntimeError, match="the vault is shut"):
            await bench.family.connect(system.target, sealed)


async def test_nobody_there(bench: Bench) -> None:
    async with bench.running(planted(bench, 2)) as system:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
            sealed = _Sealed(system)
            error = await refusal(_connect(bench, replace(system.target, port=taken.getsockname()[1]), sealed))
        assert isinstance(error, Unreachable)
        assert sealed.opened == 0


async def test_somebody_there_who_says_nothing_or_nonsense(bench: Bench) -> None:
    async with bench.running(planted(bench, 2)) as system:
        for says in (None, b"", b"\xff" * 5000, b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01" * 50):
            gone = asyncio.Event()

            async def serve(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                says: bytes | None = says,
                gone: asyncio.Event = gone,
            ) -> None:
                if says is None:
                    await gone.wait()
                else:
                    writer.write(says)
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            sealed = _Sealed(system)
            target = replace(system.target, port=server.sockets[0].getsockname()[1], connect_timeout_ms=700)
            error = await refusal(_connect(bench, target, sealed))
            assert isinstance(error, Unreachable | IdentityMismatch)
            assert sealed.opened == 0
            gone.set()
            server.close()


async def test_after_it_was_closed_nothing_is_asked(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        person = await connector.view(own(system).id)
        await system.heard()
        await connector.close()
        await connector.close()
        for doing in (connector.view(person.id), connector.people(None, 5), connector.find("a", 5),
                      connector.alter(person.id, Change(name="Another Name"), person)):  # fmt: skip
            assert isinstance(await refusal(doing), Unreachable | NotSupported)
        assert not await system.heard()


async def test_it_says_what_it_can_and_why_it_cannot(bench: Bench) -> None:
    can = bench.family.capabilities()
    assert can.title
    assert can.secrecy_why
    assert can.proven
    assert can.proven_how
    assert {Operation.FIND, Operation.VIEW, Operation.LIST_ALL} <= can.operations
    for operation in frozenset(Operation) - OUTSIDE:
        # One word for the whole of a prompt is enough.
        why = can.cannot.get(operation.value) or (operation in CONSOLE and can.cannot.get("diag"))
        assert operation in can.operations or why, f"no word why not {operation.value}"
    for kind in SecretKind:
        assert (kind.operation in can.operations) == (kind in can.secrecy), f"how is {kind.value} kept secret?"
    assert can.made_there <= set(can.secrecy), "what is made there has to be said how it is kept secret"
    assert can.login_record or can.cannot.get("logins")
    assert 0 < bench.family.default_port < 65536
    ours = bench.family.settings_model.model_config
    assert ours.get("extra") == "forbid", "a setting that is misspelt is told, not passed over"


async def test_what_it_says_that_it_cannot_it_does_not(bench: Bench) -> None:
    operations = bench.family.capabilities().operations
    async with tried(bench) as (system, connector):
        person = await connector.view(own(system).id)
        if Operation.ALTER not in operations:
            doing = connector.alter(person.id, Change(name="Another Name"), person)
            assert isinstance(await refusal(doing), NotSupported)
        if Operation.REMOVE not in operations:
            assert isinstance(await refusal(connector.remove(person.id, person)), NotSupported)
        if bench.traits.max_ddis == 0:
            assert person.ddis is None
        assert bool(renewable(bench)) == isinstance(connector, MakesSecrets)
        login = bench.family.capabilities().login_record
        assert bool(login) == isinstance(connector, ReadsLogins)
        if isinstance(connector, ReadsLogins):
            mine = await connector.own_login()
            assert mine in [one.id for one in (await connector.logins(0)).logins]


async def test_a_check_walks_from_reach_to_what_could_be_read(bench: Bench) -> None:
    async with tried(bench) as (_, connector):
        lines = await connector.check()
        assert [line.what for line in lines][:3] == ["reach", "identity", "credential"]
        assert "secrets" in [line.what for line in lines]
        assert all(line.ok and line.words for line in lines), lines
