"""Importing rows: what is planned is what is written, with its events; twice is the same; nothing opens by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from audit.clock import LogClock
from audit.log import AuditLog
from audit.sealing import FileKeyStore, FileMasterKey
from connectors.contract import Credential, Operation, SecretKind
from gateway.access.directory import Directory, agreement_of
from gateway.access.importing import Given, Importer
from gateway.access.permission import Permission
from gateway.errors import StateError
from gateway.identity.engineers import Engineers
from gateway.model import CharacterClass
from gateway.policy import decide
from gateway.store.engine import Store
from gateway.store.tables import agreements, approvers, contacts, customers, outbox, sites, systems
from gateway.vault import Vault

NAME = "Brook & Sons"
KEY = "ssh-ed25519 " + "A" * 60


class World:
    """An importer on a database of each kind, and what an operator has beside it."""

    def __init__(self, store: Store, folder: Path) -> None:
        master = FileMasterKey.create(folder / "master.key")
        self.audit = AuditLog(FileKeyStore(folder / "keyring", master), LogClock())
        self.store, self.vault = store, Vault(self.audit.keys)
        self.directory = Directory(store, self.audit, self.vault, ("company.example",))
        self.importer = Importer(store, self.audit, self.vault, ("company.example",))

    async def take(self, *rows: Given, plan: bool = False, customer: str = NAME) -> list[tuple[str, str]]:
        return await self.importer.take("op", customer, rows, plan)

    async def results(self, *rows: Given, plan: bool = False) -> list[str]:
        return [result for result, _ in await self.take(*rows, plan=plan)]

    async def everything(self) -> dict[str, list[Any]]:
        tables = (customers, sites, agreements, systems, contacts, approvers)
        async with self.store.look_at_everyone() as scope:
            return {t.name: [tuple(r) for r in await scope.execute(select(t))] for t in tables}

    async def events(self) -> list[str]:
        customer = await self.directory.customer_id(NAME)
        async with self.store.look(customer) as scope:
            return [row.body["kind"] for row in await self.audit.read(scope.connection, customer)]


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path)


def row(kind: str, **cells: str) -> Given:
    named = {name.replace("_", " "): value for name, value in cells.items()}
    return Given(kind, {"customer": NAME, **named})


SYSTEM = row("system", system="PBX", connector="lab", host="pbx.example", host_key=KEY, site="Leeds")
ALL = (
    row("customer"),
    row("site", site="Leeds", town="Leeds", postcode="ls14ap"),
    row("agreement", operations="find, view", mail_domains="customer.example"),
    SYSTEM,
    row("contact", name="Kate", email="kate@customer.example", phone="020 7946 0900", notices="daily"),
    row("approver", name="Omar", email="omar@customer.example"),
)


async def test_a_plan_writes_nothing_and_says_what_the_import_then_does(world: World) -> None:
    before = await world.everything()
    assert await world.results(*ALL, plan=True) == ["add"] * 6
    assert await world.everything() == before
    assert await world.results(*ALL) == ["added"] * 6
    held = await world.everything()
    assert {name: len(rows) for name, rows in held.items()} == dict.fromkeys(held, 1)


async def test_the_same_file_again_is_the_same_and_leaves_no_event(world: World) -> None:
    await world.take(*ALL)
    held, logged = await world.everything(), await world.events()
    assert await world.results(*ALL) == ["same"] * 6
    assert await world.everything() == held
    assert await world.events() == logged


async def test_every_add_and_change_has_its_event(world: World) -> None:
    await world.take(*ALL)
    assert await world.events() == [
        "customer.added", "site.added", "agreement.set", "system.added", "contact.added", "approver.added"
    ]  # fmt: skip
    changed = await world.take(
        row("site", site="Leeds", town="Hull"),
        row("system", system="pbx", host="new.example"),
        row("contact", email="Kate@customer.example", notices="none"),
        row("approver", email="omar@customer.example", phone="+442079460901"),
    )
    assert changed == [
        ("changed", "town: Leeds → Hull"),
        ("changed", "host: pbx.example → new.example; no credential yet: `frameroom system credential`"),
        ("changed", "notices: daily → none"),
        ("changed", "phone: nothing → +442079460901"),
    ]
    assert (await world.events())[6:] == ["site.changed", "system.changed", "contact.changed", "approver.changed"]


async def test_an_opt_out_and_a_standing_are_taken_and_keep_their_time(world: World) -> None:
    await world.take(*ALL)
    kate = row("contact", email="kate@customer.example", no_marketing="yes", standing="former", mobile="07700 900123")
    (changed,) = await world.take(kate)
    assert changed == (
        "changed", "mobile: nothing → +447700900123; standing: current → former; no marketing: no → yes"
    )  # fmt: skip
    assert await world.results(kate) == ["same"]
    (held,) = (await world.everything())["contacts"]
    assert "True" in str(held)
    assert (await world.take(row("contact", email="kate@customer.example", standing="gone")))[0][0] == "refused"


async def test_personal_fields_stand_sealed_in_the_log_and_open_again(world: World) -> None:
    await world.take(*ALL)
    customer = await world.directory.customer_id(NAME)
    async with world.store.look(customer) as scope:
        (added,) = await world.audit.read(scope.connection, customer, kinds=("contact.added",))
        told = await world.audit.personal(scope.connection, added)
    assert b"kate" not in added.entry
    assert told == {
        "name": "Kate", "email": "kate@customer.example", "phone": "+442079460900", "position": "", "mobile": "",
    }  # fmt: skip


async def test_what_an_agreement_says_of_new_passwords_and_of_how_many_say_yes(world: World) -> None:
    first = row("agreement", operations="view", secret_lengths="voicemail 6, sip 16", approvals_needed="2")
    assert await world.results(row("customer"), first) == ["added", "added"]
    assert await world.results(first) == ["same"]
    ((result, words),) = await world.take(
        row("agreement", secret_lengths="sip 20", secret_classes="sip lower upper digit"), plan=True
    )
    assert result == "change"
    assert "secret_lengths: sip 16, voicemail 6 → sip 20" in words
    assert "secret_classes: nothing → sip digit lower upper" in words
    assert "approvals_needed" not in words, "an empty cell leaves what is there"
    assert (await world.take(row("agreement", secret_classes="sip digit", secret_lengths="none")))[0][0] == "changed"
    ((_, words),) = await world.take(row("agreement", approvals_needed="1"))
    assert "approvals_needed: 2 → 1" in words
    async with world.store.look(await world.directory.customer_id(NAME)) as scope:
        held = await agreement_of(scope)
    assert held is not None
    assert (held.terms.secret_lengths, held.terms.approvals_needed) == ({}, 1)
    assert held.terms.secret_classes == {SecretKind.SIP: frozenset({CharacterClass.DIGIT})}


async def test_a_password_under_a_header_about_passwords_is_refused_and_not_repeated(world: World) -> None:
    await world.take(row("customer"), row("agreement", operations="view"))
    for column in ("secret_lengths", "secret_classes"):
        for cell in ("hunter2", "voicemail hunter2"):
            ((result, words),) = await world.take(row("agreement", **{column: cell}))
            assert result == "refused"
            assert words.startswith(column.replace("_", " "))
            assert "hunter2" not in words


async def test_an_imported_agreement_stays_closed_and_a_changed_one_closes_again(world: World) -> None:
    agreement = row("agreement", operations="find view", days="Mon-Fri", **{"from": "08:00", "to": "18:00"})
    ((_, words),) = (await world.take(row("customer"), agreement))[1:]
    assert "closed until confirmed" in words
    customer = await world.directory.customer_id(NAME)
    await world.directory.confirm_agreement("op", customer, "Kate", "letter")
    assert await world.take(agreement) == [("same", "")]
    ((result, words),) = await world.take(row("agreement", operations="find view diag", longest_visit="2h"))
    assert result == "changed"
    assert "operations: find view → diag find view" in words
    assert "max_minutes: 480 → 120" in words
    async with world.store.look(customer) as scope:
        held = await agreement_of(scope)
    assert held is not None
    assert (held.version, held.state.value, held.terms.hours is not None) == (2, "draft", True)


async def test_approvers_are_the_customers_own_people(world: World) -> None:
    await world.take(*ALL)
    refused = await world.take(
        row("approver", name="Eve", email="eve@Company.example"),
        row("approver", name="Somebody else", email="omar@customer.example"),
    )
    assert [result for result, _ in refused] == ["refused", "refused"]
    assert "maintenance company" in refused[0][1]
    assert "approves as Omar" in refused[1][1]


async def test_refused_rows_say_why_and_the_others_are_written(world: World) -> None:
    await world.take(row("customer"))
    taken = await world.take(
        row("contact", name="Kate", email="kate"),
        row("contact", name="Kate", email="kate@customer.example", phone="none"),
        row("contact", email="nobody@customer.example"),
        row("system", system="PBX", connector="asterisk-realtime", host="h", settings='{"realm": ""}'),
        row("system", system="PBX", connector="astrisk", host="h"),
        row("agreement", mail_domains="customer.example"),
        row("customer", region="eu"),
        row("contact", name="Omar", email="omar@customer.example"),
    )
    assert [result for result, _ in taken] == ["refused"] * 7 + ["added"]
    wanted = ("email: kate is no", "phone: none is no", "needs name", "settings: realm", "connector: astrisk",
              "needs operations", "its region is uk")  # fmt: skip
    for words, (_, said) in zip(wanted, taken, strict=False):
        assert words in said


async def test_a_customer_that_is_not_there_is_refused_with_the_nearest_name(world: World) -> None:
    await world.take(row("customer"))
    ((result, words),) = await world.take(row("site", site="Leeds"), customer="Brooks & Sons")
    assert (result, words) == ("refused", f"no customer is called Brooks & Sons; did you mean {NAME}?")
    assert [result for result, _ in await world.take(row("site", site="Leeds"), customer=NAME.upper())] == ["added"]


async def test_an_imported_approver_is_told_to_the_others(world: World) -> None:
    await world.take(*ALL)
    await world.take(row("approver", name="Nell", email="nell@customer.example"))
    async with world.store.look_at_everyone() as scope:
        told = [(r.what, r.address) for r in await scope.execute(select(outbox))]
    assert told == [("approver added", "omar@customer.example")]


async def test_what_was_removed_is_added_anew(world: World) -> None:
    await world.take(*ALL)
    async with world.store.everyone() as scope:
        await scope.execute(update(contacts).values(removed_ms=1))
    assert await world.results(ALL[4]) == ["added"]


async def test_a_phone_system_without_a_credential_opens_to_nobody_until_it_has_one(world: World) -> None:
    await world.take(*ALL)
    customer = await world.directory.customer_id(NAME)
    await world.directory.confirm_agreement("op", customer, "Kate", "letter")
    engineers = Engineers(world.store, world.audit, world.vault)
    engineer = await engineers.add("op", "ana", "Ana", "ana@company.example", frozenset())
    await world.directory.name_engineer("op", customer, engineer.id)
    permission = Permission(world.store, world.audit)
    ((_, system),) = await world.directory.systems_for(engineer.id)

    async def said() -> str:
        async with world.store.look(customer) as scope:
            return decide(
                await permission.facts(scope, engineer.id, system.id, None, False), Operation.VIEW
            ).code  # fmt: skip

    assert await said() == "no-credential"
    with pytest.raises(StateError, match="no credential yet"):
        world.vault.open_credential(customer, system.id, system.sealed_credential)
    await world.importer.give_credential("op", customer, system.id, Credential("frameroom", "CANARY"))
    assert await said() == "no-grant"


async def test_a_credential_is_sealed_and_never_replaced(world: World) -> None:
    def given(password: str) -> Given:
        return Given("system", SYSTEM.cells, {"login": "frameroom", "password": password})

    await world.take(row("customer"))
    assert await world.take(SYSTEM) == [("added", "no credential yet: `frameroom system credential`")]
    assert await world.take(given("CANARY-1")) == [("changed", "credential: nothing → from its file")]
    assert await world.take(given("CANARY-2")) == [("same", "")]
    async with world.store.look_at_everyone() as scope:
        (held,) = (await scope.execute(select(systems))).all()
    assert b"CANARY" not in held.credential
    assert world.vault.open_credential(held.customer_id, held.id, held.credential).password == "CANARY-1"


async def test_two_imports_of_one_file_at_once_add_everything_once(world: World) -> None:
    await world.take(row("customer"))
    first, second = await asyncio.gather(world.results(*ALL), world.results(*ALL))
    assert {*first, *second} == {"same", "added"}
    assert [pair for pair in zip(first, second, strict=True) if pair == ("added", "added")] == []
    async with world.store.look_at_everyone() as scope:
        for table in (sites, systems, contacts, approvers, agreements):
            assert (await scope.execute(select(func.count()).select_from(table))).scalar_one() == 1


async def test_a_phone_system_without_a_connector_has_a_name_and_a_site(world: World) -> None:
    alone = row("system", system="Old exchange", connector="none", site="York")
    _, (result, words) = await world.take(row("customer"), alone)
    assert (result, words) == ("added", "")
    ((again, _),) = await world.take(alone)
    assert again == "same"
    for cells in ({"host": "pbx.example"}, {"host_key": KEY}, {"port": "22"}):
        more = row("system", system="Another", connector="none", **cells)
        ((refused, why),) = await world.take(more)
        assert refused == "refused"
        assert "takes none" in why
