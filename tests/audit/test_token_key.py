"""A master key in a token: it wraps there, never leaves, and what is lost is found again or said."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest

from audit import token_key
from audit.recording.recorder import Limits
from audit.recording.recover import recover
from audit.sealing import FileKeyStore, MasterKeyAway, SealingError
from audit.storage import LocalObjects
from audit.token_key import Token, TokenMasterKey
from tests.audit.recording.test_recorder import Case, shown
from tests.support.token import KEY, LABEL, PIN, SoftToken, make_token

ID = b"12345678"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    made = make_token(tmp_path / "token")
    made.make_key()
    monkeypatch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
    pkcs11.lib(str(made.module)).reinitialize()  # it reads its configuration once
    return made


def where(token: SoftToken) -> Token:
    return Token(str(token.module), LABEL, PIN, 5)


@pytest.fixture
def key(token: SoftToken) -> TokenMasterKey:
    return TokenMasterKey(ID, where(token), KEY)


def test_what_it_wraps_opens_for_the_same_context_alone(key: TokenMasterKey, token: SoftToken) -> None:
    wrapped = key.wrap(b"one", b"a key" * 7)
    assert wrapped[:8] == ID
    assert b"a key" not in wrapped
    assert TokenMasterKey(ID, where(token), KEY).unwrap(b"one", wrapped) == b"a key" * 7
    broken = [wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:20], wrapped[:9], b"", wrapped + b"\0"]
    for context, data in [(b"two", wrapped), *((b"one", data) for data in broken)]:
        with pytest.raises(SealingError):  # and not that it is away
            key.unwrap(context, data)
    assert key.unwrap(b"one", wrapped) == b"a key" * 7


@pytest.mark.parametrize(
    ("made", "fault"), [(("--extractable", "--sensitive"), "can be taken out"), (("--private",), "can be read")]
)
def test_a_key_that_could_leave_is_refused(token: SoftToken, made: tuple[str, ...], fault: str) -> None:
    token.make_key("loose", *made)
    with pytest.raises(MasterKeyAway, match=fault):
        TokenMasterKey(ID, where(token), "loose").wrap(b"", b"x")


def test_a_short_key_two_of_a_name_and_none_are_said(token: SoftToken) -> None:
    token.tool("--keygen", "--key-type", "AES:16", "--label", "short", "--sensitive")
    token.make_key("twice")
    token.make_key("twice")
    for label, fault in (("short", "256 bits"), ("twice", "several keys"), ("nothing", "no AES key nothing")):
        with pytest.raises(MasterKeyAway, match=fault):
            TokenMasterKey(ID, where(token), label).wrap(b"", b"x")


def test_a_lost_session_is_opened_again(key: TokenMasterKey) -> None:
    wrapped = key.wrap(b"one", b"secret")
    assert key._session is not None
    key._session.close()
    assert key.unwrap(b"one", wrapped) == b"secret"
    pkcs11.lib(key._token.module).finalize()
    assert key.unwrap(b"one", wrapped) == b"secret"


def test_two_keys_of_one_token_go_on_beside_each_other(key: TokenMasterKey, token: SoftToken) -> None:
    token.make_key("second")
    pkcs11.lib(str(token.module)).reinitialize()
    other = TokenMasterKey(b"87654321", where(token), "second")
    for _ in range(3):
        mine, theirs = key.wrap(b"", b"mine"), other.wrap(b"", b"theirs")
        assert (key.unwrap(b"", mine), other.unwrap(b"", theirs)) == (b"mine", b"theirs")
        with pytest.raises(SealingError):
            other.unwrap(b"", mine)  # it looks for what is wrong, and lets go of its session
    assert key.unwrap(b"", mine) == b"mine"


def test_unplugged_it_is_away_and_plugged_in_again_it_goes_on(key: TokenMasterKey, token: SoftToken) -> None:
    wrapped = key.wrap(b"one", b"secret")
    away = token.folder / "away"
    token.tokens.rename(away)
    token.tokens.mkdir()
    for _ in range(2):
        with pytest.raises(MasterKeyAway, match=f"there is no token {LABEL}"):
            key.unwrap(b"one", wrapped)
    token.tokens.rmdir()
    away.rename(token.tokens)
    assert key.unwrap(b"one", wrapped) == b"secret"


async def test_unplugged_it_leaves_the_journal_of_a_crash_for_the_next_time(
    key: TokenMasterKey, token: SoftToken, tmp_path: Path
) -> None:
    objects = LocalObjects(tmp_path / "objects")
    case = Case(tmp_path / "journal", objects, FileKeyStore(tmp_path / "keys", key), Limits(refuse_free_percent=0))
    recording = case.open()
    recording.output(b"seen before the crash")
    await recording.durable()
    os.close(case.recorder._fd)
    again = FileKeyStore(tmp_path / "keys", key)
    away = token.folder / "away"
    token.tokens.rename(away)
    token.tokens.mkdir()
    with pytest.raises(MasterKeyAway):
        recover(tmp_path / "journal", objects, again)
    token.tokens.rmdir()
    away.rename(token.tokens)
    (found,) = recover(tmp_path / "journal", objects, again)
    assert found.damaged is None
    assert shown(objects, again) == b"seen before the crash"


def test_a_module_that_does_not_answer_is_away(key: TokenMasterKey) -> None:
    key._token = replace(key._token, timeout_s=0.05)
    let_go, busy = threading.Event(), threading.Event()

    def hang() -> bytes:
        busy.set()
        let_go.wait()
        return b""

    hanging = threading.Thread(target=token_key._thread_of(key._token.module).do, args=(hang, 60))
    hanging.start()
    busy.wait()
    try:
        for _ in range(3):
            with pytest.raises(MasterKeyAway, match="did not answer within"):
                key.wrap(b"", b"x")
    finally:
        let_go.set()
        hanging.join()
    key._token = replace(key._token, timeout_s=5)
    assert key.wrap(b"", b"x")


def test_a_wrong_pin_is_tried_once(token: SoftToken) -> None:
    wrong = replace(where(token), pin="00000000")
    for _ in range(3):
        with pytest.raises(MasterKeyAway, match="not tried again"):
            TokenMasterKey(ID, wrong, KEY).wrap(b"", b"x")
    token_key._REFUSED[wrong] = "a second try would say something else: not tried again"
    with pytest.raises(MasterKeyAway, match="a second try"):
        TokenMasterKey(ID, wrong, KEY).wrap(b"", b"x")
    assert TokenMasterKey(ID, where(token), KEY).wrap(b"", b"x")


def test_what_is_no_module_is_said(token: SoftToken, tmp_path: Path) -> None:
    (tmp_path / "not.so").write_text("x")
    for path in (tmp_path / "none.so", tmp_path / "not.so"):
        with pytest.raises(MasterKeyAway, match=r"cannot be loaded \("):
            TokenMasterKey(ID, replace(where(token), module=str(path)), KEY).wrap(b"", b"x")
    assert PIN not in repr(where(token))
