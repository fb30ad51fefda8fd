"""One message over real SMTP servers: TLS that is verified, a login, and what must never leave."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiosmtplib
import pytest

from gateway.smtp import MailSettings, Way, is_final, send
from tests.support.post import certificate, post_office

FROM = "frameroom@company.example"


async def deliver(
    settings: MailSettings, to: str = "kate@customer.example", subject: str = "S", body: str = "B"
) -> None:
    await send(settings, to, subject, body, "msg_1")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_verified_server_gets_it(tmp_path: Path, tls: str) -> None:
    ca, context = certificate(tmp_path, "127.0.0.1")
    async with post_office(tls=tls, context=context) as post:
        await deliver(MailSettings("127.0.0.1", post.port, FROM, tls, ca_file=ca))
    assert [m["Message-ID"] for m in post.kept] == ["<msg_1@company.example>"]
    assert post.kept[0]["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["unknown authority", "another name"])
async def test_a_server_that_is_not_proven_gets_nothing(tmp_path: Path, tls: str, wrong: str) -> None:
    ca, context = certificate(tmp_path, "127.0.0.1" if wrong == "unknown authority" else "mail.evil.example")
    trusted = ca if wrong == "another name" else certificate(tmp_path, "localhost")[0]
    async with post_office(tls=tls, context=context) as post:
        with pytest.raises((ssl.SSLError, aiosmtplib.SMTPException)):
            await deliver(MailSettings("127.0.0.1", post.port, FROM, tls, ca_file=trusted))
    assert post.kept == []


async def test_a_server_without_starttls_gets_nothing_where_it_is_wanted() -> None:
    async with post_office() as post:
        with pytest.raises(aiosmtplib.SMTPException):
            await deliver(MailSettings("127.0.0.1", post.port, FROM, "starttls"))
    assert post.kept == []


async def test_in_the_clear_it_never_leaves_this_machine() -> None:
    with pytest.raises(OSError, match="goes to this machine only"):
        await deliver(MailSettings("mail.example", 25, FROM, "none"))


@pytest.mark.parametrize("password", ["right", "wrong"])
async def test_a_login_where_the_server_wants_one(tmp_path: Path, password: str) -> None:
    ca, context = certificate(tmp_path, "127.0.0.1")
    async with post_office(tls="starttls", context=context, login=True) as post:
        settings = MailSettings("127.0.0.1", post.port, FROM, "starttls", "frameroom", password, ca)
        if password == "right":
            await deliver(settings)
        else:
            with pytest.raises(aiosmtplib.SMTPAuthenticationError) as refused:
                await deliver(settings)
            # The operator can put that right: it is tried again, and nothing is lost.
            assert not is_final(refused.value)
    assert len(post.kept) == (password == "right")
    assert (b"frameroom", password.encode()) in post.logins


@pytest.mark.parametrize(
    "address",
    ["a@b.example, c@d.example", "a@b.example\nBcc: c@d.example", "Kate <a@b.example>", "a", "", "a@b", "ä@b.example"],
)
async def test_what_is_not_one_plain_address_gets_nothing(address: str) -> None:
    async with post_office() as post:
        with pytest.raises(ValueError, match="not one plain mail address"):
            await deliver(MailSettings("127.0.0.1", post.port, FROM, "none"), to=address)
    assert post.kept == []


async def test_a_subject_of_several_lines_becomes_one(tmp_path: Path) -> None:
    async with post_office() as post:
        settings = MailSettings("127.0.0.1", post.port, FROM, "none")
        await deliver(
            settings, subject="Ana\r\nBcc: c@d.example\r\n\r\nis in", body="Zoë, 李, and\na line of " + "x" * 2000
        )
    (message,) = post.kept
    assert message["Subject"] == "Ana Bcc: c@d.example is in"
    assert message["Bcc"] is None
    assert post.recipients == [["kate@customer.example"]]
    assert message.get_content().splitlines() == ["Zoë, 李, and", "a line of " + "x" * 2000]


async def test_a_refusal_for_good_is_told_from_one_for_now() -> None:
    async with post_office() as post:
        for answer, final in (("554 never", True), ("451 later", False)):
            post.answers = [answer]
            with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
                await deliver(MailSettings("127.0.0.1", post.port, FROM, "none"))
            assert is_final(refused.value) is final


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
async def test_several_messages_go_over_one_connection(tmp_path: Path, tls: str) -> None:
    ca, context = certificate(tmp_path, "127.0.0.1")
    async with (
        post_office(tls=tls, context=context) as post,
        Way(MailSettings("127.0.0.1", post.port, FROM, tls, ca_file=ca)) as way,
    ):
        post.answers = ["250 kept", "554 never", "250 kept"]
        await way.send("kate@customer.example", "S", "B", "msg_1")
        with pytest.raises(aiosmtplib.SMTPResponseException):
            await way.send("omar@customer.example", "S", "B", "msg_2")
        await way.send("ann@customer.example", "S", "B", "msg_3")
    assert post.recipients == [["kate@customer.example"], ["ann@customer.example"]], "each to one address alone"
    assert len(post.connections) == 1


async def test_a_server_that_hung_up_meanwhile_is_dialled_again() -> None:
    async with (
        post_office() as post,
        Way(MailSettings("127.0.0.1", post.port, FROM, "none")) as way,
    ):
        await way.send("kate@customer.example", "S", "B", "msg_1")
        post.connections[0].transport.close()
        await way.send("omar@customer.example", "S", "B", "msg_2")
    assert [m["Message-ID"] for m in post.kept] == ["<msg_1@company.example>", "<msg_2@company.example>"]
    assert len(post.connections) == 2
