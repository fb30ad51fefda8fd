"""What can be sent to Asterisk's database, without one: which columns, which requests write, where values end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from connectors.asterisk.settings import AsteriskRealtimeSettings
from connectors.asterisk.statements import GUARD, READABLE, statements
from connectors.errors import InvalidValue, RequestNotAllowed

SECRETS = {"password", "md5_cred", "password_digest", "refresh_token", "oauth_secret", "imappassword", "secret"}
_ONE = {"contexts": ["from-internal"], "vmcontext": "default"}
_PAGE = _ONE | {"limit": 1}
_BOX = {"context": "default", "mailbox": "2001"}
_OF = {"id": "1", "vmcontext": "default"}
_MD5, _SHA = "0" * 32, "SHA-256:" + "0" * 64
EACH: dict[str, dict[str, Any]] = {
    "people": _PAGE | {"cursor": ""}, "find": _PAGE | {"words": ["a"]}, "view": _ONE | {"id": "1"},
    "own": _ONE | {"id": "1"}, "lock-own": _ONE | {"id": "1"}, "box": _BOX, "lock-box": _BOX,
    "lock-box-of": _OF, "box-users": _OF, "ddis-of": {"id": "1"},
    "box-others": _BOX | {"vmcontext": "default", "ids": ["1"]}, "parts-others": {"ids": ["1"]},
    "extension-others": {"ids": ["1"], "extension": "2001"}, "lock-auths": {"ids": ["1"]}, "devices": {"ids": ["1"]},
    "ddis": {"extension": "2001"}, "lock-ddis": {"extension": "2001"}, "ddi-owner": {"number": "+442079460123"},
    "set-callerid": {"id": "1", "callerid": "Zoe <1>"}, "set-fullname": _BOX | {"name": "Zoe"},
    "set-email": _BOX | {"email": None}, "set-pin": _BOX | {"secret": "4938"}, "set-md5": {"id": "1", "hash": _MD5},
    "set-sha256": {"id": "1", "hash": _SHA}, "insert-ddi": {"number": "442079460123", "extension": "2001"},
    "move-ddi": {"old": "1", "new": "442079460123", "extension": "2001"}, "delete-ddis": {"extension": "2001"},
    "delete-contacts": {"ids": ["1"]}, "delete-endpoints": {"ids": ["1"]}, "delete-auths": {"ids": ["1"]},
    "delete-aors": {"ids": ["1"]}, "delete-box": _BOX,
}  # fmt: skip
WRITES = {name for name in EACH if name.startswith(("set-", "insert-", "move-", "delete-"))}


def test_each_request_takes_its_own_fields_and_no_others_and_what_writes_is_a_write() -> None:
    rest = GUARD.names() - set(EACH)
    assert rest >= {"begin", "commit", "rollback"}
    assert {name for name in GUARD.names() - rest if GUARD.writes(name)} == WRITES
    assert len(WRITES) == 14
    for name, values in EACH.items():
        assert dict(GUARD.render(name, **values).values) == values
        with pytest.raises(RequestNotAllowed):
            GUARD.render(name, **values, another="1")
        for field in values:
            with pytest.raises(RequestNotAllowed):
                GUARD.render(name, **{key: value for key, value in values.items() if key != field})
            with pytest.raises(InvalidValue):
                GUARD.render(name, **values | {field: 7.5})


def _text(most: int) -> tuple[list[Any], list[Any]]:
    return ["", "a" * most], ["a" * (most + 1), "a\n", None]


_DDI = (["123456", "+" + "1" * 16], ["12345", "1" * 17, "+12345", "0207 9460", "", None])
_LISTS = ([[], ["a" * 255] * 64], [["1"] * 65, ["a" * 256], "1", ("1",), None])
BOUNDS: list[tuple[str, str, list[Any], list[Any]]] = [
    ("people", "limit", [1, 500], [0, 501]),
    ("people", "cursor", *_text(255)),
    ("people", "vmcontext", *_text(80)),
    ("find", "contexts", [[], ["a" * 40] * 64], [["a"] * 65, ["a" * 41], "a"]),
    ("find", "words", [[], ["a" * 200] * 16], [["a"] * 17, ["a" * 201], "a"]),
    *((name, "id", *_text(255)) for name in ("view", "lock-box-of", "box-users", "ddis-of")),
    ("box", "context", *_text(80)),
    ("box", "mailbox", *_text(80)),
    *((name, "ids", *_LISTS) for name in EACH if "ids" in EACH[name]),
    *((name, "extension", *_text(80)) for name in EACH if "extension" in EACH[name]),
    ("ddi-owner", "number", *_DDI),
    ("insert-ddi", "number", *_DDI),
    ("move-ddi", "new", *_DDI),
    ("move-ddi", "old", *_text(40)),
    ("set-callerid", "callerid", *_text(40)),
    ("set-fullname", "name", ["A", "A" * 80, "A b"], ["", "A" * 81, " A", "A ", "<A", 'A"', "A\\"]),
    ("set-email", "email", [None, "a@b.cd", "a" * 75 + "@b.cd"],
     ["", "a" * 76 + "@b.cd", "a@b", "a b@c.de", "a@b.cd,e@f.gh", "<a@b.cd>", "a@b.cd;"]),
    ("set-pin", "secret", ["a" * 4, "a" * 128], ["a" * 3, "a" * 129, "a b c", None]),
    ("set-md5", "hash", [_MD5], ["0" * 31, "0" * 33, "A" * 32, "", None]),
    ("set-sha256", "hash", [_SHA], [_SHA[:-1], _SHA + "0", _SHA.lower(), "0" * 64, "", None]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "taken", "refused"), BOUNDS)
def test_a_value_just_within_is_taken_and_one_just_beyond_is_not(
    name: str, field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        assert GUARD.render(name, **EACH[name] | {field: value}).values[field] == value
    for value in refused:
        with pytest.raises(InvalidValue):
            GUARD.render(name, **EACH[name] | {field: value})


def test_what_the_role_may_read_of_the_tables_is_so_much_and_no_secret() -> None:
    assert {table: set(columns) for table, columns in READABLE.items()} == {
        "ps_endpoints": {"id", "callerid", "aors", "auth", "mailboxes", "context", "transport"},
        "ps_auths": {"id", "auth_type", "username", "realm"}, "ps_aors": {"id", "contact", "max_contacts"},
        "voicemail": {"uniqueid", "context", "mailbox", "fullname", "email", "pager"},
        "ps_contacts": {"id", "endpoint", "uri", "expiration_time"},
    }  # fmt: skip


DDI = {"table": "numbers", "number_column": "number", "extension_column": "extension"}


@pytest.mark.parametrize("more", [{}, {"ddi": DDI}, {"mailbox": "mailboxes"}])
def test_every_request_has_a_text_that_reads_no_secret_and_returns_nothing_of_a_write(more: dict[str, Any]) -> None:
    made = {
        name: one.as_string(None) for name, one in statements(AsteriskRealtimeSettings.model_validate(more)).items()
    }
    without = {"expire"} | (set() if "ddi" in more else {name for name in EACH if "ddi" in name})
    assert set(made) == GUARD.names() - without, "expire is no SQL: test_cache"
    for name in set(EACH) & set(made):
        text = made[name].strip().lower()
        assert text.startswith(("update ", "insert into ", "delete from ") if name in WRITES else ("select ", "with "))
        assert "returning" not in text
        if name not in WRITES:
            assert not set(re.findall(r"[a-z0-9_]+", text)) & SECRETS
            assert "*" not in text.replace("select u.*", "").replace("select p.*", "").replace(r"\s*", "").replace(
                "+*#", ""
            )
        if text.startswith(("update ", "delete ")):
            assert " where " in text.replace("\n", " "), "a change of everybody's"
        values = set(re.findall(r"%\((\w+)\)s", text))
        assert values <= set(EACH[name]), "a value that no request has"
        if name in WRITES:
            assert values == set(EACH[name])
        assert text.endswith("for update") == name.startswith("lock-")
