"""`frameroom channel …`, and of `approver …` and `contact …` what says who is asked and told how."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from typing import Any, Final

import click

from gateway.choices import EXPORTS, NOTICES, STANDINGS
from gateway.cli.calling import run, simple
from gateway.cli.render import show
from gateway.cli.times import TimeError, parse
from gateway.cli.words import FILE_TEXT, Group, argument, as_json, command, may, option

_RISKY: Final = ("=", "-", "@", "\t", "\r")


class Day(click.ParamType[str]):
    """A day: 2026-12-24, or '24 Dec'."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Or a usage error."""
        now = datetime.now(UTC).astimezone()
        try:
            at = datetime.fromtimestamp(parse(str(value), now.timestamp()) / 1000, UTC).astimezone()
        except TimeError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if len(str(value).split(":")) > 1:
            self.fail(f"{value!r} is a time; write a day, like 2026-12-24 or '24 Dec'", param, ctx)
        return at.date().isoformat()


DAY: Final = Day()


def register(main: click.Group) -> None:
    """Add the commands; those of `approver` and `contact` to the groups that are there."""
    _channels(main)
    approver, contact = main.commands["approver"], main.commands["contact"]
    assert isinstance(approver, click.Group)  # noqa: S101 - people.py made them
    assert isinstance(contact, click.Group)  # noqa: S101
    _approvers(approver)
    command(
        contact, "export",
        "Who may be sent notices of a kind. Marketing leaves out whoever opted out; operational and pricing notices "
        "leave nobody out for that. The customer's log tells of it.",
        "contact export --for marketing --csv > mailing.csv", _export,
        click.Argument(["customer"], required=False),
        click.Option(["--for", "kind"], type=click.Choice(EXPORTS), help="Without it: everybody, opt-outs marked."),
        may("standing", type=click.Choice(STANDINGS), help="Only these. For what must be told: current, by default."),
        click.Option(["--csv", "as_csv"], is_flag=True, help="A CSV file on standard output."),
    )  # fmt: skip


def _export(customer: str | None, kind: str | None, standing: str | None, as_csv: bool) -> None:
    context = click.get_current_context()
    rows = run(context, "contact export", customer=customer, kind=kind, standing=standing)
    if not as_csv or as_json():
        show(rows, as_json())
        return
    names = ["customer", "name", "position", "email", "phone", "mobile", "notices", "standing", "marketing opt-out",
             "opted out"]  # fmt: skip
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(str(row[name])) for name in names})


def _cell(text: str) -> str:
    """What a spreadsheet would run as a formula stays text; +44… is a number to it, and harmless."""
    risky = text.startswith(_RISKY) or (text.startswith("+") and not text[1:].replace(" ", "").isdigit())
    return f"'{text}" if risky else text


def _channels(main: click.Group) -> None:
    channel = Group("channel", help="Ways to reach people beside mail: texts, Teams, Slack, webhooks.")
    main.add_command(channel)
    simple(
        channel, "add",
        "Give an approver or a contact one. ADDRESS is a file (- is standard input) with a telephone number, the "
        "address of a Teams or Slack webhook, or any apprise URL that telling.schemes allows. It is a secret: sealed, "
        "and never shown again. What goes there says who waits, and nothing more.",
        "channel add 'Brook & Sons' 'Kate Brook' - --name 'Kate, mobile'",
        argument("customer"), argument("person"), argument("address", type=FILE_TEXT),
        option("name", help="What it is called in lists."),
        may("as", type=click.Choice(["approver", "contact"]), help="Where somebody is both (default: approver)."),
        call="channel add", change=lambda g: g | {"address": g["address"].strip(), "kind": g.pop("as")},
    )  # fmt: skip
    simple(
        channel, "list", "A customer's, or one person's; never where they lead.", "channel list 'Brook & Sons'",
        argument("customer"), click.Argument(["person"], required=False), call="channel list",
    )  # fmt: skip
    simple(
        channel, "test", "Send a line there now. Exit code 1 when the service did not take it.",
        "channel test 'Brook & Sons' 'Kate, mobile'", argument("customer"), argument("channel"), call="channel test",
    )  # fmt: skip
    simple(
        channel, "remove", "Nothing goes there any more.", "channel remove 'Brook & Sons' 'Kate, mobile'",
        argument("customer"), argument("channel"), call="channel remove",
    )  # fmt: skip


def _approvers(approver: click.Group) -> None:
    who = (argument("customer"), argument("approver"))
    simple(
        approver, "show", "One: how they are reached, their turn, deputy, absences and keys.",
        "approver show 'Brook & Sons' 'Kate Brook'", *who, call="approver show",
    )  # fmt: skip
    simple(
        approver, "order",
        "In which turn approvers are asked: the first, then, unanswered, the next. With --together those named (or "
        "all) are asked at once. Whoever is not named comes after them.",
        "approver order 'Brook & Sons' 'Omar Aziz' 'Kate Brook'", argument("customer"),
        argument("approver", nargs=-1, required=False), click.Option(["--together"], is_flag=True),
        call="approver order", change=lambda g: g | {"approver": list(g["approver"])},
    )  # fmt: skip
    simple(
        approver, "deputy", "Who stands in for one: another approver, or with no DEPUTY nobody.",
        "approver deputy 'Brook & Sons' 'Kate Brook' 'Omar Aziz'", *who,
        click.Argument(["deputy"], required=False), call="approver deputy",
    )  # fmt: skip
    simple(
        approver, "away", "Away from one day to another, both included, by the customer's clock: the deputy is asked.",
        "approver away 'Brook & Sons' 'Kate Brook' --from 2026-12-24 --until 2027-01-02 --deputy 'Omar Aziz'", *who,
        option("from", type=DAY), option("until", type=DAY), may("deputy", help="Who stands in for this time."),
        call="approver away", change=lambda g: {"first": g.pop("from"), "last": g.pop("until"), **g},
    )  # fmt: skip
    simple(
        approver, "back", "There again: every absence of theirs ends.", "approver back 'Brook & Sons' 'Kate Brook'",
        *who, call="approver back",
    )  # fmt: skip
    simple(
        approver, "notices", "Of which visits one is told by mail. What they are asked reaches them all the same.",
        "approver notices 'Brook & Sons' 'Kate Brook' changes", *who,
        argument("notices", type=click.Choice(NOTICES)), call="approver notices",
    )  # fmt: skip
