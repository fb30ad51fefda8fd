"""`frameroom customer oidc …`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.calling import simple
from gateway.cli.words import FILE_TEXT, Group, argument, may, option


def _given(given: dict[str, Any]) -> dict[str, Any]:
    return given | {"secret": given.pop("secret_file").strip("\r\n"), "domains": list(given.pop("domain"))}


def register(customer: click.Group) -> None:
    """Add the commands."""
    oidc = Group("oidc", help="A customer's own OpenID provider, with which their people sign in to read.")
    customer.add_command(oidc)
    simple(
        oidc, "set", "Their provider from now on; it is asked at once. Register the redirect address that is shown "
        "there, for the code flow. Their people are told.",
        "customer oidc set 'Brook & Sons' --name 'Brook account' --issuer https://login.customer.example "
        "--client-id frameroom --secret-file client-secret --domain customer.example",
        argument("customer"), option("name", help="As their people call it: \"Sign in with NAME\"."),
        option("issuer", help="Exactly as the provider writes it."), option("client-id"),
        option("secret-file", type=FILE_TEXT, help="The client secret; it is sealed, and never shown again."),
        click.Option(["--domain"], multiple=True, required=True, help="Of its mail addresses. May be repeated."),
        option("claim", default="", help="What an account must have, as groups=telephony."),
        option("verified-claim", default="email_verified", show_default=True,
               help="The claim that says that the provider verified the address; xms_edov for Entra."),
        click.Option(["--contacts"], is_flag=True, help="Contacts may read too, not approvers alone."),
        call="customer oidc set", change=_given,
    )  # fmt: skip
    simple(
        oidc, "show", "It, without its secret, and the addresses that belong to it.",
        "customer oidc show 'Brook & Sons'", argument("customer"), call="customer oidc show",
    )  # fmt: skip
    simple(
        oidc, "remove", "Nobody signs in with it any more, and whoever did is signed out. Their people are told.",
        "customer oidc remove 'Brook & Sons'", argument("customer"), call="customer oidc remove",
    )  # fmt: skip
    simple(
        oidc, "forget", "Forget whose account a person's is: the next account of their address becomes theirs. They "
        "are told.",
        "customer oidc forget 'Brook & Sons' 'Kate Brook'", argument("customer"), argument("person"),
        may("kind", type=click.Choice(["approver", "contact"]), help="Where one of each has that name."),
        call="customer oidc forget",
    )  # fmt: skip
