"""`frameroom request …`, `grant …`, `access …`, `console …`, `explain`."""

from __future__ import annotations

from typing import Any

import click

from connectors.operations import Operation
from gateway.choices import AccessMode
from gateway.cli.calling import simple
from gateway.cli.places import whose
from gateway.cli.times import EXAMPLES, WHEN
from gateway.cli.words import Group, argument, may, option
from gateway.lifecycle import GrantState, RequestState


def limit() -> click.Option:
    """--limit of a list."""
    return option("limit", type=click.IntRange(1, 10_000), default=200, show_default=True)


def _at(given: dict[str, Any]) -> dict[str, Any]:
    at = given.pop("at")
    return given | {"at_ms": at}


def _access(given: dict[str, Any]) -> dict[str, Any]:
    until, hours = given.pop("until"), given.pop("hours")
    return given | {"until_ms": until, "hours": list(hours)}


def register(main: click.Group) -> None:
    """Add the commands."""
    request = Group("request", help="What engineers ask for.")
    grant = Group("grant", help="Permissions that customers gave.")
    access = Group("access", help="The customer's own switch, above every permission.")
    console = Group("console", help="What may be typed at a phone system's prompt.")
    for made in (request, grant, access, console):
        main.add_command(made)
    _requests(request)
    _grants(grant)
    _switch(access)
    _console(console)
    simple(
        main, "explain", "May ENGINEER do OPERATION on SYSTEM, and why (not). Every question that is asked is shown.",
        "explain ana 'Head office' reset-voicemail --at '26 Nov 09:00'", argument("engineer"), argument("system"),
        argument("operation", type=click.Choice([operation.value for operation in Operation])), whose(),
        may("at", type=WHEN, help=f"As it would be then. {EXAMPLES}."),
        may("command", help="Of the console's commands, this one: a name as `console list` shows it."),
        call="explain", change=_at,
    )  # fmt: skip


def _requests(request: click.Group) -> None:
    simple(
        request, "list", "Newest first.", "request list --state waiting", may("customer"),
        may("state", type=click.Choice([state.value for state in RequestState])), limit(), call="request list",
    )  # fmt: skip
    simple(
        request, "show", "One: what was asked, who said yes to whom and when, what came of it.",
        "request show req_1f0c", argument("request"), call="request show",
    )  # fmt: skip
    simple(
        request, "record-consent",
        "Enter a yes given by telephone. It is labelled so for good, and mailed to all of the customer's approvers. "
        "The customer's agreement has to allow it.",
        "request record-consent req_1f0c --by 'Kate Brook' --recorded-by 'Tom Hill' --at '25 Nov 14:00' "
        "--words 'yes, until five'",
        argument("request"), option("by", help="The approver who said yes: name, address or id."),
        option("recorded-by", help="Who of you took the call."), option("words", default="", help="What was said."),
        may("at", type=WHEN, help=f"When (default: now). {EXAMPLES}."), call="request record-consent", change=_at,
    )  # fmt: skip
    simple(
        request, "withdraw", "Take a waiting one back.", "request withdraw req_1f0c", argument("request"),
        call="request withdraw",
    )  # fmt: skip


def _grants(grant: click.Group) -> None:
    simple(
        grant, "list", "Newest first.", "grant list --state open", may("customer"), may("system"),
        may("engineer", help="A login."), may("state", type=click.Choice([state.value for state in GrantState])),
        limit(), call="grant list",
    )  # fmt: skip
    simple(
        grant, "show", "One: for what, who gave it and how, and the visits under it.", "grant show gra_52aa",
        argument("grant"), call="grant show",
    )  # fmt: skip
    simple(
        grant, "revoke", "End one now; live visits end within a second.",
        "grant revoke gra_52aa --reason 'the work is done'", argument("grant"), option("reason"), call="grant revoke",
    )  # fmt: skip


def _switch(access: click.Group) -> None:
    simple(
        access, "show", "How it stands: on, off, on until a time, or on a weekly schedule.",
        "access show 'Brook & Sons'", argument("customer"), call="access show",
    )  # fmt: skip
    simple(
        access, "set",
        "Turn it as somebody of the customer's asked; every approver is told at once. Off ends live visits within a "
        "second. Anything but off needs an agreement that allows consent by telephone, and an approver who asked.",
        "access set 'Brook & Sons' off --by 'Kate Brook' --how 'telephone call of 14:00'", argument("customer"),
        argument("mode", type=click.Choice([mode.value for mode in AccessMode])),
        option("by", help="Who of the customer."), option("how", help="How it came to you."),
        may("until", type=WHEN, help=f"The end, for until. {EXAMPLES}."),
        may("hours", multiple=True, help="For weekly: 'mon-fri 08:00-18:00', the agreement's zone. May be repeated."),
        call="access set", change=_access,
    )  # fmt: skip


def _listed(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"commands": list(given["commands"])}


def _console(console: click.Group) -> None:
    simple(
        console, "list", "Every command that can be typed at a phone system's prompt, and whether it is on there.",
        "console list 'Head office'", argument("system"), whose(), call="console list",
    )  # fmt: skip
    simple(
        console, "on",
        "Switch commands on, as an approver asked by telephone; every approver is told at once. The customer's "
        "agreement has to allow consent by telephone; otherwise approvers sign it in the portal, under Console.",
        "console on 'Head office' core-reload --by 'Kate Brook' --how 'telephone call of 14:00'", argument("system"),
        argument("commands", nargs=-1, required=True), whose(), option("by", help="The approver who asked."),
        option("how", help="How it came to you."), call="console on", change=_listed,
    )  # fmt: skip
    simple(
        console, "off", "Switch commands off again, or all of them where none is named. At once, and always allowed.",
        "console off 'Head office' core-reload --by 'Kate Brook' --how letter", argument("system"),
        argument("commands", nargs=-1), whose(), option("by", help="Who of the customer asked."),
        option("how", help="How it came to you."), call="console off", change=_listed,
    )  # fmt: skip
