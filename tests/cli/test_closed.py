"""The command line on a deployment that nobody serves, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from config import load as loading
from connectors.contract import Operation
from gateway.wiring.parts import Parts, parts
from tests.cli.conftest import BROOK, NORTH, Closed


def inside(closed: Closed, work: Any) -> Any:
    """Do something with the deployment's parts that no command of the operator does."""

    async def go() -> Any:
        async with parts(loading.load(closed.config, {})) as opened:
            return await work(opened)

    return asyncio.run(go())


def asked(closed: Closed) -> str:
    """Ana asks to view somebody at Brook's head office; the request's id."""

    async def work(opened: Parts) -> str:
        (engineer,) = await opened.engineers.all()
        _, system = (await opened.directory.systems_for(engineer.id))[0]
        wanted = frozenset({Operation.VIEW})
        return (await opened.permission.submit(engineer.id, system, wanted, 60, "T-9", "a new name")).id

    return str(inside(closed, work))


def consented(closed: Closed) -> tuple[str, str]:
    """(request, grant) after a yes by telephone."""
    request = asked(closed)
    given = closed.json(
        "request", "record-consent", request, "--by", "Kate Brook", "--recorded-by", "Tom Hill", "--words", "till five"
    )
    return request, given["grant"]


def kinds(closed: Closed, customer: str | None = None) -> list[str]:
    whose = ("--customer", customer) if customer else ()
    return [row["kind"] for row in closed.json("audit", "tail", "--count", "1000", *whose)]


def test_engineers(closed: Closed, key: Path) -> None:
    assert closed.run("engineer", "list").stderr.strip() == "nothing"
    closed.ok("engineer", "add", "ana", "--name", "Ana Silva", "--email", "ana@company.example")
    taken = ("engineer", "add", "ana", "--name", "B", "--email", "b@company.example")
    assert "the login ana is taken" in closed.refused(*taken, code=1)
    given = closed.json("engineer", "key", "add", "ana", f"{key}.pub")["fingerprint"]
    assert given in closed.ok("engineer", "key", "list", "ana")
    again = closed.refused("engineer", "key", "add", "ana", Path(f"{key}.pub").read_text(), code=1)
    assert "registered already" in again
    assert closed.json("engineer", "role", "add", "ana", "out-of-hours")["roles"] == ["out-of-hours"]
    assert "otpauth://totp/" in closed.ok("engineer", "totp", "ana")
    assert len(closed.json("engineer", "codes", "ana")["codes"]) == 10
    told = closed.json("engineer", "show", "ana")
    assert (told["roles"], told["one-time codes"], told["backup codes left"]) == (["out-of-hours"], "enrolled", 10)
    closed.ok("engineer", "role", "remove", "ana", "out-of-hours")
    closed.ok("engineer", "key", "remove", "ana", given)
    assert "has no key" in closed.refused("engineer", "key", "remove", "ana", given)
    assert closed.json("engineer", "disable", "ana")["enabled"] is False
    assert "no" in closed.ok("engineer", "list").split("\n")[1]
    logged = kinds(closed)
    wanted = ["engineer.added", "engineer.key_added", "engineer.changed", "engineer.totp_enrolled"]
    wanted += ["engineer.codes_issued", "engineer.changed", "engineer.key_removed", "engineer.disabled"]
    assert [kind for kind in logged if kind.startswith("engineer.")] == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "Ana", "--name", "A", "--email", "a@b.example"), "a login has small letters"),
        (("add", "a" * 65, "--name", "A", "--email", "a@b.example"), "a login has small letters"),
        (("add", "a;b", "--name", "A", "--email", "a@b.example"), "a login has small letters"),
        (("add", "ana", "--name", " ", "--email", "a@b.example"), "has a name"),
        (("add", "ana", "--name", "A", "--email", "nobody"), "is no mail address"),
        (("add", "ana", "--name", "A", "--email", "a@b.example", "--role", "king"), "not 'out-of-hours'"),
        (("show", "nobody"), "no engineer has the login nobody"),
        (("key", "add", "nobody", "ssh-rsa nonsense"), "not a public key"),
        (("key", "add", "nobody", "no-such-file.pub"), "not a public key"),
        (("key", "add", "nobody", "/" + "x" * 5000), "not a public key"),
        (("key", "add", "nobody", "\x00"), "not a public key"),
    ],
)
def test_what_cannot_be_an_engineer(closed: Closed, words: tuple[str, ...], said: str) -> None:
    assert said in closed.refused("engineer", *words)
    assert closed.json("engineer", "list") == []


