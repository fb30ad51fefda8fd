"""Another master key while engineers are at work: visits go on, nothing is lost, and a token is never waited for."""

from __future__ import annotations

import asyncio
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pkcs11
import pyotp
import pytest

from audit import token_key
from config import load as loading
from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.wiring.parts import parts
from tests.support.token import LABEL, SoftToken, make_token


async def rewrap(demo: Demo) -> Any:
    return await demo.admin("keys rewrap", config=str(demo.folder / "frameroom.toml"))


async def still_whole(demo: Demo) -> None:
    checked = await demo.admin("keys check")
    assert checked["ok"], checked
    report = await demo.admin("audit verify")
    assert report["ok"], report["faults"]


async def readyz(demo: Demo) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{demo.app.ops_port}/readyz") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def shown_in_recording(demo: Demo, visit: str) -> str:
    pieces = await demo.admin("recording play", session=visit, why="a test")
    return "".join(str(piece) for piece in pieces)


async def test_a_visit_goes_on_while_every_key_is_moved(demo: Demo, ssh: Master) -> None:
    await permit(demo, "find,view,alter")
    assert "Grace" in (await ssh.run("show 2001")).out
    (visit,) = await demo.admin("session list")
    first = demo.app.parts.masters.current
    acting = asyncio.ensure_future(asyncio.gather(*(ssh.run(f"show {2001 + n}") for n in range(6))))
    done = await rewrap(demo)
    assert [ran.code for ran in await acting] == [0] * 6
    assert done["moved"] >= 10
    assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
    assert [(await ssh.run("whoami")).code, (await demo.admin("session list"))[0]["id"]] == [0, visit["id"]]
    await still_whole(demo)
    # The key of before goes, and whoever comes in again finds everything as it was.
    assert [row["id"] for row in await demo.admin("keys retire")] == [first.id]
    assert not (demo.settings.storage.data_dir / "keys" / first.file).exists()
    demo.app.parts.keys._cache.clear()
    assert "Graciela" in (await ssh.run("show 2001")).out
    await demo.admin("session kill", session=visit["id"], reason="a test")
    assert "Grace Okonkwo" in await shown_in_recording(demo, visit["id"])
    found = await demo.admin("audit search", why="t", customer=CUSTOMER, subject="Graciela Bellweather")
    assert len(found) >= 2, "the log finds a person as before: its keyed ids are the same"
    await still_whole(demo)
    told = await demo.admin("audit tail", why="t", count=50, customer=None)
    kinds = [row["kind"] for row in told]
    assert kinds.count("keys.rewrapped") == kinds.count("keys.retired") == 1


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = make_token(tmp_path / "token")
    made.make_key()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    pkcs11.lib(str(made.module)).reinitialize()
    return made


@pytest.fixture
async def in_token(token: SoftToken, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The demo's master key is in a token, and no file holds one; the threads that the token was asked from."""
    asked_from: set[str] = set()
    do = token_key.TokenMasterKey._do

    def noted(self: Any, *rest: Any) -> bytes:
        asked_from.add(threading.current_thread().name)
        return do(self, *rest)

    monkeypatch.setattr(token_key.TokenMasterKey, "_do", noted)
    with (demo.folder / "frameroom.toml").open("a") as file:
        file.write(token.settings())
    await rewrap(demo)
    await demo.admin("keys retire")
    assert not list((demo.settings.storage.data_dir / "keys").glob("master*.key"))
    return asked_from


async def test_with_the_key_in_a_token_everything_works_and_the_loop_never_waits_for_it(
    demo: Demo, in_token: set[str]
) -> None:
    demo.app.parts.keys._cache.clear()
    ssh = Master(demo)
    await ssh.start(pyotp.TOTP(demo.totp).now())
    try:
        await permit(demo, "find,view,alter,reset-voicemail")
        assert (await ssh.run("set 2001 name='Graciela Bellweather'")).code == 0
        assert (await ssh.run("reset 2001 voicemail --yes")).code == 0
        (visit,) = await demo.admin("session list")
        await demo.admin("session kill", session=visit["id"], reason="a test")
        demo.app.parts.keys._cache.clear()
        assert "Graciela" in await shown_in_recording(demo, visit["id"])
        demo.app.parts.keys._cache.clear()
        assert await demo.admin("audit search", why="t", customer=CUSTOMER, subject="2001")
        demo.app.parts.keys._cache.clear()
        await demo.admin("subject report", subject="2001", customer=CUSTOMER, why="t")
        demo.app.parts.keys._cache.clear()
        await still_whole(demo)
    finally:
        await ssh.stop()
    assert in_token
    assert "MainThread" not in in_token


async def test_unplugged_it_takes_no_new_visit_says_why_and_comes_back(
    demo: Demo, in_token: set[str], token: SoftToken
) -> None:
    ssh = Master(demo)
    await ssh.start(pyotp.TOTP(demo.totp).now())
    try:
        await permit(demo, "view")
        assert await readyz(demo) == (200, "ok\n")
        away = token.folder / "away"
        token.tokens.rename(away)
        token.tokens.mkdir()
        code, words = await readyz(demo)
        assert code == 503
        assert f"master key: there is no token {LABEL}" in words
        refused = await ssh.run("show 2001")
        assert refused.code != 0
        assert re.search(r"No recording, no session: there is no token frameroom", refused.err + refused.out)
        assert "Traceback" not in refused.err
        assert await demo.admin("session list") == []
        token.tokens.rmdir()
        away.rename(token.tokens)
        assert await readyz(demo) == (200, "ok\n")
        assert "Grace" in (await ssh.run("show 2001")).out
        await still_whole(demo)
    finally:
        await ssh.stop()


async def test_a_process_that_begins_without_its_token_says_so(
    demo: Demo, in_token: set[str], token: SoftToken, tmp_path: Path
) -> None:
    token.tokens.rename(tmp_path / "away")
    token.tokens.mkdir()
    with pytest.raises(Exception, match=f"there is no token {LABEL}"):
        async with parts(demo.settings.model_copy(update={"keys": _keys_now(demo)})):
            pass


def _keys_now(demo: Demo) -> Any:

    return loading.load(demo.folder / "frameroom.toml", {}).keys
