"""What is particular to a 3CX: inbound rules, older builds, pages that move, what it mails. The rest is the kit's."""

from __future__ import annotations

import pytest

from connectors.contract import Change, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, OutcomeUnknown, ProtocolViolation, Refused
from connectors.tcx.connector import TcxConnector
from connectors.tcx.settings import TcxSettings
from tests.connectors.tcx.conftest import Dial
from tests.support.tcx.pbx import Pbx, Reply
from tests.support.tcx.server import Server

GIVEN = "+442079460900"


def rules_of(pbx: Pbx, extension: str) -> list[dict[str, object]]:
    return [rule for rule in pbx.rules.values() if rule["OfficeHoursDestination"]["Number"] == extension]


# --- direct numbers ---


async def test_a_number_that_changes_leaves_its_rule_as_it_was_else(server: Server, tcx: TcxConnector) -> None:
    (rule,) = rules_of(server.pbx, "201")
    rule["OutOfOfficeHoursDestination"] = {"To": "VoiceMail", "Number": "201"}
    was = dict(rule)
    after = await tcx.alter("u1", Change(ddi=GIVEN), await tcx.view("u1"))
    assert after.ddis == (GIVEN,)
    assert rules_of(server.pbx, "201") == [was | {"Data": "442079460900"}]


async def test_a_number_is_written_as_its_trunk_has_it(server: Server, tcx: TcxConnector) -> None:
    after = await tcx.alter("u1", Change(ddi="+442079460901"), await tcx.view("u1"))
    assert after.ddis == ("+442079460901",)
    assert rules_of(server.pbx, "201")[0]["Data"] == "02079460901"


async def test_somebody_without_a_number_is_given_one_on_the_trunk_that_has_it(
    server: Server, tcx: TcxConnector
) -> None:
    after = await tcx.alter("u2", Change(ddi=GIVEN), await tcx.view("u2"))
    assert after.ddis == (GIVEN,)
    (rule,) = rules_of(server.pbx, "202")
    assert (rule["Data"], rule["RuleName"], rule["Condition"]) == ("442079460900", "Extension 202", "BasedOnDID")


async def test_a_number_that_no_trunk_has_or_that_leads_elsewhere_is_not_given(
    server: Server, tcx: TcxConnector
) -> None:
    server.pbx.rule("442079460900", "800")  # a queue's
    before = {key: dict(rule) for key, rule in server.pbx.rules.items()}
    for number, words in (("+442079460999", "no trunk"), ("+442079460123", "extension 201"), (GIVEN, "extension 800")):
        with pytest.raises(Refused, match=words):
            await tcx.alter("u2", Change(ddi=number), await tcx.view("u2"))
    assert server.pbx.rules == before


async def test_an_older_build_changes_numbers_and_gives_none(server: Server, tcx: TcxConnector) -> None:
    server.pbx.lists_numbers = False
    after = await tcx.alter("u1", Change(ddi=GIVEN), await tcx.view("u1"))
    assert after.ddis == (GIVEN,)
    with pytest.raises(NotSupported, match="does not list"):
        await tcx.alter("u2", Change(ddi="+442079460901"), await tcx.view("u2"))


async def test_a_pattern_is_shown_and_not_changed(server: Server, tcx: TcxConnector) -> None:
    server.pbx.rule("*0777", "202")
    person = await tcx.view("u2")
    assert person.ddis == ("*0777",)
    with pytest.raises(Refused, match="pattern"):
        await tcx.alter("u2", Change(ddi=GIVEN), person)
    assert (await tcx.alter("u2", Change(ddi=None), person)).ddis == ()


async def test_rules_that_hold_no_number_of_theirs_are_not_shown_as_one(server: Server, tcx: TcxConnector) -> None:
    server.pbx.rule("442079460140", "202", condition="BasedOnCallerID")
    out = server.pbx.rules[server.pbx.rule("442079460141", "202")]
    out["OfficeHoursDestination"] |= {"To": "VoiceMail"}
    server.pbx.rules[server.pbx.rule("442079460142", "202")]["OfficeHoursDestination"] = None
    server.pbx.changed()
    assert (await tcx.view("u2")).ddis == ()


