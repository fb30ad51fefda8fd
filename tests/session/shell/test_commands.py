"""One command a connection, as scripts use them: answers, refusals, exit codes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from gateway.cli.demo import CUSTOMER, Demo, permit
from gateway.cli.story import Master
from gateway.model import MINUTE
from gateway.store.tables import systems
from tests.session.shell.conftest import BOTH, by_backup_code

EVERYTHING = "find,view,alter,remove,reset-voicemail,reset-sip,diag"


def person(demo: Demo) -> dict[str, Any]:
    """Grace, as the phone system has her."""
    found = demo.lab.store.get("2001")
    assert found is not None
    return found


async def test_every_command_has_an_example_and_takes_json(demo: Demo, ssh: Master) -> None:
    listed = await ssh.run("help --json")
    for row in json.loads(listed.out):
        told = json.loads((await ssh.run(f"help {row['command']} --json")).out)[0]
        assert told["command"].startswith(row["command"])
        assert told["example"].split("·")[0].removeprefix("ssh gw ").startswith(row["command"]), row
    assert (await ssh.run("help")).err.startswith("For example: reset 2001 voicemail")
    assert "For example: reset 2001 voicemail" in (await ssh.run("help reset")).out
    for command in ("whoami", "systems", "use 'Head office'", "requests", "grants", "note", "handover", "diag"):
        done = await ssh.run(f"{command} --json")
        assert done.code == 0, done.err
        assert isinstance(json.loads(done.out), list)
    await permit(demo, EVERYTHING)
    for command in ("find smith", "show 2001", "set 2001 name=Grace", "changes", "diag core show version"):
        done = await ssh.run(f"{command} --json")
        assert done.code == 0, done.err
        assert json.loads(done.out)


async def test_everyone_is_one_json_array_over_several_pages(
    demo: Demo, ssh: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.session.commands.people.PAGE", 7)
    terms = {"operations": ["list-all", "view"], "mail_domains": [], "consent_by_phone": True}
    await demo.admin("agreement set", customer="Brook & Sons", terms=terms)
    await demo.admin("agreement confirm", customer="Brook & Sons", by="Kate Brook", how="letter")
    await permit(demo, "list-all")
    assert len(json.loads((await ssh.run("users --json")).out)) == 40
    table = (await ssh.run("users")).out
    assert table.count("EXTENSION") == 1
    assert len(table.splitlines()) == 41


async def test_what_weakens_the_way_to_a_phone_system_is_said_wherever_it_is_shown(demo: Demo, ssh: Master) -> None:
    old = {"connector": "avaya-cm", "settings": json.dumps({"ssh": "group1"})}
    for command in ("systems", "use 'Head office'"):
        assert "weaker than usual" not in (await ssh.run(command)).err
    async with demo.app.parts.store.everyone() as scope:
        await scope.execute(update(systems).values(**old))
    for command in ("systems", "use 'Head office'"):
        assert "Head office is weaker than usual: very old SSH (profile group1)" in (await ssh.run(command)).err


async def test_systems_are_found_by_whatever_is_known_of_them(demo: Demo, ssh: Master) -> None:
    for words in ("brook", "LEEDS", "head leeds"):
        assert json.loads((await ssh.run(f"systems {words} --json")).out)[0]["system"] == "Head office", words
    none = await ssh.run("systems glasgow")
    assert (none.code, none.out) == (0, "")
    assert "No phone system matches" in none.err


@pytest.mark.parametrize(
    "typed", ["020 7946 0001", "'020 7946 0001'", "02079460001", "'(020) 7946-0001'", "'+44 (0)20 7946 0001'",
              "0044 20 7946 0001", "442079460001", "7946 0001"],
)  # fmt: skip
async def test_a_number_is_found_however_it_is_typed(demo: Demo, ssh: Master, typed: str) -> None:
    await permit(demo, EVERYTHING)
    assert [row["extension"] for row in json.loads((await ssh.run(f"find {typed} --json")).out)] == ["2002"]


async def test_an_extension_as_long_as_a_number_is_no_number(demo: Demo, ssh: Master) -> None:
    """Not what +44… would make of it; and where it is one person's extension and another's number, nobody is meant."""
    grace = demo.lab.store._people["2001"]
    demo.lab.store._people |= {
        one: {**grace, "id": one, "extension": one, "ddis": []} for one in ("2001234", "99999999")
    }
    await permit(demo, EVERYTHING)
    for extension in ("2001234", "99999999"):
        shown = await ssh.run(f"show {extension} --json")
        assert [row["extension"] for row in json.loads(shown.out)] == [extension], shown.err
    demo.lab.store._people["442079460001"] = {**grace, "id": "x", "extension": "442079460001", "ddis": []}
    several = await ssh.run("remove 442079460001 --yes")
    assert several.code != 0
    assert {"2002", "442079460001"} <= set(several.err.split())
    begun = json.loads((await ssh.run("find 020 7946 003 --json")).out)
    assert {row["ddi"][:12] for row in begun} == {"+44207946003"}


@BOTH
async def test_changes_are_numbered_and_undone_only_while_they_stand(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    assert "Nothing was changed" in (await ssh.run("changes")).err
    told = (await ssh.run('set 2001 name="Grace Bell" ddi="020 7946 0900"')).err
    assert "name: Grace Okonkwo → Grace Bell" in told
    assert "This is told to the approvers at once." in told
    await ssh.run("reset 2002 voicemail --yes")
    await ssh.run("remove 2003 --yes")
    listed = json.loads((await ssh.run("changes --json")).out)
    assert [(row["n"], row["user"], row["what"]) for row in listed] == [
        (1, "2001", "set"), (2, "2002", "reset voicemail"), (3, "2003", "removed"),
    ]  # fmt: skip
    assert listed[0]["from"] == "name: Grace Okonkwo; ddi: +442079460000"
    assert listed[0]["to"] == "name: Grace Bell; ddi: +442079460900"
    assert "London" in (await ssh.run("changes")).out
    assert "nobody knows the old password" in (await ssh.run("undo 2 --yes")).err
    assert "does not add users" in (await ssh.run("undo 3 --yes")).err
    assert (await ssh.run("undo 9 --yes")).code == 2
    assert (await ssh.run("undo 1")).code == 2, "without --yes nothing may be written from a script"
    assert person(demo)["name"] == "Grace Bell"
    assert (await ssh.run("undo 1 --yes")).code == 0
    back = person(demo)
    assert (back["name"], back["ddis"]) == ("Grace Okonkwo", ["+442079460000"])
    again = await ssh.run("undo 1 --yes")
    assert again.code == 4
    assert "changed since" in again.err


async def test_what_undo_shows_is_the_person_of_today(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    await ssh.run('set 2001 ddi="020 7946 0900"')
    await ssh.run('set 2001 name="Grace Bell"')
    shown = await ssh.run("undo 1 --yes")
    assert shown.code == 0, shown.err
    assert shown.err.startswith("Grace Bell (extension 2001):\n  ddi: 020 7946 0900 → 020 7946 0000"), shown.err
    assert person(demo)["name"] == "Grace Bell"


async def test_changes_of_another_permission_are_not_shown(demo: Demo, ssh: Master) -> None:
    grant = await permit(demo, EVERYTHING)
    await ssh.run('set 2001 name="Grace Bell"')
    await demo.admin("grant revoke", grant=grant, reason="enough")
    assert (await ssh.run("changes")).code == 3
    await permit(demo, "view")
    assert "Nothing was changed" in (await ssh.run("changes")).err


@BOTH
async def test_notes_and_handover_tell_the_next_shift(demo: Demo, ssh: Master) -> None:
    assert (await ssh.run("note 'Mailbox 2001 is full'")).code == 0
    assert "Mailbox 2001 is full" in (await ssh.run("note")).out
    await ssh.run('request "Head office" --ops view --ticket T-9 --reason "phones are dead"')
    await permit(demo, EVERYTHING)
    demo.lab.faults.add("close-after-write")
    assert (await ssh.run("set 2001 name=Lost")).code == 5
    demo.lab.faults.clear()
    told = json.loads((await ssh.run("handover --json")).out)
    assert {row["what"] for row in told} == {"note", "waiting request", "unknown outcome", "open visit"}
    assert any("phones are dead" in row["about"] for row in told)
    rows = await demo.admin("audit tail", customer="Brook & Sons", count=50, why="test")
    (written,) = [row for row in rows if row["kind"] == "note.written"]
    assert "Mailbox" in written["told"]


async def test_a_telephone_reset_shows_what_drops_and_wants_it_said(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    demo.lab.store.register("2001", "192.0.2.7:5060", 3600)
    before = demo.lab.store.sip_secret("2001")
    refused = await ssh.run("reset 2001 sip --yes")
    assert refused.code == 2
    assert "Registered now: 192.0.2.7:5060" in refused.err
    assert "--phones-will-drop" in refused.err
    assert demo.lab.store.sip_secret("2001") == before
    assert (await ssh.run("reset 2001 sip --yes --phones-will-drop")).code == 0
    assert demo.lab.store.sip_secret("2001") != before


@BOTH
async def test_request_wait_ends_with_the_answer(demo: Demo, ssh: Master) -> None:
    process = await ssh.start_process('request "Head office" --ops view --ticket T --reason "why" --wait')
    assert process.stderr is not None
    assert await process.stderr.readline() == b"Asked: Kate Brook.\n"  # and Omar, when she does not answer
    await process.stderr.readline()
    (request,) = [r["id"] for r in await demo.admin("request list") if r["state"] == "waiting"]
    await demo.admin(
        "request record-consent", request=request, by="Omar Aziz", recorded_by="x", at_ms=None, words="yes"
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"granted" in out


@BOTH
@pytest.mark.parametrize("ends", ["expired", "withdrawn"])
async def test_request_wait_ends_when_nobody_answers_or_it_is_taken_back(demo: Demo, ssh: Master, ends: str) -> None:
    process = await ssh.start_process('request "Head office" --ops view --for 1h --ticket T --reason "why" --wait')
    assert process.stderr is not None
    await process.stderr.readline()
    assert b"Waiting for the customer's answer" in await process.stderr.readline()
    (request,) = [r["id"] for r in await demo.admin("request list") if r["state"] == "waiting"]
    if ends == "withdrawn":
        await demo.admin("request withdraw", request=request)
    else:
        clock = demo.app.parts.audit.clock
        clock.observe(clock.now() + 61 * MINUTE)
    out, err = (text.decode() for text in await process.communicate())
    assert process.returncode == 3, err
    assert ends in out
    words = {"expired": "nobody answered in time", "withdrawn": "was taken back"}[ends]
    assert words in err
    assert "Ask again with `request`" in err
    assert (await ssh.run("show 2001")).code == 3, "nothing is permitted by it"


async def test_systems_come_with_the_last_visited_first(demo: Demo, ssh: Master) -> None:
    pin = demo.lab.host_key
    for name in ("Annexe", "Zoo"):
        await demo.admin(
            "system add", customer=CUSTOMER, name=name, connector="lab", host="127.0.0.1", port=demo.lab.ssh_port,
            pin=pin, login="frameroom", password=None, private_key=demo.lab.client_key, settings="{}",
            site="", town="", postcode="", asset="", ddi_range="",
        )  # fmt: skip

    async def listed() -> list[str]:
        return [row["system"] for row in json.loads((await ssh.run("systems --json")).out)]

    assert await listed() == ["Annexe", "Head office", "Zoo"]
    await permit(demo, "view")
    assert (await ssh.run("show 2001 --system 'Head office'")).code == 0
    assert await listed() == ["Head office", "Annexe", "Zoo"]
    await permit(demo, "view", system="Zoo")
    assert (await ssh.run("show 2001 --system Zoo")).code == 0
    assert await listed() == ["Zoo", "Head office", "Annexe"]


async def test_times_are_the_customers(demo: Demo, ssh: Master) -> None:
    terms = {"operations": ["view"], "zone": "Asia/Tokyo", "consent_by_phone": True}
    await demo.admin("agreement set", customer="Brook & Sons", terms=terms)
    await demo.admin("agreement confirm", customer="Brook & Sons", by="Kate Brook", how="letter")
    await permit(demo, "view")
    await ssh.run("note 'Mailbox 2001 is full'")
    for command, name in (("grants", "until"), ("requests", "asked"), ("note", "when"), ("handover", "when")):
        assert "Tokyo" in (await ssh.run(command)).out
        (row, *_) = json.loads((await ssh.run(f"{command} --json")).out)
        at = datetime.fromisoformat(row[name])
        assert abs(at - datetime.now(UTC)) < timedelta(days=1), "a program is told the year and the offset too"


# fmt: off
BAD = [
    ("use nowhere", 2, "no such phone system"),
    ("use ''", 2, "Say which phone system"),
    ("show nobody-of-that-name", 2, "Nobody matches"),
    ("show", 2, "Say whom"),
    ("set 2001 email=nobody", 2, "no mail address"),
    ("set 2001 ddi=020-CALL-ME", 2, "not a telephone number"),
    ("set 2001 name=", 2, "cannot be empty"),
    ("set 2001 name='a\x1b[31mb'", 2, "control characters"),
    ("set 2001 ddi=020 7946 0900", 2, "quotation marks"),
    ("set 2001 name=Grace Bell email=g@customer.example", 2, "quotation marks"),
    ("set 2001 nom=Grace", 2, "is not name="),
    ("set 2001", 2, "Say what to set"),
    ("show \"2001", 2, "quotation mark"),
    ("reset 2001 everything", 2, "voicemail"),
    ("reset 2001 voicemail --hard", 2, "--hard is not an option"),
    ("undo first", 2, "undo N"),
    ("users smith", 2, "users takes no words"), ("whoami --jsn", 2, "takes no words"), ("grants 2001", 2, "no words"),
    ("show 2001 --jsn", 2, "--jsn is not an option"), ("find --all grace", 2, "--all is not an option"),
    ("systems --recent", 2, "--recent is not an option"), ("note --list", 2, "--list is not an option"),
    ("use 'Head office' --wait", 2, "--wait is not an option"),
    ("apply changes.csv", 2, "ssh gw apply - < changes.csv"),
    ("shwo 2001", 2, "Did you mean `show`"),
    ("request 'Head office' --ops fly --reason x", 2, "not an operation"),
    ("request 'Head office' --for ever --reason x", 2, "no duration"),
    ("request 'Head office' --reason", 2, "needs a value"),
    (f"show {'x' * 20_000}", 2, "too long"),
    (f"show {'x' * 300}", 2, "longer than"),
]
# fmt: on


async def test_bad_input_gets_words_and_the_right_code(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    for command, code, words in BAD:
        done = await ssh.run(command)
        assert (done.code, done.out) == (code, ""), (command[:60], done.err)
        assert words in done.err, command[:60]
        assert "Traceback" not in done.err
        assert "\x1b" not in done.err


async def test_a_command_of_ten_megabytes_is_refused_in_words_and_its_connection_lives_on(
    demo: Demo, ssh: Master
) -> None:
    connection = await by_backup_code(demo)
    process = await connection.create_process("whoami")
    assert "Ana Silva" in str(await process.stdout.read())
    for letter in ("x", "\u96fb"):
        done = await connection.run("show " + letter * ((10 << 20) // len(letter.encode())))
        assert (done.exit_status, done.stdout) == (2, "")
        assert "at most 16,384 characters" in str(done.stderr)
    assert (await connection.run("whoami")).exit_status == 0
    # The longest argument that Linux lets anybody give to ssh.
    done = await ssh.run("show " + "x" * 130_000)
    assert done.code == 2
    assert "too long" in done.err


# fmt: off
EMPTY = [
    ("", "say a command"), ("   ", "say a command"), ("--json", "say a command"), ("''", "not a command"),
    ("help ''", "not a command"), ("use ''", "Say which phone system"), ("find ''", "Say what to look for"),
    ("show ''", "Say whom"), ("set '' name=Grace", "Say whom"), ("set 2001 ''", "Say what to set"),
    ("remove '' --yes", "Say whom"), ("reset '' voicemail --yes", "Say whom"), ("reset 2001 ''", "voicemail"),
    ("undo ''", "undo N"), ("note ''", "A note has words"), ("apply ''", "ssh gw apply - <"),
    ("request '' --reason r --ticket T", "Say which phone system"), ("--system '' show 2001", "Say which phone system"),
]
# fmt: on


async def test_an_empty_argument_is_named_and_means_nobody(demo: Demo) -> None:
    # Reception has no mail address: an empty one must not be theirs.
    await permit(demo, EVERYTHING)
    before = {number: demo.lab.store.get(str(number)) for number in range(2001, 2041)}
    connection = await by_backup_code(demo)
    for command, words in EMPTY:
        done = await connection.run(command)
        assert (done.exit_status, done.stdout) == (2, ""), (command, done.stderr)
        assert words in str(done.stderr), command
    assert {number: demo.lab.store.get(str(number)) for number in range(2001, 2041)} == before
    connection.close()


async def test_a_command_that_is_no_utf8_is_refused_in_words(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    done = await ssh.run(b"show \xff\xfe".decode("utf-8", "surrogateescape"))
    assert done.code == 2
    assert "not UTF-8" in done.err


async def test_hostile_text_from_the_phone_system_stays_text(demo: Demo, ssh: Master) -> None:
    await permit(demo, EVERYTHING)
    demo.lab.store.alter("2001", {"name": "Eve\x1b]0;owned\x07\u202e\x9b31m"})
    for command in ("show 2001", "find eve", "show 2001 --json", "remove 2001"):
        done = await ssh.run(command)
        for bad in ("\x1b", "\x07", "\u202e", "\x9b"):
            assert bad not in done.out + done.err, command
    assert json.loads((await ssh.run("show 2001 --json")).out)[0]["name"].startswith("Eve\x1b")
