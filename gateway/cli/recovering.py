"""`frameroom recovery …`."""

from __future__ import annotations

import click

from gateway.choices import RECOVERY_BASES
from gateway.cli.calling import simple
from gateway.cli.words import Group, argument, may, option


def register(main: click.Group) -> None:
    """Add the commands."""
    recovery = Group("recovery", help="A key for a customer who has none left: two people, 72 h, everybody told.")
    main.add_command(recovery)
    simple(
        recovery, "propose",
        "Propose that a customer without any passkey left gets one. A second person confirms it; then everybody of the "
        "customer's is told, nobody's yes counts for 72 h, and after that the person is invited.",
        "recovery propose 'Brook & Sons' --approver 'Kate Brook' --basis lost",
        argument("customer"), option("basis", type=click.Choice(list(RECOVERY_BASES)),
                                     help="; ".join(f"{k}: {v}" for k, v in RECOVERY_BASES.items())),
        may("approver", help="An approver of theirs."), may("name", help="A new person's name."),
        may("email", help="A new person's address."), click.Option(["--phone"], default="", help="Their number."),
        call="recovery propose",
    )  # fmt: skip
    simple(
        recovery, "list", "Newest first.", "recovery list", may("customer"), call="recovery list",
    )  # fmt: skip
    simple(
        recovery, "confirm", "The yes of somebody other than who proposed it.", "recovery confirm pro_5a0c1e7f",
        argument("proposal"), call="recovery confirm",
    )  # fmt: skip
    simple(
        recovery, "stop", "Stop one.", "recovery stop pro_5a0c1e7f", argument("proposal"), call="recovery stop",
    )  # fmt: skip
