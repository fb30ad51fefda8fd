"""The operations: what goes in comes out, what was not asked for stays as it was, and no is said in its own words."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from connectors.conformance.bench import Bench
from connectors.conformance.people import DOMAIN, NAMES, planted
from connectors.conformance.suite.trying import (
    needs,
    own,
    refusal,
    resettable,
    same_behind,
    shown,
    sorted_ddis,
    tried,
)
from connectors.contract import (
    MOST_NAMES,
    AltersSeen,
    Change,
    Connector,
    FindsByName,
    Operation,
    Page,
    Person,
    Secret,
)
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, Refused, Unreachable

pytestmark = pytest.mark.asyncio
_LIMIT = 10
_NOBODY = ("no-such-person", "20001 ", "../20001", "20001' or '1'='1", "*", "%", "x" * 300, "20001\n20002", "\x00", "")


async def _everyone(connector: Connector, limit: int) -> list[str]:
    seen: list[str] = []
    cursor = None
    for _ in range(1000):
        page = await connector.people(cursor, limit)
        assert len(page.people) <= limit
        seen += [person.id for person in page.people]
        cursor = page.cursor
        if cursor is None:
            return seen
    return pytest.fail("the pages have no end")


@pytest.mark.parametrize("count", [0, 1, _LIMIT - 1, _LIMIT, _LIMIT + 1, 3 * _LIMIT])
async def test_everybody_is_on_exactly_one_page(bench: Bench, count: int) -> None:
    async with tried(bench, planted(bench, count)) as (system, connector):
        seen = await _everyone(connector, _LIMIT)
        assert sorted(seen) == sorted(person.id for person in system.people)
        assert await _everyone(connector, _LIMIT) == seen, "the order is not stable"
        assert sorted(await _everyone(connector, 1)) == sorted(seen)


async def test_everybody_is_shown_as_they_are(bench: Bench) -> None:
    """Non-ASCII, from right to left, two of one name, dots and dashes in ids, no email, no, one and several numbers."""
    async with tried(bench) as (system, connector):
        listed = {person.id: sorted_ddis(person) for person in (await connector.people(None, 50)).people}
        for person in system.people:
            assert sorted_ddis(await connector.view(person.id)) == shown(bench, person)
            assert listed[person.id] == shown(bench, person)


async def test_what_is_looked_for_is_found(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        for person in system.people:
            loud = person.name.upper()
            same = loud.casefold() == person.name.casefold()  # it is not where a language has two letters i
            for words in (person.name, *[loud][:same], person.extension, *person.name.split()[:1]):
                found = [one.id for one in (await connector.find(words, 50)).people]
                assert person.id in found, f"{words} does not find {person.id}"
        person = own(system)
        mail = [person.email] if person.email else []
        for words in (*mail, *person.ddis, f"{person.name.split()[1]} {person.extension}"):
            assert [one.id for one in (await connector.find(words, 50)).people] == [person.id]
        twins = {one.id for one in (await connector.find("john smith", 50)).people}
        assert twins == {one.id for one in system.people if one.name == "John Smith"}


async def test_many_are_found_at_once_by_what_is_theirs_alone(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        if not isinstance(connector, FindsByName):
            pytest.skip("it finds one person at a time")
        by_id, by_extension = own(system), own(system, 1)
        by_number = next(person for person in system.people if person.ddis and person not in (by_id, by_extension))
        wanted = (by_id.id, by_extension.extension, by_number.ddis[0], "no-such-name", "%", "_")
        found = {person.id: person for person in await connector.named(wanted)}
        assert found.keys() == {by_id.id, by_extension.id, by_number.id}
        for person_id, person in found.items():
            assert sorted_ddis(person) == sorted_ddis(await connector.view(person_id))
        half = by_number.ddis[0][:-2]
        assert list(await connector.named((half, by_extension.extension[:-1]))) == []
        everybody = [person.id for person in system.people][:MOST_NAMES]
        assert sorted(person.id for person in await connector.named(everybody)) == sorted(everybody)


async def test_a_search_gives_no_more_than_asked_and_takes_nothing_for_a_pattern(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        page: Page = await connector.find(f"@{DOMAIN}" if bench.traits.emails else "o", 3)
        assert len(page.people) == 3
        assert page.cursor is None
        for words in ("no such words", "Grace nobody", "%", "_____", "*", ".*", "\\", "'", '"', "(cn=*)", "<x>&amp;"):
            try:
                found = (await connector.find(words, 50)).people
            except InvalidValue:
                continue
            assert all(words.casefold() in " ".join(map(str, (one.name, one.email))).casefold() for one in found), words
        await same_behind(bench, system)


@pytest.mark.parametrize("person_id", _NOBODY)
async def test_nobody_of_that_id_is_nobody(bench: Bench, person_id: str) -> None:
    async with tried(bench) as (system, connector):
        for doing in (
            connector.view(person_id), connector.plan_removal(person_id),
            connector.remove(person_id, replace(shown(bench, own(system)), id=person_id)),
        ):  # fmt: skip
            assert isinstance(await refusal(doing), NotFound | InvalidValue | NotSupported)
        await same_behind(bench, system)


async def test_a_user_who_went_between_list_and_view(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        person = (await connector.people(None, 50)).people[0]
        await system.drop(person.id)
        assert isinstance(await refusal(connector.view(person.id)), NotFound)
        change = Change(name="Another Name")
        assert isinstance(await refusal(connector.alter(person.id, change, person)), NotFound | Conflict | NotSupported)
        assert isinstance(await refusal(connector.remove(person.id, person)), NotFound | Conflict | NotSupported)
        for kind in resettable(bench):
            error = await refusal(connector.reset(person.id, kind, Secret("73910284")))
            assert isinstance(error, NotFound | NotSupported)
        assert await system.count() == len(system.people) - 1
        await same_behind(bench, system, person.id)


@pytest.mark.parametrize("name", [*NAMES[3:], "Renée O'Neil-Ng", "X"])
async def test_a_name_that_is_written_is_the_name_that_is_there(bench: Bench, name: str) -> None:
    needs(bench, Operation.ALTER)
    if not re.fullmatch(bench.traits.names, name):
        pytest.skip(f"{bench.family.name} holds no such names: {name}")
    async with tried(bench) as (system, connector):
        before = await connector.view(own(system).id)
        after = await connector.alter(before.id, Change(name=name), before)
        behind = await system.now(before.id)
        assert behind is not None
        assert sorted_ddis(after) == shown(bench, behind)
        assert after == replace(before, name=name), "something else changed too"
        await same_behind(bench, system, before.id)


async def test_a_person_is_shown_and_altered_in_one_go_or_left_as_they_are(bench: Bench) -> None:
    needs(bench, Operation.ALTER)
    async with tried(bench) as (system, connector):
        if not isinstance(connector, AltersSeen):
            pytest.skip("it looks and alters one after the other")
        person = await connector.view(own(system).id)
        change = Change(name="Another Name")
        seen: list[Person] = []

        def refuse(before: Person) -> Change:
            seen.append(before)
            raise Conflict("not who was meant")

        def nothing(before: Person) -> Change:
            seen.append(before)
            return Change()

        assert isinstance(await refusal(connector.alter_seen(person.id, change, refuse)), Conflict)
        assert await connector.alter_seen(person.id, change, nothing) == (person, person)
        await same_behind(bench, system)
        before, after = await connector.alter_seen(person.id, change, lambda _: change)
        assert [*seen, before] == [person] * 3
        assert after == replace(person, name="Another Name") == await connector.view(person.id)
        assert isinstance(await refusal(connector.alter_seen("no-such-person", change, nothing)), NotFound)
        await same_behind(bench, system, person.id)


async def test_email_and_number_are_written_and_taken_away(bench: Bench) -> None:
    needs(bench, Operation.ALTER)
    async with tried(bench) as (system, connector):
        person = await connector.view(own(system).id)
        for change, expected in (
            (Change(email=f"other@{DOMAIN}"), {"email": f"other@{DOMAIN}"}), (Change(email=None), {"email": None}),
            (Change(ddi="+442079460999"), {"ddis": ("+442079460999",)}), (Change(ddi=None), {"ddis": ()}),
        ):  # fmt: skip
            if not set(change.fields()) <= bench.traits.alters:
                assert isinstance(await refusal(connector.alter(person.id, change, person)), NotSupported | Refused)
                continue
            person = await connector.alter(person.id, change, replaced := person)
            assert person == replace(replaced, **expected)
            behind = await system.now(person.id)
            assert behind is not None
            assert shown(bench, behind) == person
        await same_behind(bench, system, person.id)


async def test_one_number_of_several_is_never_guessed(bench: Bench) -> None:
    needs(bench, Operation.ALTER)
    if "ddi" not in bench.traits.alters or bench.traits.max_ddis < 2:
        pytest.skip("nobody has several numbers that could be altered")
    async with tried(bench) as (system, connector):
        person = next(one for one in system.people if len(one.ddis) > 1)
        before = await connector.view(person.id)
        assert isinstance(
            await refusal(connector.alter(person.id, Change(ddi="+442079460999"), before)), NotSupported | Refused
        )
        await same_behind(bench, system)


async def test_a_number_that_is_somebody_elses_stays_theirs(bench: Bench) -> None:
    needs(bench, Operation.ALTER)
    if "ddi" not in bench.traits.alters:
        pytest.skip("numbers are not altered")
    async with tried(bench) as (system, connector):
        before, other = await connector.view(own(system).id), own(system, 1)
        error = await refusal(connector.alter(before.id, Change(ddi=other.ddis[0]), before))
        assert isinstance(error, Refused | Conflict)
        await same_behind(bench, system)


@pytest.mark.parametrize("field", ["name", "email", "ddi"])
async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(bench: Bench, field: str) -> None:
    needs(bench, Operation.ALTER)
    if field not in bench.traits.alters:
        pytest.skip(f"{field} is not altered")
    change = {"name": Change(name="Ours Now"), "email": Change(email=None), "ddi": Change(ddi="+442079460999")}[field]
    async with tried(bench) as (system, connector):
        before, person = await connector.view(own(system).id), own(system)
        theirs = {
            "name": replace(person, name="Their Name"), "email": replace(person, email=f"theirs@{DOMAIN}"),
            "ddi": replace(person, ddis=("+442079460777",)),
        }[field]  # fmt: skip
        await system.put(theirs)
        assert isinstance(await refusal(connector.alter(person.id, change, before)), Conflict)
        now = await system.now(person.id)
        assert now is not None
        assert shown(bench, now) == shown(bench, theirs)
        # Looked at again, and asked for again: now it is done.
        after = await connector.alter(person.id, change, await connector.view(person.id))
        assert after != shown(bench, theirs)


async def test_a_change_beside_somebody_elses_undoes_nothing(bench: Bench) -> None:
    """Both stay; a phone system that can only be written whole may call it a conflict."""
    needs(bench, Operation.ALTER)
    if "email" not in bench.traits.alters:
        pytest.skip("email is not altered")
    async with tried(bench) as (system, connector):
        before, person = await connector.view(own(system).id), own(system)
        await system.put(replace(person, email=f"theirs@{DOMAIN}"))
        expected = "Ours Now"
        try:
            await connector.alter(person.id, Change(name=expected), before)
        except Conflict:
            expected = person.name
        now = await system.now(person.id)
        assert now is not None
        assert (now.name, now.email) == (expected, f"theirs@{DOMAIN}")


@pytest.mark.parametrize(
    "value", ["a\nb", "a\r\nb: c", "a\x00b", "a\x1b[2Jb", "a\x85b", "a\u202eb", "a\u2028b", "x" * 2000, "a\ud800b"]
)
async def test_what_would_end_a_line_or_turn_one_is_never_written(bench: Bench, value: str) -> None:
    needs(bench, Operation.ALTER)
    async with tried(bench) as (system, connector):
        before = await connector.view(own(system).id)
        await system.heard()
        for change in (Change(name=value), Change(email=f"{value}@{DOMAIN}"), Change(ddi=value)):
            if set(change.fields()) <= bench.traits.alters:
                error = await refusal(connector.alter(before.id, change, before))
                assert isinstance(error, InvalidValue)
                assert value not in error.message
        await same_behind(bench, system)


async def test_a_removal_is_as_it_was_told_and_takes_nobody_else(bench: Bench) -> None:
    needs(bench, Operation.REMOVE)
    async with tried(bench) as (system, connector):
        person = await connector.view(own(system, 1).id)
        plan = await connector.plan_removal(person.id)
        await same_behind(bench, system)
        done = await connector.remove(person.id, person)
        assert done == plan
        assert done.removed
        assert await system.now(person.id) is None
        assert await system.count() == len(system.people) - 1
        await same_behind(bench, system, person.id)
        assert isinstance(await refusal(connector.remove(person.id, person)), NotFound | Conflict)


async def test_a_person_who_is_another_by_now_is_not_removed(bench: Bench) -> None:
    needs(bench, Operation.REMOVE)
    async with tried(bench) as (system, connector):
        before = await connector.view(own(system).id)
        await system.put(replace(own(system), name="Their Name"))
        assert isinstance(await refusal(connector.remove(before.id, before)), Conflict)
        assert await system.count() == len(system.people)


async def test_many_at_once_each_get_their_own_answer(bench: Bench) -> None:
    async with tried(bench) as (system, connector):
        ids = [person.id for person in system.people] * 3
        assert [person.id for person in await asyncio.gather(*map(connector.view, ids))] == ids


async def test_a_question_that_was_given_up_never_answers_the_next(bench: Bench) -> None:
    """Ctrl-C while an answer is on its way: the next question gets its own answer, or the connection is gone."""
    async with tried(bench) as (system, connector):
        for turns in range(24):
            asking = asyncio.ensure_future(connector.view(own(system).id))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            try:
                assert (await connector.view(own(system, 1).id)).id == own(system, 1).id
            except Unreachable:
                await connector.close()
                connector = await bench.family.connect(system.target, system.unseal)
        await connector.close()
