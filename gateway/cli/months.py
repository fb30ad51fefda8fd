"""`frameroom customer month`."""

from __future__ import annotations

from typing import cast

import click

from gateway.cli.calling import run
from gateway.cli.render import to_json
from gateway.cli.words import argument, as_json, command, may
from gateway.harmless import shown


def register(main: click.Group) -> None:
    """Add the command to those of customers, which are there already."""
    command(
        cast(click.Group, main.commands["customer"]), "month",
        "The page that the customer is mailed on the first of the next month: visits, permissions, changes, resets, "
        "refusals, what they should know, and their log's newest checkpoint. The look is logged.",
        "customer month 'Brook & Sons' --month 2026-10", _month, argument("customer"),
        may("month", metavar="YYYY-MM", help="The present one, as far as it went, otherwise."),
    )  # fmt: skip


def _month(customer: str, month: str | None) -> None:
    page = run(click.get_current_context(), "customer month", customer=customer, month=month)
    text = page.pop("text")
    if as_json():
        click.echo(to_json(page))
        return
    note = page["checkpoint"]
    for line in text.splitlines() + (["The log's newest checkpoint:", "", *note.splitlines()] if note else []):
        click.echo(shown(line))