async def test_name_address_and_number_at_once_and_a_part_that_is_refused(server: Server, tcx: TcxConnector) -> None:
    change = Change(name="Sam Bell", email="sam@customer.example", ddi=GIVEN)
    after = await tcx.alter("u2", change, await tcx.view("u2"))
    assert (after.name, after.email, after.ddis) == ("Sam Bell", "sam@customer.example", (GIVEN,))
    server.pbx.refusing["PATCH InboundRules"] = Reply(400)
    with pytest.raises(OutcomeUnknown, match="part of it"):
        await tcx.alter("u2", Change(name="Sam O'Neil", ddi="+442079460901"), after)
    assert (await tcx.view("u2")).name == "Sam O'Neil"


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_what_was_written_and_cannot_be_shown_again_does_not_read_as_if_it_had_not_been(
    server: Server, tcx: TcxConnector, status: int
) -> None:
    before, answer = await tcx.view("u1"), server.pbx.answer

    def away(method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        if method == "PATCH":
            server.pbx.refusing["GET Users"] = Reply(status)
        return answer(method, target, headers, body)

    server.pbx.answer = away  # type: ignore[method-assign,assignment]
    with pytest.raises(OutcomeUnknown, match="it was written"):
        await tcx.alter("u1", Change(name="Grace Bell"), before)
    assert server.pbx.users[1]["LastName"] == "Bell"


async def test_hostile_text_where_a_number_should_be_is_in_no_message(server: Server, tcx: TcxConnector) -> None:
    server.pbx.rule("442079460900", "\x1b]0;owned\x07")
    with pytest.raises(Refused, match="somewhere else"):
        await tcx.alter("u1", Change(ddi=GIVEN), await tcx.view("u1"))
    server.pbx.rule("\x1b[2J", "201")
    assert "\x1b" not in repr(await tcx.plan_removal("u1"))
    server.pbx.add(9, "\x1b[2J", "Eve", "Mallory", "")
    assert len((await tcx.people((await tcx.people(None, 1)).cursor, 9)).people) == 3


# --- a build that does not look into rules ---


async def test_a_build_that_refuses_to_look_by_destination_is_asked_for_all_rules(
    server: Server, tcx: TcxConnector
) -> None:
    server.pbx.filters_paths = False
    for number in range(700):
        server.pbx.rule(f"44207100{number:04d}", "900")
    server.pbx.rule("442079460130", "201")
    assert (await tcx.view("u1")).ddis == ("+442079460123", "+442079460130")
    page = await tcx.people(None, 50)
    assert [len(person.ddis or ()) for person in page.people] == [2, 0, 2]
    assert len((await tcx.plan_removal("u1")).remains) == 2 + 3


async def test_many_neighbours_are_asked_for_in_one_range(server: Server, tcx: TcxConnector) -> None:
    for number in range(300, 360):
        server.pbx.add(number, str(number), "Person", str(number), "", [f"442079470{number}"])
    server.pbx.add(999, "HOL-1", "Holiday", "Line", "", ["442079480001"])
    server.heard.clear()
    people = (await tcx.people(None, 500)).people
    assert {person.extension: person.ddis for person in people}["HOL-1"] == ("+442079480001",)
    assert all(person.ddis for person in people if person.extension.startswith("3"))
    assert len(server.heard) == 3  # people; those between; the one that is no number


# --- pages that move ---


async def test_people_who_are_removed_while_they_are_listed_pass_nobody_over(server: Server, tcx: TcxConnector) -> None:
    first = await tcx.people(None, 2)
    assert [person.extension for person in first.people] == ["201", "202"]
    server.pbx.add(4, "204", "New", "Person", "")
    assert [person.extension for person in (await tcx.people(first.cursor, 5)).people] == ["203", "204"]
    del server.pbx.users[1]
    server.pbx.changed()
    with pytest.raises(Conflict, match="while they were listed"):
        await tcx.people(first.cursor, 5)


async def test_pages_end_where_the_phone_system_counts_nobody(server: Server, tcx: TcxConnector) -> None:
    server.pbx.counts = False
    first = await tcx.people(None, 3)
    assert first.cursor is not None
    assert (await tcx.people(first.cursor, 3)).people == ()
    for cursor in ("x", "-1:" + "0" * 64, "0:" + "0" * 64, "3:", "3:201", "3:" + "0" * 65):
        with pytest.raises(InvalidValue):
            await tcx.people(cursor, 5)


# --- finding ---


@pytest.mark.parametrize("words", ["+442079460123", "02079460123", "2079460123", "+44 not", "grace 9460123", "201"])
async def test_a_number_is_found_however_it_is_typed(tcx: TcxConnector, words: str) -> None:
    found = [person.extension for person in (await tcx.find(words, 5)).people]
    assert found == ([] if "not" in words else ["201"])


async def test_an_extension_comes_before_numbers_that_hold_its_digits(server: Server, tcx: TcxConnector) -> None:
    for number in range(400, 420):
        server.pbx.add(number, str(number), "Person", "X", "", [f"44207946203{number - 400:02d}"])
    found = (await tcx.find("203", 3)).people
    assert found[0].extension == "203"
    assert len(found) == 3


async def test_more_words_than_a_filter_takes(tcx: TcxConnector) -> None:
    with pytest.raises(InvalidValue, match="words"):
        await tcx.find("a b c d e f", 5)


# --- removing, telephones, passwords ---


async def test_a_removal_names_every_rule_that_still_leads_there(server: Server, tcx: TcxConnector) -> None:
    night = server.pbx.rules[server.pbx.rule("442079460150", "203")]
    night["OutOfOfficeHoursDestination"] = {"To": "Extension", "Number": "201"}
    plan = await tcx.plan_removal("u1")
    assert [number for number in ("+442079460123", "+442079460150") if number in " ".join(plan.remains)] == [
        "+442079460123", "+442079460150",
    ]  # fmt: skip
    assert await tcx.remove("u1", await tcx.view("u1")) == plan
    assert 1 not in server.pbx.users
    assert len(rules_of(server.pbx, "201")) == 1


async def test_a_tag_that_the_phone_system_gave_goes_along_when_somebody_is_removed(
    server: Server, tcx: TcxConnector
) -> None:
    server.pbx.etags = True
    person = await tcx.view("u1")
    answer = server.pbx.answer

    def quicker(method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        if method == "DELETE" and target.startswith("/xapi/v1/Users"):
            server.pbx.users[1]["Mobile"] = "changed meanwhile"
        return answer(method, target, headers, body)

    server.pbx.answer = quicker  # type: ignore[method-assign,assignment]
    with pytest.raises(Conflict):
        await tcx.remove("u1", person)
    assert 1 in server.pbx.users


async def test_which_telephones_there_are_is_not_asked(server: Server, tcx: TcxConnector) -> None:
    assert await tcx.devices("u1") == ()
    server.pbx.users[1]["IsRegistered"] = True
    (device,) = await tcx.devices("u1")
    assert "no more without passwords" in device.label
    with pytest.raises(NotFound):
        await tcx.devices("u77")


@pytest.mark.parametrize("kind", list(SecretKind))
async def test_the_phone_system_mails_the_new_password_to_its_person_and_says_nothing_of_it(
    server: Server, tcx: TcxConnector, kind: SecretKind
) -> None:
    done = await tcx.renew("u1", kind, "Grace@Customer.example")
    ((to, words),) = server.pbx.mails
    assert to == "grace@customer.example"
    assert words.startswith("CANARY-new")
    assert "CANARY" not in repr(done)
    assert any("3CX made the new password" in note for note in done.notes)


@pytest.mark.parametrize("kept", ["grace@cu\u017ftomer.example", "sam@customer.example"])
async def test_a_look_alike_of_the_address_that_was_seen_fit_gets_no_new_password(
    server: Server, tcx: TcxConnector, kept: str
) -> None:
    """Long s folds to s: to whoever compares so, it is the same address, and to mail it is another domain."""
    server.pbx.users[1]["EmailAddress"] = kept
    with pytest.raises(Conflict):
        await tcx.renew("u1", SecretKind.PORTAL, "grace@customer.example")
    assert server.pbx.mails == []


async def test_an_answer_about_somebody_else_renews_and_shows_nothing(server: Server, tcx: TcxConnector) -> None:
    server.pbx.users[1]["Id"] = 2
    with pytest.raises(ProtocolViolation):
        await tcx.renew("u1", SecretKind.PORTAL, "grace@customer.example")
    with pytest.raises(ProtocolViolation):
        await tcx.devices("u1")
    assert server.pbx.mails == []


# --- check ---


async def test_a_check_says_what_is_wrong_in_words(server: Server, dial: Dial) -> None:
    connector = await dial()
    assert all(line.ok for line in await connector.check())
    server.pbx.version, server.pbx.lists_numbers = "18.0.9.20", False
    lines = {line.what: line for line in await connector.check()}
    assert not lines["version"].ok
    assert "needs version 20" in lines["version"].words
    assert "given" in lines["numbers"].words
    for refused, line in (("GET SystemStatus", "version"), ("GET Users", "people"), ("GET InboundRules", "numbers")):
        server.pbx.refusing = {refused: Reply(403)}
        lines = {one.what: one for one in await connector.check()}
        assert not lines[line].ok, line
    server.pbx.refusing = {"GET SystemStatus": Reply(200, {"Version": None})}
    assert not {line.what: line for line in await connector.check()}["version"].ok


@pytest.mark.parametrize("given", [{"region": "gb"}, {"server_name": "a b"}, {"server_nam": "x"}, {"region": "GBR"}])
def test_a_setting_that_is_none_is_told(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"region|server_nam"):
        TcxSettings.model_validate(given)
