"""`system add` and `system check` as they are typed, and a reset in its child process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from connectors.contract import SecretKind
from connectors.errors import Refused
from gateway.errors import UnavailableError
from gateway.session.deliver import ResetServer
from gateway.wiring.parts import make_keys
from tests.cli.conftest import BROOK, Closed
from tests.support.children import no_child

from .conftest import Pbx
from .database import DOMAIN, PASSWORD, PEOPLE, uuid

GRACE = PEOPLE[0]


@pytest.fixture
def typed(pbx: Pbx, tmp_path: Path) -> Closed:
    """A deployment with that phone system in it, as an operator adds one."""
    folder = tmp_path / "fr"
    make_keys(folder / "data" / "keys")
    made = Closed(folder / "frameroom.toml")
    made.config.write_text('[deployment]\nname = "check.frameroom.example"\n')
    made.ok("db", "upgrade")
    made.ok("customer", "add", BROOK)
    for name, text in (("pin.pem", pbx.pin), ("password", f"{PASSWORD}\nCANARY-eventsocket-5\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    _added(made, pbx, "Head office", {"domain": DOMAIN, "database": pbx.database})
    return made


def _added(made: Closed, pbx: Pbx, name: str, settings: dict[str, Any]) -> Any:
    (made.folder / "settings").write_text(json.dumps(settings))
    return made.run(
        "system", "add", BROOK, "--name", name, "--connector", "fusionpbx", "--host", "127.0.0.1",
        "--port", str(pbx.port), "--pin", str(made.folder / "pin.pem"), "--login", "frameroom", "--password-file",
        str(made.folder / "password"), "--settings-file", str(made.folder / "settings"),
    )  # fmt: skip


def lines(told: str) -> dict[str, Any]:
    return {line["what"]: line for line in json.loads(told)}


def test_a_role_as_documented_is_in_order_and_what_it_could_read_is_said(typed: Closed) -> None:
    told = lines(typed.ok("system", "check", "Head office", "--json"))
    assert all(line["ok"] for line in told.values()), told
    assert "enforced" in told["how secrets are kept"]["in words"]
    assert "Flush Cache" in told["cache"]["in words"]
    assert "CANARY" not in typed.ok("system", "check", "Head office") + json.dumps(told)


def test_an_event_socket_that_is_not_there_is_exit_code_1(typed: Closed, pbx: Pbx) -> None:
    socket = {"host": "127.0.0.1", "port": 1}
    assert (
        _added(typed, pbx, "Branch", {"domain": DOMAIN, "database": pbx.database, "event_socket": socket}).exit_code
        == 0
    )
    done = typed.run("system", "check", "Branch", "--json")
    assert done.exit_code == 1
    told = lines(done.stdout)
    assert not told["cache"]["ok"]
    assert "FULL CONTROL" in told["how secrets are kept"]["in words"] + json.dumps(told)
    assert "CANARY" not in done.output


def test_settings_that_are_none_are_told_in_words(typed: Closed, pbx: Pbx) -> None:
    for settings, words in (
        ({"domian": DOMAIN}, "did you mean domain?"), ({}, "domain"),
        ({"domain": DOMAIN, "event_socket": {"host": "pbx.example"}}, "an address in digits"),
        ({"domain": DOMAIN, "portal_groups": ["superadmin"]}, "administrators"),
    ):  # fmt: skip
        done = _added(typed, pbx, "Second", settings)
        assert done.exit_code == 2
        assert words in done.output
        assert "Traceback" not in done.output


@pytest.fixture
async def fork() -> Any:
    """The fork server."""
    running = ResetServer()
    first = running.child()
    with pytest.raises(UnavailableError):
        await first.start({})
    first.close()
    await no_child(running.pid)
    yield running
    running.stop()


class Kept:
    """A mail server that keeps."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd's hook."""
        self.mails.append(envelope.content)
        return "250 kept"


@pytest.fixture
async def post() -> AsyncIterator[tuple[Kept, int]]:
    kept = Kept()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept, hostname="localhost"), "127.0.0.1", 0)
    yield kept, server.sockets[0].getsockname()[1]
    server.close()


def job(pbx: Pbx, mail_port: int, kind: str) -> dict[str, Any]:
    return {
        "connector": "fusionpbx", "system": "sys_1", "host": "127.0.0.1", "port": pbx.port, "pin": pbx.pin,
        "settings": json.dumps({"domain": DOMAIN, "database": pbx.database}), "mark": "frameroom-t",
        "person": GRACE.id, "kind": kind, "link": "lnk_" + "a" * 24, "retry_s": 5, "message_id": "msg_1",
        "shape": {"alphabet": "abcdefghij", "length": 20, "classes": [], "avoid": []},
        "credential": {"login": "frameroom", "password": PASSWORD, "private_key": None},
        "mail": {"host": "127.0.0.1", "port": mail_port, "sender": "f@company.example", "tls": "none"},
        "url": "https://once.example", "path": "/s/", "to": "grace@brook.example", "subject": "S",
        "body": ["before ", " after"],
    }  # fmt: skip


async def test_a_portal_password_is_made_and_hashed_in_the_child(
    pbx: Pbx, fork: ResetServer, post: tuple[Kept, int]
) -> None:
    kept, port = post
    child = fork.child()
    await child.start(job(pbx, port, "portal"))
    (note,) = await child.write()
    assert "u1001" in note
    assert await child.mail(5)
    child.close()
    assert len(kept.mails) == 1
    ((stored,),) = pbx.sql("select password from v_users where user_uuid = %s", uuid("user", DOMAIN, "1001"))
    assert stored.startswith("$2y$10$")
    assert not pbx.opens(GRACE.id, SecretKind.PORTAL, GRACE.secret("portal"))


async def test_an_administrators_is_refused_by_the_child(pbx: Pbx, fork: ResetServer) -> None:
    pbx.sql("update v_user_groups set group_name = 'superadmin'")
    child = fork.child()
    await child.start(job(pbx, 9, "portal"))
    with pytest.raises(Refused, match="in a group"):
        await child.write()
    child.close()
    assert pbx.opens(GRACE.id, SecretKind.PORTAL, GRACE.secret("portal"))
