"""`frameroom subject …`, `hold …`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from audit.told import shown
from gateway.choices import HOLD_BASES
from gateway.cli.calling import run, simple
from gateway.cli.places import whose
from gateway.cli.render import show, to_json
from gateway.cli.words import Group, argument, as_json, command, may, option
from gateway.errors import ConflictError
from gateway.harmless import shown as harmless

_WHO = "An id, name, address, extension or number; of an engineer the login, without --customer."


def register(main: click.Group) -> None:
    """Add the commands."""
    subject = Group("subject", help="A person of whom something is held: their report, and their restriction.")
    hold = Group("hold", help="Legal holds: two people place one, and two people release it.")
    for made in (subject, hold):
        main.add_command(made)
    why = option("why", help="Stands in the log.")
    place = option("system", help="The phone system whose user it is.")
    command(
        subject, "report", "Everything held about a person, and who looked at it: a document, or JSON with --json.",
        "subject report grace@customer.example --customer 'Brook & Sons' --why 'her request of 25 November' "
        "--to grace.md", _report, argument("subject", metavar="SUBJECT"), why, whose(),
        may("system", help="The phone system whose user it is."),
        may("to", type=click.Path(path_type=Path), metavar="FILE", help="Otherwise standard output."),
    )  # fmt: skip
    simple(
        subject, "restrict", "From the next operation on no engineer sees or changes this user. " + _WHO,
        "subject restrict 2001 --system 'Head office' --why 'she disputes what is stored'", argument("subject"), why,
        place, whose(), call="subject restrict",
    )  # fmt: skip
    simple(
        subject, "unrestrict", "They can be seen again by whoever has a permission.",
        "subject unrestrict 2001 --system 'Head office' --why 'settled'", argument("subject"), why, place, whose(),
        call="subject unrestrict",
    )  # fmt: skip
    simple(subject, "restricted", "Everybody who is.", "subject restricted", may("customer"), call="subject restricted")
    simple(
        hold, "place", "Propose that nothing of a customer, of one person or of one visit is deleted or erased.",
        "hold place --customer 'Brook & Sons' --subject 2001 --basis claim",
        option("basis", type=click.Choice(list(HOLD_BASES)),
               help="; ".join(f"{name}: {words}" for name, words in HOLD_BASES.items())),
        may("customer"), may("subject", help=_WHO), may("session"), call="hold place",
    )  # fmt: skip
    simple(
        hold, "release", "Propose that one ends.", "hold release pro_5a0c1e7f", argument("hold"), call="hold release"
    )
    simple(
        hold, "confirm", "The yes of somebody other than who proposed it.", "hold confirm pro_5a0c1e7f",
        argument("proposal"), call="hold confirm",
    )  # fmt: skip
    simple(hold, "list", "Newest first.", "hold list --customer 'Brook & Sons'", may("customer"), call="hold list")


def _report(to: Path | None, **given: Any) -> None:
    told = run(click.get_current_context(), "subject report", **given)
    text = to_json(told) + "\n" if as_json() else document(told)
    if to is None:
        click.echo(text, nl=False)
        return
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConflictError(f"{to} is there already; it was left alone", next_step="Give another name.") from error
    show({"report": str(to), "events": len(told["events"]), "looks": len(told["looked"])}, as_json())


def document(told: dict[str, Any]) -> str:
    """The report in plain words (Markdown)."""
    names = ", ".join(told["names"]) or told["subject"]
    lines = [
        f"# What is held about {names}",
        "",
        f"Made {told['made']}. In the log this person is `{told['subject']}`.",
    ]
    if told["restricted_since"]:
        lines.append(f"Restricted since {told['restricted_since']}: no engineer sees them.")
    lines += ["", "## Held now", *(f"- {_words(one)}" for one in told["held"] or [{"what": "nothing"}])]
    lines += ["", "## In the log", *(_line(one) for one in told["events"])]
    lines += ["", "## Who looked", *(_line(one) for one in told["looked"])]
    lines += ["", "## Recordings of visits in which they may be seen"]
    lines += [f"- {_words(one)}" for one in told["recordings"] or [{"visit": "none"}]]
    if told["erasures"]:
        lines += ["", "## Erasures", *(f"- {_words(one)}" for one in told["erasures"])]
    return "".join(f"{harmless(line)}\n" for line in lines)


def _words(one: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {shown(key, value)}" for key, value in one.items() if value not in ("", None, []))


def _line(one: dict[str, Any]) -> str:
    about = f" ({one['operation']})" if one["operation"] else ""
    visit = f", visit {one['visit']}" if one["visit"] else ""
    told = f": {_words(one['told'])}" if one["told"] else ""
    return f"- {one['time']}  {one['kind']}{about} by {one['by']}{visit}{told}"