def test_a_private_key_is_refused_before_it_leaves_the_terminal(closed: Closed, key: Path) -> None:
    said = closed.refused("engineer", "key", "add", "ana", str(key))
    assert "that is a private key" in said
    assert "PRIVATE" not in said.replace("private", "")


def test_people_of_a_customer(furnished: Closed) -> None:
    contact, approver = "Omar Aziz", "kate@customer.example"
    furnished.ok("contact", "set", BROOK, contact, "--notices", "daily", "--phone", "020 7946 0000")
    (row,) = furnished.json("contact", "list", BROOK)
    assert (row["notices"], row["phone"], row["email"]) == ("daily", "020 7946 0000", "omar@customer.example")
    assert "nothing to change" in furnished.refused("contact", "set", BROOK, contact)
    assert "no mail address" in furnished.refused("contact", "set", BROOK, contact, "--email", "a\r\nBcc: x@y.example")
    assert "not one of" in furnished.refused("contact", "set", BROOK, contact, "--notices", "hourly")
    assert "no contact is called" in furnished.refused("contact", "remove", NORTH, contact)
    furnished.ok("contact", "remove", BROOK, row["id"][:12])
    assert furnished.json("contact", "list", BROOK) == []
    assert furnished.json("approver", "remove", BROOK, approver)["approvers left"] == 0
    assert "no approver is called" in furnished.refused("approver", "remove", BROOK, approver)
    ours = ("approver", "add", BROOK, "--name", "X", "--email", "x@company.example")
    assert "cannot approve" in furnished.refused(*ours)
    assert {"contact.changed", "contact.removed", "approver.removed"} <= set(kinds(furnished, BROOK))
    assert "Kate" not in json.dumps(furnished.json("customer", "show", BROOK)["approvers"])


def test_the_yes_of_a_removed_approver_counts_for_nothing(furnished: Closed) -> None:
    request = asked(furnished)
    furnished.ok("approver", "remove", BROOK, "Kate Brook")
    said = furnished.refused("request", "record-consent", request, "--by", "Kate Brook", "--recorded-by", "Tom")
    assert "no approver of this customer" in said
    assert furnished.json("grant", "list") == []


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ("{", "not JSON (line 1"),
        ("[" * 50_000, "not JSON"),
        ("[]", "the agreement: "),
        ("{}", 'operations: is missing; for example ["find"'),
        ('{"operations": ["fly"]}', "operations.0: "),
        ('{"operations": ["view"], "max_minute": 5}', "max_minute: no such key; did you mean max_minutes?"),
        ('{"operations": ["view"], "zone": "Mars/Base"}', "zone: no such time zone: Mars/Base"),
        ('{"operations": ["view"], "mail_domains": ["@x"]}', 'for example ["customer.example"]'),
        ('{"operations": ["view"], "max_minutes": 99999999}', "max_minutes: "),
        ('{"operations": ["view"], "hours": {"start_minute": 2000}}', "hours.start_minute: "),
    ],
)
def test_an_agreement_that_cannot_be_taken_is_explained(furnished: Closed, terms: str, said: str) -> None:
    assert said in furnished.refused("agreement", "set", BROOK, "-", given=terms)
    assert furnished.json("agreement", "show", BROOK)["version"] == 1


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), (b"\xff\xfe\x00", "is not a file of text")])
def test_a_file_of_terms_that_is_none(closed: Closed, content: bytes | None, said: str) -> None:
    closed.ok("customer", "add", BROOK)
    file = closed.folder / "terms.json"
    if content is not None:
        file.write_bytes(content)
    assert said in closed.refused("agreement", "set", BROOK, str(file))


def test_an_agreement_taken_back_ends_what_it_allowed(furnished: Closed) -> None:
    _, grant = consented(furnished)
    told = furnished.json("agreement", "withdraw", BROOK, "--by", "Kate Brook", "--how", "letter")
    assert told["permissions ended"] == 1
    assert furnished.json("grant", "show", grant)["state"] == "revoked"
    why = furnished.json("explain", "ana", "Head office", "view", "--customer", BROOK)
    assert why["permitted"] is False
    assert "agreement is not confirmed" in why["why"]
    again = furnished.json("agreement", "withdraw", BROOK, "--by", "K", "--how", "x")
    assert (again["state"], again["permissions ended"]) == ("withdrawn before", 0)


