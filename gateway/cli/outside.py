"""`frameroom visit …`."""

from __future__ import annotations

import click

from gateway.cli.calling import simple
from gateway.cli.visiting import narrow, since
from gateway.cli.words import Group, argument, may, option
from gateway.lifecycle import OutsideState


def register(main: click.Group) -> None:
    """Add the commands."""
    visit = Group(
        "visit", help="Visits that are not recorded here: on premises, or with a phone system's own programs."
    )
    main.add_command(visit)
    simple(
        visit, "list", "Newest first. `ended` are those of which the engineer has not said what was done.",
        "visit list --state ended", may("state", type=click.Choice([state.value for state in OutsideState])), *narrow(),
        call="visit list", change=since,
    )  # fmt: skip
    simple(
        visit, "show", "One: by whose permission, and what the engineer says was done, which nothing here can prove. "
        "The look is logged. `grant revoke` ends one that goes on.",
        "visit show vis_77b1c0de --why 'complaint of 25 November'", argument("visit"),
        option("why", help="Stands in the customer's log."), call="visit show",
    )  # fmt: skip
