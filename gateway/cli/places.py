"""`frameroom system …` and `connectors`."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any, Final

import click

from connectors.operations import NO_CONNECTOR
from gateway.cli import helpers
from gateway.cli.calling import run, settings_of, simple
from gateway.cli.render import show
from gateway.cli.words import FILE_TEXT, Chosen, Command, Group, argument, as_json, command, line_or_file, may, option
from gateway.harmless import shown as harmless

_PIN = (
    "Its host key line, or a file with it or with a PEM certificate. Read it with `ssh-keyscan -t ed25519 HOST`, or "
    "for PostgreSQL `openssl s_client -starttls postgres -connect HOST:5432 </dev/null | openssl x509`, and compare it "
    "with what the customer's own people read on the machine. For HTTPS also `sha256:…` of the certificate (`openssl "
    "x509 -noout -fingerprint -sha256`), or `system-cas`: whatever name `server_name` of the settings says, as this "
    "machine's authorities vouch for it."
)
_ASKED: Final = {
    "host": "Its address",
    "pin": "Its host key line or certificate (or a file)",
    "login": "Our login there",
}


def know_named(config: Path) -> None:
    """Load the connectors that a configuration names; where there is none, Frameroom's own are all. Exits 2 with words
    when one cannot be had."""
    from connectors.registry import NotOffered, also

    if not config.exists():
        return
    try:
        also(settings_of(config).connectors.also)
    except NotOffered as error:
        click.echo(harmless(f"{error.message}\n{error.next_step}"), err=True)
        sys.exit(2)


def _families() -> list[str]:
    from connectors.registry import families

    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().obj:
        # At TAB nothing is said of a configuration that is not in order: ours are completed.
        quietly = contextlib.ExitStack()
        if context.resilient_parsing:
            quietly.enter_context(contextlib.suppress(SystemExit))
            quietly.enter_context(contextlib.redirect_stderr(io.StringIO()))
        with quietly:
            know_named(context.find_root().obj["config"])
    return list(families())


def _connectors(markdown: bool) -> None:
    from connectors import registry

    know_named(click.get_current_context().find_root().obj["config"])
    if markdown:
        click.echo(registry.markdown(), nl=False)
    else:
        show(registry.rows(), as_json())


def whose() -> click.Option:
    """--customer, for a name that two customers' phone systems have."""
    return may("customer", help="Whose, where two customers have one of that name.")


def _ask_for(given: dict[str, Any]) -> None:
    """On a terminal: what a phone system of this kind needs and was not said."""
    from connectors.registry import families

    if given["connector"] == NO_CONNECTOR or not sys.stdin.isatty():
        return
    for name, words in _ASKED.items():
        given[name] = given[name] or click.prompt(words, err=True)
    for kind, needed in families()[given["connector"]].capabilities().credential.items():
        if needed and given[f"{kind}_file"] is None:
            words = "File with its password" if kind == "password" else "File with the private key"
            given[f"{kind}_file"] = click.prompt(words, type=FILE_TEXT, err=True)


def _added(given: dict[str, Any]) -> dict[str, Any]:
    _ask_for(given)
    password, key = given.pop("password_file"), given.pop("key_file")
    settings = given.pop("settings_file")
    return given | {
        "pin": None if given["pin"] is None else line_or_file(given["pin"]), "settings": settings or "{}",
        "private_key": key, "password": None if password is None else password.strip("\r\n"),
    }  # fmt: skip


def register(main: click.Group) -> None:
    """Add the commands."""
    system = Group("system", help="Phone systems.")
    main.add_command(system)
    simple(
        system, "add", "Add one. The credential is read from a file and sealed; it never stands on a command line. "
        "Nothing is fetched: what proves its identity is given with --pin. It is tried before it is saved: reached, "
        "known by its pin, come in to. On a terminal it asks for what was left out and this connector needs.",
        "system add 'Brook & Sons' --name 'Head office' --connector lab --host 192.0.2.7 --pin head-office.pub "
        "--login frameroom --key-file head-office.key",
        argument("customer"), option("name"),
        option("connector", type=Chosen(_families), help="`none` takes a name and a site alone: visits only."),
        may("host"),
        may("port", type=click.IntRange(1, 65535), help="The connector's usual one when left out."),
        may("pin", help=_PIN), may("login", help="Our login there."),
        may("password-file", type=FILE_TEXT), may("key-file", type=FILE_TEXT, help="A private key (PEM or OpenSSH)."),
        may("settings-file", type=FILE_TEXT, help="JSON of the connector's own settings."),
        option("site", default="", help="Name of the customer's site."), option("town", default=""),
        option("postcode", default=""), option("asset", default="", help="Asset number."),
        click.Option(["--numbers", "ddi_range"], default="", help="Direct numbers, like +442079460000-99."),
        click.Option(["--untried"], is_flag=True, help="Save it without trying it: it is not in place yet."),
        call="system add", change=_added,
    )  # fmt: skip
    simple(
        system, "list", "All in service, by customer.", "system list --customer 'Brook & Sons'", may("customer"),
        click.Option(["--removed"], is_flag=True, help="Those that were removed too."), call="system list",
    )  # fmt: skip
    simple(
        system, "show", "One: how its secrets are kept and proven, open permissions, notes, last visits.",
        "system show 'Head office'", argument("system"), whose(), call="system show",
    )  # fmt: skip
    command(
        system, "check", "Reach, identity, credential, and what that credential could read: which held, which did not "
        "and why, which were not tried. Exit code 1 when one of them is not as it should be.",
        "system check 'Head office'", _check, argument("system"), whose(),
    )  # fmt: skip
    simple(
        system, "remove", "Take one out of service. Its credential is destroyed; permissions and live visits end.",
        "system remove 'Head office' --yes", argument("system"), whose(),
        click.Option(["--yes"], is_flag=True, help="Do not ask."), call="system remove", change=_sure,
    )  # fmt: skip
    simple(
        system, "confirm-address",
        "Enter that an approver vouched by telephone for the address of USER: passwords may be sent there at once. "
        "Mailed to all of the customer's approvers.",
        "system confirm-address 'Head office' 2001 grace@customer.example --by 'Kate Brook' --recorded-by 'Tom Hill'",
        argument("system"), argument("user"), argument("email"), whose(),
        option("by", help="The approver who vouched: name, address or id."),
        option("recorded-by", help="Who of you took the call."), option("words", default="", help="What was said."),
        call="system confirm-address",
    )  # fmt: skip
    simple(
        system, "note", "Show the newest notes, after leaving one when TEXT is given.",
        "system note 'Head office' 'the rack key is at reception'", argument("system"),
        click.Argument(["text"], required=False), whose(), call="system note",
    )  # fmt: skip
    helpers.register(system)
    main.add_command(
        Command(
            "connectors",
            callback=_connectors,
            params=[click.Option(["--markdown"], is_flag=True, help="As the table of the documentation.")],
            help="The phone systems that can be reached, how secrets are kept, and how each was proven. Those of other "
            "distributions are here once `connectors.also` in the configuration names them.\n\n\b\n"
            "Example:\n  frameroom connectors",
        )
    )


def _check(**given: Any) -> None:
    lines = run(click.get_current_context(), "system check", **given)
    show(lines, as_json())
    sys.exit(0 if all(line["ok"] for line in lines) else 1)


def _sure(given: dict[str, Any]) -> dict[str, Any]:
    if not given.pop("yes"):
        click.confirm("Its credential is destroyed and its visits end. Remove it?", abort=True, err=True)
    return given
