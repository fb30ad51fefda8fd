"""`frameroom erase`, `erasure …`."""

from __future__ import annotations

import click

from gateway.choices import BASES
from gateway.cli.calling import simple
from gateway.cli.places import whose
from gateway.cli.words import Group, argument, may, option


def register(main: click.Group) -> None:
    """Add the commands."""
    erasure = Group("erasure", help="Erasures: a second person confirms them.")
    main.add_command(erasure)
    simple(
        main, "erase",
        "Propose to erase a person: a user of a phone system, a contact, an approver, or an engineer. Shows what goes, "
        "what stays and why. Nothing is erased until a second person confirms it.",
        "erase --customer 'Brook & Sons' --subject grace@customer.example --basis objection",
        option("subject", help="An id, name, address, extension or number; of an engineer the login."),
        option("basis", type=click.Choice(list(BASES)), help="; ".join(f"{k}: {v}" for k, v in BASES.items())),
        whose(), may("system", help="The phone system whose user it is."),
        click.Option(["--dry-run"], is_flag=True, help="Only show the plan."), call="erase",
    )  # fmt: skip
    simple(
        erasure, "list", "Newest first, with what each still waits for.", "erasure list", may("customer"),
        call="erasure list",
    )  # fmt: skip
    simple(
        erasure, "confirm", "Carry it out: the yes of somebody other than who proposed it.",
        "erasure confirm pro_5a0c1e7f", argument("proposal"), call="erasure confirm",
    )  # fmt: skip
    simple(
        erasure, "withdraw", "Take a proposal back before it is confirmed.", "erasure withdraw pro_5a0c1e7f",
        argument("proposal"), call="erasure withdraw",
    )  # fmt: skip
