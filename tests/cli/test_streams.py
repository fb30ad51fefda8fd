"""The end of the log on the command line, from a cursor on and in other forms; receivers in the configuration."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import BROOK, Closed
from tests.connectors.asterisk.conftest import certificate

_RECEIVER = '[[streams.receivers]]\nname = "siem"\nhost = "siem.example"\n'


def add(closed: Closed, text: str) -> None:
    closed.config.write_text(closed.config.read_text() + text)


def test_whoever_stopped_reading_goes_on_there(furnished: Closed) -> None:
    first = furnished.json("audit", "tail", "--customer", BROOK, "--after", "-1")
    assert [row["index"] for row in first] == list(range(len(first)))
    assert first[-1]["kind"] == "looked.audit"
    later = furnished.json("audit", "tail", "--customer", BROOK, "--after", str(first[-1]["index"]))
    assert [(row["index"], row["kind"]) for row in later] == [(len(first), "looked.audit")]
    lines = furnished.ok("audit", "tail", "--customer", BROOK, "--after", "-1", "--format", "json").splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(len(first) + 2))
    assert "Kate Brook" in "".join(lines)
    furnished.refused("audit", "tail", "--after", "-2")
    assert "say why you look" in furnished.refused("audit", "tail", "--why", " ")
    furnished.refused("audit", "tail", "--format", "xml")


def test_ocsf_tells_nobodys_name(furnished: Closed) -> None:
    for more in ((), ("--after", "-1")):
        lines = furnished.ok("audit", "tail", "--customer", BROOK, "--format", "ocsf", *more).splitlines()
        events = [json.loads(line) for line in lines]
        assert {event["metadata"]["version"] for event in events} == {"1.5.0"}
        assert 3001 in {event["class_uid"] for event in events}
        assert "Kate" not in "".join(lines)
        assert BROOK not in "".join(lines)


def test_receivers_are_checked_before_anything_serves(furnished: Closed) -> None:
    assert "No receiver is named" in furnished.run("audit", "streams").stderr
    assert furnished.json("audit", "streams") == []
    text = furnished.config.read_text()
    pem = Path(furnished.folder / "ca.pem")
    pem.write_text(certificate()[0])
    for wrong, told in (
        ('kinds = ["sesion.*"]\n', "no kind of event is like"), ('ca_file = "frameroom.toml"\n', "no PEM file"),
        ('pin = "AB:CD"\n', "sha-256:"), ('ca_file = "none.pem"\n', "cannot be read"),
        ('certificate = "ca.pem"\n', "go together"),
    ):  # fmt: skip
        furnished.config.write_text(text + _RECEIVER + wrong)
        done = furnished.run("config", "check")
        assert done.exit_code == 2, (wrong, done.output)
        assert told in done.stderr
    furnished.config.write_text(text + _RECEIVER + 'ca_file = "ca.pem"\nkinds = ["session.*"]\n')
    assert "in order" in furnished.ok("config", "check")
    (row,) = furnished.json("audit", "streams")
    assert (row["receiver"], row["connected"]) == ("siem", False)
    assert "siem.example" in furnished.ok("config", "show")


def test_the_login_record_is_told_of(furnished: Closed) -> None:
    shown = furnished.json("system", "show", "Head office", "--customer", BROOK)
    assert any("not looked at yet" in words for words in shown["login record"])
    checked = furnished.run("system", "check", "Head office", "--customer", BROOK, "--json")
    assert checked.exit_code == 1
    assert [row["what"] for row in json.loads(checked.stdout)] == ["unreachable"]
    connectors = furnished.json("connectors")
    assert all(row["login record"] for row in connectors if row["connector"] in {"lab", "asterisk-realtime"})
