"""The prompt of a Communication Manager over OSSI: looked at alone, shown as values, and never a security code."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.avaya_cm.connector import AvayaCmConnector, AvayaCmFamily
from connectors.avaya_cm.messages import GUARD, SHOWN, render
from connectors.avaya_cm.shown import Shown
from connectors.console import AVAYA, find, parse
from connectors.contract import DiagCommand, Operation
from connectors.errors import InvalidValue, ProtocolViolation, Refused, RequestNotAllowed, Unreachable
from tests.connectors.avaya_cm.test_operations import Site
from tests.connectors.avaya_cm.test_operations import site as site
from tests.support.avaya.cm import Station

F = "f" + "\t".join(SHOWN)


async def said(connector: AvayaCmConnector, line: str) -> str:
    """All of an answer."""
    return b"".join([data async for data in connector.diag(parse(line, AVAYA))]).decode()


def shown(*lines: str | bytes) -> Shown:
    """What is made of some lines."""
    made = Shown()
    for line in lines:
        made.line(line if isinstance(line, bytes) else line.encode())
    return made


# --- what goes out ---


@pytest.mark.parametrize("entry", AVAYA, ids=lambda entry: entry.name)
def test_a_line_goes_out_as_it_is_and_stations_with_their_fields_named(entry) -> None:  # type: ignore[no-untyped-def]
    lines = render(GUARD.render("look", line=entry.sample())).decode().split("\n")
    wanted = [f"c{entry.sample()}", *([F] if entry.sample() == "list station" else []), "t", ""]
    assert lines == wanted


_WORDS = sorted({w for e in AVAYA for w in e.sample().split()} | {"station", "change", "print", "login", "admin", ""})


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_WORDS), max_size=4).map(" ".join) | st.text(max_size=40))
def test_no_line_outside_the_catalogue_goes_out(line: str) -> None:
    if find(line, AVAYA) is not None:
        assert render(GUARD.render("look", line=line)).startswith(f"c{line}\n".encode())
        return
    with pytest.raises(InvalidValue):
        GUARD.render("look", line=line)


async def test_no_other_line_can_be_sent_and_nothing_that_acts(site: Site) -> None:
    async with site.open() as connector:
        site.cm.heard.clear()
        for words, acts in (
            (("display", "station", "2001"), False), (("list", "station", "print"), False),
            (("status", "station"), False), (("busyout", "station", "2001"), True), (("display", "time"), True),
            (("list", "login"), False),
            (("status", "station", "2001\ncdisplay station 2001"), False),
        ):  # fmt: skip
            with pytest.raises((InvalidValue, RequestNotAllowed)):
                [data async for data in connector.diag(DiagCommand(words, "x", acts))]
        assert site.cm.heard == []
    can = AvayaCmFamily().capabilities()
    assert {Operation.DIAG, Operation.CONSOLE_LOOK} <= can.operations
    assert Operation.CONSOLE_ACT not in can.operations
    assert "busyout" in can.cannot["console-act"]


# --- what is shown ---


async def test_lists_are_rows_and_states_a_line_a_field(site: Site) -> None:
    async with site.open() as connector:
        assert await said(connector, "list station") == (
            "extension | name | type\n2001 | Okonkwo, Grace | 9608\n20011 |  | 9608\n2002 | Smith, John | 9608\n"
        )
        state = await said(connector, "status station 2001")
        assert state.splitlines()[:3] == ["extension  2001", "6f01ff00   9608", "6f02ff00   S00042"]
        assert "in-service/idle" in state
        assert "6f03ff00" not in state, "fields without a value are left out"
        assert state.splitlines()[-1] == "6f19ff00   no"
        assert (await connector.view("2001")).name == "Okonkwo, Grace"
        assert site.cm.heard[-3:-1] == ["look", "look"]


async def test_no_security_code_is_ever_shown(site: Site) -> None:
    """The stand-in tells all fields of a station, that one among them, to whoever names none."""
    async with site.open() as connector:
        for entry in AVAYA:
            with suppress(Refused):
                assert "CANARY" not in await said(connector, entry.sample())
        assert "look" in site.cm.heard
        assert not [one for one in site.cm.heard if one != "look"]


async def test_what_is_refused_is_told_by_its_code_and_nothing_of_a_kind_is_no_error(site: Site) -> None:
    async with site.open() as connector:
        with pytest.raises(Refused, match="code 2a06"):
            await said(connector, "status station 9999")
        site.cm.grumbles = True
        with pytest.raises(Refused, match=r"code 1b2") as caught:
            await said(connector, "status trunk 1")
        assert "Alarm log" not in str(caught.value), "its words could hold what they are about"
        site.cm.stations.clear()
        assert await said(connector, "list station") == "There is nothing of the kind.\n"
        assert await said(connector, "display time") == "6e01ff00 | 6e02ff00\nSaturday | 01:00\nSunday | \n"


@pytest.mark.parametrize(
    "lines",
    [("x",), ("\x1b[2J",), ("d1", "t"), (F, "d1\tA\tB\tC"), (F, "d1", "d2"), (F, "d1", "n", F), ("t", "t"),
     ("d" + "x" * 9000,), tuple(["f1"] * 201)],
    ids=lambda lines: repr(lines[0][:10]),
)  # fmt: skip
def test_what_makes_no_sense_is_no_answer(lines: tuple[str, ...]) -> None:
    with pytest.raises(ProtocolViolation):
        shown(*lines)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([F.encode(), b"d1\tA", b"n", b"t", b"e1 00000000 1 x"]), max_size=12
    )
)
def test_whatever_comes_is_shown_or_said_to_be_none(lines: list[bytes]) -> None:
    try:
        told = shown(*lines).take()
    except ProtocolViolation:
        return
    assert len(told) <= 200 + 100 * sum(map(len, lines))


# --- a terminal that goes on ---


def many(site: Site, count: int) -> None:
    """So many stations."""
    site.cm.stations = {str(n): Station(str(n), f"Person {n}") for n in range(10_000, 10_000 + count)}


async def test_whoever_stops_listening_has_the_terminal_back(site: Site) -> None:
    many(site, 20_000)
    async with site.open() as connector:
        async with aclosing(connector.diag(parse("list station", AVAYA))) as output:
            assert (await anext(aiter(output))).startswith(b"extension | name | type\n10000 | ")
        assert (await connector.view("10500")).name == "Person 10500"
        assert "Saturday" in await said(connector, "display time")


async def test_stopping_in_the_middle_of_a_wait_does_not_end_the_connection(site: Site) -> None:
    """As Ctrl-C does: while the phone system has not yet said anything."""
    async with site.open() as connector:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def slow(process: asyncssh.SSHServerProcess[bytes], answer: bytes) -> None:
            asked.set()
            await go_on.wait()
            process.stdout.write(answer)

        site.cm.enemy = slow
        typed = asyncio.ensure_future(said(connector, "display alarms"))
        await asked.wait()
        typed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await typed
        go_on.set()
        assert (await connector.view("2001")).name == "Okonkwo, Grace"


async def test_a_terminal_that_never_answers_ends_the_connection_in_time(site: Site) -> None:
    async with site.open() as connector:

        async def silent(process: asyncssh.SSHServerProcess[bytes], answer: bytes) -> None:
            await asyncio.Event().wait()

        site.cm.enemy = silent
        with pytest.raises(Unreachable, match="took too long"):
            await said(connector, "display alarms")
        with pytest.raises(Unreachable, match="lost"):
            await connector.view("2001")


async def test_nonsense_in_the_middle_ends_the_connection(site: Site) -> None:
    async with site.open() as connector:

        async def nonsense(process: asyncssh.SSHServerProcess[bytes], answer: bytes) -> None:
            process.stdout.write(b"f1\r\nd1\r\nn\r\nROOT PASSWORD CANARY\r\nt\r\n")

        site.cm.enemy = nonsense
        with pytest.raises(ProtocolViolation) as caught:
            await said(connector, "display alarms")
        assert "CANARY" not in repr(caught.value)
