"""What an engineer does on a Yeastar P-Series, and what the phone system says to it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from connectors.contract import Change, Secret, SecretKind
from connectors.errors import Conflict, InvalidValue, NotFound, NotSupported, OutcomeUnknown, ProtocolViolation, Refused
from tests.connectors.yeastar.conftest import Site
from tests.support.yeastar.pbx import OK, Extension, no
from tests.support.yeastar.server import response

GRACE = "2001.70"


async def test_somebody_is_shown_with_the_numbers_that_lead_to_them(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view(GRACE)
        assert (grace.extension, grace.name, grace.email) == ("2001", "Grace Okonkwo", "grace@customer.example")
        assert grace.ddis == ("+442079460123", "+442079460124")
        assert (await connector.view("0100.75")).ddis == ("+442079460199",)
        assert (await connector.view("2003.72")).ddis == ()


@pytest.mark.parametrize(
    "route",
    [
        {"did_option": "range_to_ext", "did_to_ext_start": "5503301", "did_to_ext_end": "5503305"},
        {"did_option": "pattern_to_ext", "did_pattern_to_ext": "550{{.Ext}}"},
        {"did_option": "pattern_to_ext_list", "did_pattern_to_ext_list": [{"other": "442079460123", "names": "2003"}]},
        {"did_option": "pattern_to_ext_list"},
        {"did_option": "patterns", "did_pattern_list": [{"did_pattern": "0207946[12]."}], "def_dest": "extension",
         "def_dest_value": "72"},
    ],
)  # fmt: skip
async def test_numbers_that_cannot_be_told_are_not_called_none(site: Site, route: dict[str, Any]) -> None:
    site.pbx.routes[4] = {"id": 4, "name": "four", **route}
    async with site.open() as connector:
        assert (await connector.view("2003.72")).ddis is None
        assert (await connector.view(GRACE)).ddis == ("+442079460123", "+442079460124")
        lines = {line.what: line.words for line in await connector.check()}
    assert "1 of 4 inbound routes" in lines["direct numbers"]


async def test_a_route_that_the_phone_system_leaves_out_is_not_taken_for_none(site: Site) -> None:
    def without(path: str, said: dict[str, Any]) -> dict[str, Any]:
        return said | {"data": said["data"][1:]} if path == "inbound_route/query" else said

    site.server.twist = without
    async with site.open() as connector:
        assert (await connector.view(GRACE)).ddis is None


async def test_routes_are_not_read_where_the_settings_say_so(site: Site) -> None:
    async with site.open(direct_numbers="none") as connector:
        assert (await connector.view(GRACE)).ddis is None
        assert not [name for name in site.heard() if name.startswith("route")]


@pytest.mark.parametrize("words", ["2001 okonkwo", "GRACE", "grace@customer", "+442079460124", "02079460124", "zzz"])
async def test_a_search_looks_at_name_address_extension_and_numbers(site: Site, words: str) -> None:
    async with site.open() as connector:
        found = [one.id for one in (await connector.find(words, 20)).people]
    assert found == ([] if words == "zzz" else [GRACE])


async def test_digits_of_an_extension_find_it_whatever_they_begin_with(site: Site) -> None:
    site.pbx.extensions[80] = Extension(80, "01234567", "Eight", "Digits")
    async with site.open() as connector:
        assert [one.id for one in (await connector.find("01234567", 20)).people] == ["01234567.80"]
        assert (await connector.view("01234567.80")).name == "Eight Digits"


async def test_one_page_is_found_on_after_somebody_before_it_was_removed(site: Site) -> None:
    site.pbx.extensions = {n: Extension(n, str(3000 + n), f"P{n}") for n in range(1, 31)}
    async with site.open() as connector:
        first = await connector.people(None, 10)
        for gone in (2, 5, 9):
            del site.pbx.extensions[gone]
        seen, cursor = [one.id for one in first.people], first.cursor
        while cursor is not None:
            page = await connector.people(cursor, 10)
            seen, cursor = seen + [one.id for one in page.people], page.cursor
    assert seen == [f"{3000 + n}.{n}" for n in range(1, 31)]


@pytest.mark.parametrize("cap", [1, 2, 3])
async def test_a_phone_system_that_gives_fewer_at_once_leaves_nobody_out(site: Site, cap: int) -> None:
    site.pbx.page_cap = cap
    async with site.open() as connector:
        seen, cursor = list[str](), None
        while True:
            page = await connector.people(cursor, 50)
            seen, cursor = seen + [one.extension for one in page.people], page.cursor
            if cursor is None:
                break
        assert seen == ["2001", "2002", "2003", "20011", "0100"]
        assert len((await connector.find("customer.example", 50)).people) == 3
        assert (await connector.view(GRACE)).ddis == ("+442079460123", "+442079460124")


async def test_a_page_that_is_not_sorted_is_refused_and_not_half_shown(site: Site) -> None:
    def turned(path: str, said: dict[str, Any]) -> dict[str, Any]:
        return said | {"data": said["data"][::-1]} if path == "extension/list" else said

    site.server.twist = turned
    async with site.open() as connector:
        with pytest.raises(ProtocolViolation, match="sort"):
            await connector.people(None, 50)


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "1.2.3.4", "-1.2.3", "1.2.99999999", "1.2.3\n"])
async def test_a_cursor_that_is_none_is_said_to_be_none(site: Site, cursor: str) -> None:
    async with site.open() as connector:
        with pytest.raises(InvalidValue):
            await connector.people(cursor, 10)


async def test_whoever_has_the_number_next_is_not_taken_for_who_had_it(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view(GRACE)
        del site.pbx.extensions[70]
        site.pbx.extensions[99] = Extension(99, "2001", "Grace", "Okonkwo", "grace@customer.example")
        for doing in (
            connector.view(GRACE), connector.remove(GRACE, grace), connector.alter(GRACE, Change(name="X"), grace),
            connector.reset(GRACE, SecretKind.SIP, Secret("Abcdefgh23456789")),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                await doing
        assert 99 in site.pbx.extensions
        assert (await connector.view("2001.99")).name == "Grace Okonkwo"


@pytest.mark.parametrize(
    ("names", "name", "first", "last"),
    [
        ("first last", "Mary Anne Smith", "Mary", "Anne Smith"), ("whole", "Mary Anne Smith", "Mary Anne Smith", ""),
        ("last first", "Smith Mary Anne", "Mary Anne", "Smith"), ("last first", "Prince", "Prince", ""),
    ],
)  # fmt: skip
async def test_a_name_is_split_as_the_phone_system_puts_it_together(
    site: Site, names: str, name: str, first: str, last: str
) -> None:
    async with site.open(names=names) as connector:
        await connector.alter(GRACE, Change(name=name), await connector.view(GRACE))
    one = site.pbx.extensions[70]
    assert (one.first_name, one.last_name, one.email_addr) == (first, last, "grace@customer.example")


async def test_name_and_address_are_one_request_and_nothing_else_is_touched(site: Site) -> None:
    before = replace(site.pbx.extensions[70])
    async with site.open() as connector:
        change = Change(name="Grace Lee", email="g.lee@customer.example")
        after = await connector.alter(GRACE, change, await connector.view(GRACE))
    assert (after.name, after.email) == ("Grace Lee", "g.lee@customer.example")
    assert after.ddis == ("+442079460123", "+442079460124")
    assert site.heard()["change"] == 1
    now = site.pbx.extensions[70]
    assert replace(before, last_name="Lee", email_addr="g.lee@customer.example") == now


@pytest.mark.parametrize("name", ["", " ", " Grace", "Grace ", "Grace  Lee", "G\tLee", "x" * 64, "x " + "y" * 64])
async def test_a_name_that_could_not_be_shown_as_it_was_written_is_not_sent(site: Site, name: str) -> None:
    async with site.open() as connector:
        before = await connector.view(GRACE)
        with pytest.raises(InvalidValue):
            await connector.alter(GRACE, Change(name=name), before)
    assert "change" not in site.heard()


@pytest.mark.parametrize("email", ["grace", "a b@c.example", "+x@c.example", "a+b@c.example", "a@b", "a@b.c\n"])
async def test_an_address_that_the_phone_system_does_not_take_is_not_sent(site: Site, email: str) -> None:
    async with site.open() as connector:
        with pytest.raises(InvalidValue, match="the address"):
            await connector.alter(GRACE, Change(email=email), await connector.view(GRACE))
    assert "change" not in site.heard()


async def test_an_address_that_is_somebody_elses_is_refused_in_words(site: Site) -> None:
    async with site.open() as connector:
        with pytest.raises(Refused, match="the address elsewhere already") as caught:
            await connector.alter(GRACE, Change(email="john@customer.example"), await connector.view(GRACE))
    assert "nothing was written" in caught.value.message
    assert "find" in caught.value.next_step
    assert site.pbx.extensions[70].email_addr == "grace@customer.example"


async def test_with_organisations_on_the_refusal_says_why(site: Site) -> None:
    site.pbx.organisations = True
    async with site.open() as connector:
        with pytest.raises(Refused, match="organisations are on"):
            await connector.alter(GRACE, Change(name="Grace Lee"), await connector.view(GRACE))


async def test_a_direct_number_is_not_changed_and_a_pin_not_reset_and_both_say_why(site: Site) -> None:
    async with site.open() as connector:
        before = await connector.view(GRACE)
        with pytest.raises(NotSupported, match="written whole"):
            await connector.alter(GRACE, Change(name="X", ddi="+442079460999"), before)
        with pytest.raises(NotSupported, match="documents no way"):
            await connector.reset(GRACE, SecretKind.VOICEMAIL, Secret("739102"))
    assert site.pbx.extensions[70].first_name == "Grace"


@pytest.mark.parametrize("path", ["extension/search", "extension/list", "inbound_route/list", "inbound_route/query"])
async def test_a_no_in_an_answer_of_200_is_a_no(site: Site, path: str) -> None:
    site.server.twist = lambda asked, said: no(50001, "K7-SOME WORDS") if asked == path else said
    async with site.open() as connector:
        with pytest.raises(Refused, match="50001") as caught:
            await (connector.people(None, 5) if path == "extension/list" else connector.view(GRACE))
    assert "K7" not in caught.value.message


@pytest.mark.parametrize("code", [40002, 10001, 40999])
async def test_a_write_that_is_refused_was_not_done_and_is_not_sent_again(site: Site, code: int) -> None:
    async with site.open() as connector:
        grace = await connector.view(GRACE)
        site.server.twist = lambda asked, said: no(code, "NO") if asked == "extension/update" else said
        with pytest.raises((Refused, NotSupported), match="nothing was written"):
            await connector.reset(GRACE, SecretKind.SIP, Secret("Abcdefgh23456789"))
        assert grace.email
    assert site.heard()["set-sip"] == 1


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"errcode": true}', b'{"errcode": "0"}', b'{"errcode": 0.0}'])
async def test_an_answer_that_says_neither_yes_nor_no_is_not_a_yes(site: Site, answer: bytes) -> None:
    async def enemy(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(response("200 OK", answer))

    async with site.open() as connector:
        grace = await connector.view(GRACE)
        site.server.enemy = enemy
        for doing in (connector.view(GRACE), connector.people(None, 5)):
            with pytest.raises(ProtocolViolation):
                await doing
        site.server.enemy = None
        assert (await connector.alter(GRACE, Change(name="Grace Lee"), grace)).name == "Grace Lee"


async def _lost(site: Site, *, done: bool, of: str) -> None:
    """The connection ends where the answer should be; `done`: the phone system did what it was asked."""
    serve = site.server._answer

    def answered(line: str, headers: dict[str, str], body: bytes) -> bytes:
        if of not in line:
            return serve(line, headers, body)
        if done:
            serve(line, headers, body)
        else:
            site.pbx.heard.append("remove" if "delete" in line else "change")
        return b""

    site.server._answer = answered  # type: ignore[method-assign]


@pytest.mark.parametrize("done", [True, False])
async def test_a_removal_whose_answer_was_lost_is_looked_for_and_never_repeated(site: Site, done: bool) -> None:
    async with site.open() as connector:
        grace = await connector.view(GRACE)
        await _lost(site, done=done, of="extension/delete")
        site.heard()
        if done:
            assert (await connector.remove(GRACE, grace)).removed
        else:
            with pytest.raises(OutcomeUnknown):
                await connector.remove(GRACE, grace)
        assert site.heard()["remove"] == 1
    assert (70 in site.pbx.extensions) is not done


@pytest.mark.parametrize("done", [True, False])
async def test_a_change_whose_answer_was_lost_is_looked_for_and_never_repeated(site: Site, done: bool) -> None:
    async with site.open() as connector:
        grace = await connector.view(GRACE)
        await _lost(site, done=done, of="extension/update")
        site.heard()
        if done:
            assert (await connector.alter(GRACE, Change(email=None), grace)).email is None
        else:
            with pytest.raises(OutcomeUnknown):
                await connector.alter(GRACE, Change(email=None), grace)
        assert site.heard()["change"] == 1


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"])
async def test_an_error_of_the_web_server_after_a_write_is_unknown(site: Site, status: str) -> None:
    async with site.open() as connector:
        await connector.view(GRACE)
        serve = site.server._answer
        site.server._answer = lambda line, *rest: (  # type: ignore[method-assign]
            response(status, b"<html>", "text/html") if "update" in line else serve(line, *rest)
        )
        with pytest.raises(OutcomeUnknown):
            await connector.reset(GRACE, SecretKind.PORTAL, Secret("Abcdefgh23456789"))


async def test_who_changed_meanwhile_is_neither_renamed_nor_removed(site: Site) -> None:
    async with site.open() as connector:
        grace = await connector.view(GRACE)
        site.pbx.extensions[70].last_name = "Lee"
        with pytest.raises(Conflict):
            await connector.alter(GRACE, Change(name="Another"), grace)
        with pytest.raises(Conflict):
            await connector.remove(GRACE, grace)
        # The address is as it was, and that alone is to change.
        assert (await connector.alter(GRACE, Change(email=None), grace)).name == "Grace Lee"


async def test_telephones_are_what_is_connected_now(site: Site) -> None:
    async with site.open() as connector:
        labels = [device.label for device in await connector.devices(GRACE)]
        assert labels == ["SIP telephone", "SIP telephone", "Linkus on a mobile"]
        assert await connector.devices("2002.71") == ()


async def test_a_new_portal_password_without_a_class_is_not_sent(site: Site) -> None:
    async with site.open() as connector:
        for weak in ("abcdefgh23456789", "ABCDEFGH23456789", "Abcdefghijkmnpqr", "Ab3"):
            with pytest.raises(InvalidValue) as caught:
                await connector.reset(GRACE, SecretKind.PORTAL, Secret(weak))
            assert weak not in str(caught.value)
        assert "set-portal" not in site.heard()
        rules = await connector.secret_rules(GRACE, SecretKind.PORTAL)
        assert len(rules.classes) == 3


@pytest.mark.parametrize(
    "row",
    [
        {"id": True}, {"id": "70"}, {"id": 0}, {"id": 1 << 40}, {"id": None}, {"number": 2001}, {"number": "20 01"},
        {"number": ""}, {"number": "2001&id=71"}, {"caller_id_name": {"a": 1}}, {"email_addr": ["x"]},
        {"caller_id_name": "x" * 2000}, {"number": "٢٠٠١"},
    ],
)  # fmt: skip
async def test_a_person_that_makes_no_sense_ends_the_listing(site: Site, row: dict[str, Any]) -> None:
    def spoilt(path: str, said: dict[str, Any]) -> dict[str, Any]:
        if path != "extension/list":
            return said
        return OK | {"total_number": 1, "data": [site.pbx.extensions[70].listed() | row]}

    async with site.open() as connector:
        site.server.twist = spoilt
        with pytest.raises(ProtocolViolation):
            await connector.people(None, 5)
        site.server.twist = None


async def test_half_a_surrogate_in_a_name_is_shown_as_something_that_can_be_written_down(site: Site) -> None:
    site.pbx.extensions[70].first_name = "Gr\\ud800ce"
    serve = site.server._answer
    site.server._answer = lambda *asked: serve(*asked).replace(b"\\\\ud800", b"\\ud800 ")[:-1] + b"}"  # type: ignore[method-assign]
    async with site.open() as connector:
        name = (await connector.view(GRACE)).name
    assert name.encode()
    assert name.startswith("Gr?")