def test_what_settings_weaken_stands_where_the_phone_system_is_shown(
    furnished: Closed, key: Path, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("CANARY-cm")
    (tmp_path / "settings.json").write_text('{"ssh": "group1"}')
    furnished.json(
        "system", "add", BROOK, "--name", "Old one", "--connector", "avaya-cm", "--host", "h", "--pin", f"{key}.pub",
        "--login", "frameroom", "--password-file", str(tmp_path / "password"),
        "--settings-file", str(tmp_path / "settings.json"), "--untried",
    )  # fmt: skip
    shown = furnished.json("system", "show", "Old one")
    assert "1024 bits" in shown["WEAKENED"]
    listed = {row["name"]: row["WEAKENED"] for row in furnished.json("system", "list", "--customer", BROOK)}
    assert listed == {"Old one": shown["WEAKENED"], "Head office": ""}
    assert "keeps no addresses" in " ".join(shown["cannot"])
    assert "WEAKENED" not in furnished.json("system", "show", "Head office", "--customer", BROOK)


def test_two_systems_of_one_name(furnished: Closed) -> None:
    said = furnished.refused("system", "show", "Head office")
    assert f"{BROOK}: Head office (sys_" in said
    assert f"{NORTH}: Head office (sys_" in said
    assert "--customer" in said
    told = furnished.json("system", "show", "Head office", "--customer", NORTH)
    assert told["customer"] == NORTH
    assert furnished.json("system", "show", told["id"][:14])["id"] == told["id"]
    assert "no phone system is called" in furnished.refused("system", "show", "Nowhere")
    assert furnished.refused("system", "show", "%" * 12)


def test_a_system_that_cannot_be_added(furnished: Closed, key: Path) -> None:
    given = {
        "--name": "Depot", "--connector": "lab", "--host": "h", "--pin": f"{key}.pub", "--login": "x",
        "--key-file": str(key),
    }  # fmt: skip

    def add(**changed: str | None) -> str:
        options = {**given, **{f"--{name.replace('_', '-')}": value for name, value in changed.items()}}
        words = [word for name, value in options.items() if value is not None for word in (name, value)]
        return furnished.refused("system", "add", BROOK, *words)

    assert "neither a host key line nor a PEM certificate" in add(pin="ssh-ed25519 AAAA")
    assert "ssh-keyscan" in add(pin="a b c")
    assert "it has no key\nGive --key-file." in add(key_file=None)
    (furnished.folder / "secret").write_text("CANARY-secret")
    assert "lab takes no password" in add(password_file=str(furnished.folder / "secret"))
    assert "cisco-cucm takes no key" in add(connector="cisco-cucm", password_file=str(furnished.folder / "secret"))
    assert "cannot be read" in add(key_file="/no/such/file")
    assert "not one of" in add(connector="nonesuch")
    settings = furnished.folder / "settings.json"
    settings.write_text('{"databse": "x"}')
    other = {"connector": "asterisk-realtime", "key_file": None, "password_file": str(furnished.folder / "secret")}
    assert "no such key; did you mean database?" in add(**other, settings_file=str(settings))
    settings.write_text("{")
    assert "the settings cannot be taken" in add(settings_file=str(settings))
    assert len(furnished.json("system", "list")) == 2


def test_a_line_of_ssh_keyscan_is_a_pin(furnished: Closed, key: Path) -> None:
    line = Path(f"{key}.pub").read_text().split()
    furnished.ok(
        "system", "add", BROOK, "--name", "Depot", "--connector", "lab", "--host", "h", "--login", "x", "--key-file",
        str(key), "--pin", f"pbx.customer.example {line[0]} {line[1]}", "--untried",
    )  # fmt: skip
    assert furnished.json("system", "show", "Depot")["pin"] == f"{line[0]} {line[1]}"


def test_a_removed_system_keeps_no_credential_and_frees_its_name(furnished: Closed, key: Path) -> None:
    _, grant = consented(furnished)
    furnished.ok("system", "note", "Head office", "the rack key is at reception", "--customer", BROOK)
    old = furnished.json("system", "show", "Head office", "--customer", BROOK)
    assert old["notes"][0]["text"] == "the rack key is at reception"
    assert old["permissions"][0]["how"] == "by telephone, recorded by Tom Hill"
    stays = furnished.run("system", "remove", "Head office", "--customer", BROOK, given="n\n")
    assert stays.exit_code == 1
    told = furnished.json("system", "remove", "Head office", "--customer", BROOK, "--yes")
    assert (told["state"], told["permissions ended"]) == ("removed", 1)
    assert furnished.json("grant", "show", grant)["state"] == "revoked"
    again = furnished.json("system", "remove", told["id"], "--yes")
    assert (again["state"], again["permissions ended"]) == ("removed before", 0)
    assert furnished.json("system", "show", told["id"])["credential"] == "none"
    assert "out of service" in furnished.refused("system", "check", told["id"], code=1)
    furnished.ok(
        "system", "add", BROOK, "--name", "Head office", "--connector", "lab", "--host", "h2", "--pin", f"{key}.pub",
        "--login", "frameroom", "--key-file", str(key), "--untried",
    )  # fmt: skip
    assert furnished.json("system", "show", "Head office", "--customer", BROOK)["host"] == "h2"
    assert len(furnished.json("system", "list", "--customer", BROOK, "--removed")) == 2
    assert kinds(furnished, BROOK).count("system.removed") == 1

    async def stored(opened: Parts) -> bytes:
        return (await opened.directory.systems_for((await opened.engineers.all())[0].id))[0][1].sealed_credential

    assert inside(furnished, stored) != b""


def test_a_destroyed_credential_is_gone_from_the_file(furnished: Closed, database: tuple[str, str]) -> None:
    if not database[0].startswith("sqlite"):
        pytest.skip("PostgreSQL's own vacuum frees what an update left")
    path = database[0].removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        (sealed,) = connection.execute(
            "select credential from systems join customers on customers.id = customer_id where customers.name = ?",
            (BROOK,),
        ).fetchone()
    furnished.ok("system", "remove", "Head office", "--customer", BROOK, "--yes")
    with sqlite3.connect(path) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    assert sealed not in Path(path).read_bytes()


def test_consent_says_who_said_it_to_whom_and_when(furnished: Closed) -> None:
    request = asked(furnished)
    entry = ("request", "record-consent", request, "--by", "Kate Brook", "--recorded-by")
    assert "cannot have been before the request" in furnished.refused(*entry, "Tom Hill", "--at", "2h ago")
    assert "who of you took the call" in furnished.refused(*entry, " ")
    assert "that is no time" in furnished.refused(*entry, "Tom Hill", "--at", "yesterday")
    nobody = ("request", "record-consent", request, "--by", "Nobody", "--recorded-by", "Tom")
    assert "no approver" in furnished.refused(*nobody)
    given = furnished.json(*entry, "Tom Hill", "--at", "now", "--words", "until five")
    assert given["how"] == "by telephone, recorded by Tom Hill"
    told = furnished.json("request", "show", request[:12])
    (answer,) = told["answers"]
    assert (answer["approver"], answer["how"], answer["words"]) == ("Kate Brook", given["how"], "until five")
    assert told["permissions"] == [{"id": given["grant"], "state": "open", "how": given["how"]}]
    for command in (("grant", "list"), ("grant", "show", given["grant"]), ("engineer", "show", "ana")):
        assert "by telephone, recorded by Tom Hill" in furnished.ok(*command)
    assert "it is granted" in furnished.refused("request", "withdraw", request, code=1).replace("the request", "it")


def test_staff_have_no_other_yes_where_the_agreement_allows_none(furnished: Closed) -> None:
    request = asked(furnished)
    terms = '{"operations": ["view"], "consent_by_phone": false}'
    assert furnished.run("agreement", "set", BROOK, "-", given=terms).exit_code == 0
    furnished.ok("agreement", "confirm", BROOK, "--by", "Kate Brook", "--how", "letter")
    said = furnished.refused(
        "request", "record-consent", request, "--by", "Kate Brook", "--recorded-by", "Tom", code=3
    )  # fmt: skip
    assert "does not allow a yes by telephone" in said
    furnished.ok("request", "withdraw", request)
    assert furnished.json("request", "list", "--state", "withdrawn")[0]["id"] == request
    assert furnished.json("request", "list", "--state", "waiting", "--customer", BROOK) == []


def test_explain_at_another_time(furnished: Closed) -> None:
    consented(furnished)
    ask = ("explain", "ana", "Head office", "view", "--customer", BROOK)
    assert furnished.json(*ask)["permitted"] is True
    later = furnished.json(*ask, "--at", "2099-01-01T12:00Z")
    assert (later["permitted"], later["why"].startswith("The permission has ended")) == (False, True)
    assert "not one of 'find'" in furnished.refused("explain", "ana", "Head office", "fly")
    assert "no engineer has the login" in furnished.refused("explain", "bob", *ask[2:])


def test_what_is_explained_of_an_engineer_names_them(furnished: Closed) -> None:
    furnished.ok("engineer", "add", "bob", "--name", "Bob Hale", "--email", "bob@company.example")
    ask = ("Head office", "view", "--customer", BROOK)
    assert furnished.json("explain", "bob", *ask)["why"] == "The customer's list of engineers does not name Bob Hale."
    assert "The engineer asks with `request`." in furnished.json("explain", "ana", *ask)["why"]


def test_revoking(furnished: Closed) -> None:
    _, grant = consented(furnished)
    assert furnished.json("grant", "revoke", grant[:12], "--reason", "enough")["state"] == "revoked"
    assert "revoked and cannot become" in furnished.refused("grant", "revoke", grant, "--reason", "again", code=1)
    assert "no such permission" in furnished.refused("grant", "revoke", "gra_nothing", "--reason", "x")
    assert [row["id"] for row in furnished.json("grant", "list", "--state", "revoked", "--engineer", "ana")] == [grant]


def test_search_finds_by_every_condition_and_says_that_it_looked(furnished: Closed) -> None:
    _, grant = consented(furnished)
    furnished.ok("grant", "revoke", grant, "--reason", "enough")

    def found(*words: str) -> list[str]:
        return [row["kind"] for row in furnished.json("audit", "search", "--why", "check", *words)]

    of_ticket = ["consent.recorded", "grant.revoked", "request.asked", "request.granted", "request.submitted"]
    assert sorted(found("--ticket", "T-9")) == of_ticket
    assert found("--ticket", "T-10") == []
    assert found("--customer", BROOK, "--kind", "grant.revoked") == ["grant.revoked"]
    assert found("--customer", NORTH, "--kind", "grant.revoked") == []
    assert found("--customer", BROOK, "--system", "Head office", "--outcome", "granted") == ["request.granted"]
    assert found("--customer", BROOK, "--operation", "view") == [
        "agreement.set",
        "request.submitted",
        "request.granted",
    ]
    assert "request.submitted" in found("--customer", BROOK, "--engineer", "ana")
    assert found("--kind", "grant.revoked", "--since", "1h ago", "--until", "now") == ["grant.revoked"]
    assert found("--kind", "grant.revoked", "--until", "1h ago") == []
    rows = furnished.json("audit", "search", "--why", "w", "--customer", BROOK, "--limit", "3")
    more = furnished.json(
        "audit", "search", "--why", "w", "--customer", BROOK, "--limit", "2", "--after", str(rows[0]["cursor"])
    )  # fmt: skip
    assert [row["cursor"] for row in more] == [row["cursor"] for row in rows[1:]]
    looks = furnished.json("audit", "tail", "--customer", BROOK, "--count", "100")
    assert any(row["kind"] == "looked.audit" and "why=check" in row["told"] for row in looks)
    assert "--why" in furnished.refused("audit", "search", "--customer", BROOK)
    assert "no such visit" in furnished.refused("audit", "search", "--why", "x", "--session", "ses_none")


def test_verify_names_the_first_fault_and_checks_what_somebody_kept(furnished: Closed, tmp_path: Path) -> None:
    assert furnished.json("audit", "verify")["ok"] is True
    customer = furnished.json("customer", "show", BROOK)
    note = (furnished.folder / "data" / "objects" / "log" / customer["id"] / "checkpoint").read_text()
    kept = tmp_path / "mail.txt"
    kept.write_text(f"Dear Kate,\r\nthis is your checkpoint:\r\n\r\n{note}\r\nKind regards\r\n")
    report = furnished.json("audit", "verify", "--customer", BROOK, "--held", str(kept))
    assert (report["ok"], report["logs"], report["held"]) == (True, 1, 1)
    origin, size, root, *rest = note.split("\n")
    longer = tmp_path / "longer.txt"
    longer.write_text("\n".join([origin, str(int(size) + 1), root, *rest]))
    done = furnished.run("audit", "verify", "--held", str(longer))
    assert done.exit_code == 1
    assert "checkpoint outside the database does not hold" in done.stdout
    other = tmp_path / "other.txt"
    other.write_text(note.replace(customer["id"], "cus_gone"))
    gone = furnished.run("audit", "verify", "--held", str(other))
    assert gone.exit_code == 1
    assert "it is not here" in gone.stdout
    kept.write_text("Dear Kate,\n")
    assert "no checkpoint in the file" in furnished.refused("audit", "verify", "--held", str(kept))
    assert "no customer is called" in furnished.refused("audit", "verify", "--customer", "Nobody")
