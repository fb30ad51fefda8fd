"""Coming in, versions, waiting, and a Unity Connection of its own: what is said, and what is never sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.contract import Change, Credential, Secret, SecretKind
from connectors.cucm.connector import CucmConnector
from connectors.errors import (
    ConnectorError,
    CredentialRefused,
    IdentityMismatch,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unreachable,
)
from tests.connectors.cucm.conftest import Pbx, served
from tests.support.cucm.axl import Answer
from tests.support.cucm.site import LOGIN, PASSWORD, site

HTML = "text/html;charset=utf-8"


def instead(answer: Answer, when: Callable[[str], bool] = lambda _: True) -> Callable[[str, Answer], Answer]:
    """This answer in the place of the right one."""
    return lambda heard, right: answer if when(heard) else right


# --- versions ---


@pytest.mark.parametrize(
    ("speaks", "spoken"),
    [
        (("14.0", "12.5", "11.5"), "14.0"), (("11.5", "11.0", "10.5"), "11.5"), (("8.5",), "8.5"),
        (("15.0", "12.5"), "12.5"),
    ],
)  # fmt: skip
async def test_the_newest_version_that_both_speak_is_found(
    tmp_path: Path, speaks: tuple[str, ...], spoken: str
) -> None:
    async with served(site("12.5.1.11900-146", speaks), tmp_path) as pbx:
        connector = await pbx.connect()
        assert len(pbx.unsealed) == 1
        lines = {line.what: line.words for line in await connector.check()}
        assert f"AXL {spoken}" in lines["reach"]
        assert "12.5.1.11900-146" in lines["reach"]
        await connector.close()


async def test_a_version_that_is_set_and_not_spoken_is_told(tmp_path: Path) -> None:
    async with served(site(speaks=("12.5",)), tmp_path) as pbx:
        with pytest.raises(Refused) as caught:
            await pbx.connect(version="14.0")
        assert "version" in caught.value.next_step
        connector = await pbx.connect(version="12.5")
        await connector.close()


async def test_a_phone_system_without_axl_says_what_to_activate(tmp_path: Path) -> None:
    async with served(site(speaks=("15.0",)), tmp_path) as pbx:
        with pytest.raises(Unreachable) as caught:
            await pbx.connect()
        assert "Cisco AXL Web Service" in caught.value.next_step
        pbx.serving.twist = instead(Answer(404, b"<html>not here</html>", HTML))
        with pytest.raises(ConnectorError) as other:
            await pbx.connect(version="14.0")
        assert "Cisco AXL Web Service" in other.value.next_step


async def test_a_release_that_is_no_name_is_not_shown(pbx: Pbx) -> None:
    pbx.cucm.release = "14\x9b2J&lt;b&gt;"
    connector = await pbx.connect()
    assert "release unknown" in (await connector.check())[0].words
    await connector.close()


async def test_nonsense_for_a_version_that_is_unknown_is_no_end(tmp_path: Path) -> None:
    async with served(site(speaks=("9.1",)), tmp_path) as pbx:
        pbx.serving.twist = lambda _, right: Answer(500, b"<html>?</html>", HTML) if right.status == 599 else right
        connector = await pbx.connect()
        assert "AXL 9.1" in (await connector.check())[0].words
        await connector.close()


# --- coming in ---


async def test_a_role_that_is_missing_is_named(pbx: Pbx) -> None:
    pbx.serving.twist = instead(Answer(403, b"<html>forbidden</html>", HTML))
    with pytest.raises(CredentialRefused) as caught:
        await pbx.connect()
    assert "Standard AXL API Access" in caught.value.next_step


@pytest.mark.parametrize("credential", [Credential("a:b", "x"), Credential("a", None, "a key"), Credential("a", None)])
async def test_a_credential_that_basic_cannot_carry_is_not_sent(pbx: Pbx, credential: Credential) -> None:
    async def unseal() -> Credential:
        return credential

    pbx.unseal = unseal  # type: ignore[method-assign]
    with pytest.raises(CredentialRefused):
        await pbx.connect()
    assert pbx.asked() == []


# --- waiting ---


async def test_a_look_waits_for_a_busy_phone_system_and_comes_back(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.cucm.busy = 3
    assert (await opened.view("gokonkwo")).id == "gokonkwo"
    assert pbx.asked() == ["user"] * 4
    pbx.cucm.no_memory, pbx.cucm.busy = 1, 0
    pbx.serving.twist = lambda _, right: Answer(right.status, right.body, right.kind, ("Retry-After: 0",))
    assert (await opened.view("gokonkwo")).id == "gokonkwo"


async def test_a_phone_system_that_stays_busy_is_told_with_how_long(pbx: Pbx, opened: CucmConnector) -> None:
    pbx.cucm.busy, pbx.cucm.retry_after = 10, "60"
    with pytest.raises(RateLimited) as caught:
        await opened.view("gokonkwo")
    assert caught.value.retry_after_ms == 60_000
    assert pbx.asked() == ["user"]


async def test_a_write_that_is_turned_away_is_not_sent_again(pbx: Pbx, opened: CucmConnector) -> None:
    before = await opened.view("gokonkwo")
    for template, doing in (
        ("set-person", lambda: opened.alter("gokonkwo", Change(email=None), before)),
        ("remove-user", lambda: opened.remove("gokonkwo", before)),
        ("set-password", lambda: opened.reset("gokonkwo", SecretKind.PORTAL, Secret("Abcdefgh23456789"))),
    ):
        pbx.asked()
        pbx.cucm.turned_away = {template}
        with pytest.raises(RateLimited) as caught:
            await doing()
        assert "nothing was written" in caught.value.message
        assert pbx.asked().count(template) == 1
    assert await opened.view("gokonkwo") == before


@pytest.mark.parametrize("status", [500, 502, 504, 520])
async def test_a_write_that_is_answered_with_an_error_that_is_no_fault_is_unknown(
    pbx: Pbx, opened: CucmConnector, status: int
) -> None:
    before = await opened.view("gokonkwo")
    pbx.serving.twist = instead(Answer(status, b"<html>proxy error</html>", HTML), lambda heard: heard == "set-person")
    with pytest.raises(OutcomeUnknown):
        await opened.alter("gokonkwo", Change(email=None), before)
    assert pbx.asked().count("set-person") == 1


async def test_a_look_after_a_write_that_fails_does_not_say_that_nothing_was_written(
    pbx: Pbx, opened: CucmConnector
) -> None:
    before = await opened.view("gokonkwo")
    written = list[str]()

    def half(heard: str, right: Answer) -> Answer:
        written.append(heard)
        return Answer(200, right.body[:50]) if heard == "user" and "set-person" in written else right

    pbx.serving.twist = half
    with pytest.raises(OutcomeUnknown):
        await opened.alter("gokonkwo", Change(email=None), before)
    assert pbx.user("gokonkwo").mail == ""


# --- a Unity Connection of its own ---


async def test_mailboxes_on_another_machine_are_proven_by_their_own_pin(pbx: Pbx, tmp_path: Path) -> None:
    voicemail = site()
    async with served(voicemail, tmp_path / "unity") as unity:
        there = {"host": "127.0.0.1", "port": unity.port, "pin": unity.pin}
        connector = await pbx.connect(voicemail="unity", unity=there)
        assert all(line.ok for line in await connector.check())
        await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret("73910284"))
        mailbox = voicemail.mailbox("gokonkwo")
        assert mailbox is not None
        assert mailbox.pin == "73910284"
        assert not {"mailbox", "mailboxes", "set-mailbox-pin"} & set(pbx.asked())
        assert set(unity.asked()) == {"mailbox", "mailboxes", "set-mailbox-pin"}
        await connector.close()

        connector = await pbx.connect(voicemail="unity", unity={**there, "pin": pbx.pin})
        with pytest.raises(IdentityMismatch):
            await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret("73910285"))
        line = {line.what: line for line in await connector.check()}["voicemail"]
        assert not line.ok
        assert "certificate" in line.words
        assert (await connector.view("gokonkwo")).id == "gokonkwo", "without mailboxes everything else goes on"
        assert "mailbox in Unity Connection, if there is one" in " ".join(
            (await connector.plan_removal("gokonkwo")).remains
        )
        assert unity.asked() == [], "whoever is not proven gets nothing"
        await connector.close()


async def test_an_account_that_unity_does_not_take_is_told_as_that(pbx: Pbx, tmp_path: Path) -> None:
    voicemail = site()
    voicemail.accounts = {LOGIN: PASSWORD + "x"}
    async with served(voicemail, tmp_path / "unity") as unity:
        there = {"host": "127.0.0.1", "port": unity.port, "pin": unity.pin}
        connector = await pbx.connect(voicemail="unity", unity=there)
        with pytest.raises(CredentialRefused, match="Unity Connection") as caught:
            await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret("73910284"))
        assert "same password" in caught.value.next_step
        await connector.close()


@pytest.mark.parametrize(
    ("status", "error"), [(503, RateLimited), (500, OutcomeUnknown), (200, OutcomeUnknown), (405, Refused)]
)
async def test_what_unity_answers_to_a_new_pin_is_told_as_it_is(pbx: Pbx, status: int, error: type[Exception]) -> None:
    connector = await pbx.connect(voicemail="unity", unity={})
    pbx.serving.twist = instead(Answer(status, b"<html>73910284</html>", HTML), lambda heard: heard == "PUT")
    with pytest.raises(error) as caught:
        await connector.reset("gokonkwo", SecretKind.VOICEMAIL, Secret("73910284"))
    assert "73910284" not in repr(caught.value)
    assert pbx.asked().count("set-mailbox-pin") == 1
    await connector.close()
