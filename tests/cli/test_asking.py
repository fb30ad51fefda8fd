"""Who is asked and told how, as an operator types it, on each database: no address of a channel is ever shown."""

from __future__ import annotations

import csv
import io

import pytest

from tests.cli.conftest import BROOK, Closed

SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def people(furnished: Closed) -> Closed:
    furnished.ok("approver", "add", BROOK, "--name", "Zoe Lane", "--email", "zoe@customer.example")
    return furnished


def names(closed: Closed) -> list[str]:
    return [row["name"] for row in closed.json("approver", "list", BROOK)]


def test_turns_deputies_and_absences(people: Closed) -> None:
    first = names(people)[0]
    people.ok("approver", "order", BROOK, "Zoe Lane")
    assert names(people)[0] == "Zoe Lane"
    shown = people.json("approver", "deputy", BROOK, "Zoe Lane", first)
    assert (shown["turn"], shown["deputy"]) == (1, first)
    away = people.json("approver", "away", BROOK, "Zoe Lane", "--from", "2027-12-24", "--until", "2028-01-02")
    assert away["away"] == ["Friday 24 December 2027 to Sunday 2 January 2028"]
    assert people.json("approver", "back", BROOK, "Zoe Lane")["away"] == []
    assert {row["turn"] for row in people.json("approver", "order", BROOK, "--together")} == {1}
    assert people.json("approver", "notices", BROOK, "Zoe Lane", "daily")["told of visits"] == "daily"


@pytest.mark.parametrize(
    "words",
    [
        ("approver", "deputy", BROOK, "Zoe Lane", "Zoe Lane"),
        ("approver", "deputy", BROOK, "Zoe Lane", "Nobody"),
        ("approver", "away", BROOK, "Zoe Lane", "--from", "2027-12-24", "--until", "2027-12-20"),
        ("approver", "away", BROOK, "Zoe Lane", "--from", "2027-12-24 10:00", "--until", "2027-12-25"),
        ("approver", "away", BROOK, "Zoe Lane", "--from", "someday", "--until", "2027-12-25"),
        ("approver", "back", BROOK, "Zoe Lane"),
        ("approver", "order", BROOK, "Zoe Lane", "Zoe Lane"),
        ("channel", "test", BROOK, "none"),
        ("channel", "add", BROOK, "Nobody", "-", "--name", "x"),
        ("contact", "export", "--for", "fun"),
    ],
)
def test_what_cannot_be_says_why(people: Closed, words: tuple[str, ...]) -> None:
    done = people.run(*words, given="07700 900123")
    assert done.exit_code in {1, 2}
    assert done.stderr


def test_a_channel_is_given_by_standard_input_and_never_shown(people: Closed) -> None:
    added = people.run("channel", "add", BROOK, "Zoe Lane", "-", "--name", "Our Slack", "--json", given=SLACK + "\n")
    assert added.exit_code == 0, added.output
    everything = added.output
    for words in (("channel", "list", BROOK), ("channel", "list", BROOK, "Zoe Lane"), ("approver", "show", BROOK,
                  "Zoe Lane")):  # fmt: skip
        everything += people.ok(*words)
    assert "Slack" in everything
    assert "TIiajkdn" not in everything
    refused = people.refused("channel", "add", BROOK, "Zoe Lane", "-", "--name", "x", code=2, given="json://10.0.0.1/x")
    assert "not allowed here" in refused
    assert "07700" not in people.refused("channel", "add", BROOK, "Zoe Lane", "-", "--name", "m", given="07700 900123")
    people.ok("channel", "remove", BROOK, "Our Slack")
    assert people.json("channel", "list", BROOK) == []


def test_an_export_heeds_the_opt_out_for_marketing_alone(people: Closed) -> None:
    people.ok("contact", "add", BROOK, "--name", "=Pat()", "--email", "pat@customer.example", "--no-marketing",
              "--mobile", "+44 7700 900123")  # fmt: skip
    people.ok("contact", "add", BROOK, "--name", "Old", "--email", "old@customer.example", "--standing", "former")

    def exported(*words: str) -> set[str]:
        return {row["email"].split("@")[0] for row in people.json("contact", "export", BROOK, *words)}

    assert "pat" not in exported("--for", "marketing")
    assert "old" in exported("--for", "marketing")
    for kind in ("pricing", "operational"):
        assert "pat" in exported("--for", kind)
        assert "old" not in exported("--for", kind)
    assert {"pat", "old"} <= exported()
    assert exported("--standing", "former") == {"old"}
    rows = list(csv.DictReader(io.StringIO(people.ok("contact", "export", BROOK, "--csv"))))
    pat = next(row for row in rows if row["email"] == "pat@customer.example")
    assert (pat["name"], pat["mobile"], pat["marketing opt-out"]) == ("'=Pat()", "+44 7700 900123", "yes")
    assert pat["opted out"]
    people.ok("contact", "set", BROOK, "pat@customer.example", "--marketing")
    assert "pat" in exported("--for", "marketing")
    found = people.json("audit", "search", "--customer", BROOK, "--kind", "contacts.exported", "--why", "a test")
    assert len(found) >= 8
