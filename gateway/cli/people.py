"""`frameroom engineer …`, `customer …`, `contact …`, `approver …`, `agreement …`."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.choices import NOTICES, ROLES, STANDINGS
from gateway.cli import providers
from gateway.cli.calling import simple
from gateway.cli.words import FILE_TEXT, Group, argument, line_or_file, may, option
from gateway.errors import InvalidError

_NOTICES = click.Choice(NOTICES)


def _public(given: dict[str, Any]) -> dict[str, Any]:
    """The key as a line. A private one goes no further than this process."""
    from gateway.identity.engineers import parse_public_key

    text = line_or_file(given["key"])
    if not text.startswith("SHA256:"):
        parse_public_key(text)
    return given | {"key": text}


def _terms(given: dict[str, Any]) -> dict[str, Any]:
    text = given.pop("file")
    try:
        return given | {"terms": json.loads(text)}
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidError(
            f"the file is not JSON{where}",
            next_step='It looks like {"operations": ["find", "view"], "mail_domains": ["customer.example"]}.',
        ) from error


def register(main: click.Group) -> None:
    """Add the commands."""
    _engineers(main)
    _staff(main)
    _customers(main)
    _contacts(main)
    _approvers(main)
    _agreements(main)


def _group(parent: click.Group, name: str, words: str) -> Group:
    made = Group(name, help=words)
    parent.add_command(made)
    return made


def _staff(main: click.Group) -> None:
    staff = _group(main, "staff", "Your own people, who use these commands: whose ids stand in the log.")
    simple(
        staff, "list", "Whoever used a command, by the account they signed in to this machine with.", "staff list",
        call="staff list",
    )  # fmt: skip


def _engineers(main: click.Group) -> None:
    engineer = _group(main, "engineer", "Engineers: their keys, second factors and roles.")
    role = click.Choice(list(ROLES))
    simple(
        engineer, "add", "Add one.", "engineer add ana --name 'Ana Silva' --email ana@company.example",
        argument("login"), option("name"), option("email"),
        may("role", multiple=True, type=role, help="May be repeated."), call="engineer add",
        change=lambda g: {"login": g["login"], "name": g["name"], "email": g["email"], "roles": list(g["role"])},
    )  # fmt: skip
    simple(engineer, "list", "All of them.", "engineer list", call="engineer list")
    simple(
        engineer, "show", "One: keys, factors, where they are named, what they may do now, last visits.",
        "engineer show ana", argument("login"), call="engineer show",
    )  # fmt: skip
    simple(
        engineer, "disable", "Switch one off; their visits end within a second.", "engineer disable ana",
        argument("login"), call="engineer enable", change=lambda g: g | {"enabled": False},
    )  # fmt: skip
    simple(
        engineer, "enable", "Switch one on again.", "engineer enable ana", argument("login"), call="engineer enable",
        change=lambda g: g | {"enabled": True},
    )  # fmt: skip
    simple(
        engineer, "totp", "A new secret for one-time codes, shown this once; an earlier one ends.", "engineer totp ana",
        argument("login"), call="engineer totp",
    )  # fmt: skip
    simple(
        engineer, "codes", "Ten new backup codes, shown this once; earlier ones end.", "engineer codes ana",
        argument("login"), call="engineer codes",
    )  # fmt: skip
    key = _group(engineer, "key", "Public keys that an engineer signs in with.")
    simple(
        key, "add", "Give one a public key: the line, or a .pub file.", "engineer key add ana ana_key.pub",
        argument("login"), argument("key"), call="engineer key add", change=_public,
    )  # fmt: skip
    simple(key, "list", "The keys of one.", "engineer key list ana", argument("login"), call="engineer key list")
    simple(
        key, "remove", "Take a key away; connections that were signed in with it are hung up.",
        "engineer key remove ana SHA256:sOXTTjzMYkOhiOG9xDxdKGkkWOi1uNvkQQ1uXNVOMU4",
        argument("login"), argument("key", metavar="FINGERPRINT|KEY"), call="engineer key remove", change=_public,
    )  # fmt: skip
    roles = _group(engineer, "role", f"Roles: {'; '.join(f'{name} ({does})' for name, does in ROLES.items())}.")
    for name, words in (("add", "Give one a role."), ("remove", "Take a role from one.")):
        simple(
            roles, name, words, f"engineer role {name} ana out-of-hours", argument("login"),
            argument("role", type=role), call=f"engineer role {name}",
        )  # fmt: skip


def _customers(main: click.Group) -> None:
    customer = _group(main, "customer", "Customers and their list of engineers.")
    simple(
        customer, "add", "Add one.", "customer add 'Brook & Sons'", argument("name"),
        option("region", type=click.Choice(["uk", "eu"]), default="uk", show_default=True), call="customer add",
    )  # fmt: skip
    simple(customer, "list", "All of them.", "customer list", call="customer list")
    simple(
        customer, "show", "One: people, phone systems, agreement, engineers, and the key of the log they can check.",
        "customer show 'Brook & Sons'", argument("customer"), call="customer show",
    )  # fmt: skip
    simple(
        customer, "engineer", "Name an engineer on the customer's list, or strike them off with --veto.",
        "customer engineer 'Brook & Sons' ana", argument("customer"), argument("login"),
        click.Option(["--veto"], is_flag=True, help="The customer does not want this engineer."),
        call="customer engineer",
    )  # fmt: skip
    providers.register(customer)


def _marketing(default: bool | None = None) -> click.Option:
    return click.Option(
        ["--marketing/--no-marketing"], default=default,
        help="Whether they take advertising. What they must be told does not depend on it.",
    )  # fmt: skip


def _opted(given: dict[str, Any]) -> dict[str, Any]:
    """As it is kept: who wants none."""
    wanted = given.pop("marketing")
    return given | {"marketing_out": None if wanted is None else not wanted}


def _contacts(main: click.Group) -> None:
    contact = _group(main, "contact", "Who is told of visits.")
    simple(
        contact, "add", "Add one.", "contact add 'Brook & Sons' --name 'Kate Brook' --email kate@customer.example",
        argument("customer"), option("name"), option("email"), option("position", default=""),
        option("phone", default=""), option("mobile", default=""),
        option("notices", type=_NOTICES, default="each", show_default=True, help="Of which visits they are told."),
        option("standing", type=click.Choice(STANDINGS), default="current", show_default=True,
               help="Only who is current is told of visits."),
        _marketing(default=True), call="contact add", change=_opted,
    )  # fmt: skip
    simple(contact, "list", "A customer's.", "contact list 'Brook & Sons'", argument("customer"), call="contact list")
    simple(
        contact, "set", "Change what is given. CONTACT is an id, a name or an address.",
        "contact set 'Brook & Sons' 'Kate Brook' --notices daily", argument("customer"), argument("contact"),
        may("name"), may("email"), may("position"), may("phone"), may("mobile"),
        may("notices", type=_NOTICES), may("standing", type=click.Choice(STANDINGS)), _marketing(), call="contact set",
        change=lambda g: {
            "customer": g.pop("customer"), "contact": g.pop("contact"),
            "values": {name: value for name, value in _opted(g).items() if value is not None},
        },
    )  # fmt: skip
    simple(
        contact, "remove", "Tell one of nothing any more.", "contact remove 'Brook & Sons' kate@customer.example",
        argument("customer"), argument("contact"), call="contact remove",
    )  # fmt: skip


def _approvers(main: click.Group) -> None:
    approver = _group(main, "approver", "Whose yes counts.")
    simple(
        approver, "add", "Add one. An address of your own company cannot approve.",
        "approver add 'Brook & Sons' --name 'Kate Brook' --email kate@customer.example", argument("customer"),
        option("name"), option("email"), option("phone", default=""), call="approver add",
    )  # fmt: skip
    simple(
        approver, "invite", "Mail one the link to make a passkey. After the first, a customer's approvers do that.",
        "approver invite 'Brook & Sons' 'Kate Brook'", argument("customer"), argument("approver"),
        call="approver invite",
    )  # fmt: skip
    simple(
        approver, "list", "A customer's.", "approver list 'Brook & Sons'", argument("customer"), call="approver list"
    )
    simple(
        approver, "remove", "From now on this person's yes counts for nothing; what they approved before stands.",
        "approver remove 'Brook & Sons' 'Kate Brook'", argument("customer"), argument("approver"),
        call="approver remove",
    )  # fmt: skip
    simple(
        approver, "confirm",
        "Enter that one approver vouched for another by telephone. Without it a new one is sent no password for 30 "
        "days. Mailed to all of them.",
        "approver confirm 'Brook & Sons' 'Omar Aziz' --by 'Kate Brook' --recorded-by 'Tom Hill'",
        argument("customer"), argument("approver"), option("by", help="The approver who vouched: name, address or id."),
        option("recorded-by", help="Who of you took the call."), option("words", default="", help="What was said."),
        call="approver confirm",
    )  # fmt: skip


def _agreements(main: click.Group) -> None:
    agreement = _group(main, "agreement", "What a customer agreed to: the outer limit of every permission.")
    simple(
        agreement, "set", "A new version from a JSON file of terms (- reads standard input). Closed until confirmed.",
        "agreement set 'Brook & Sons' terms.json", argument("customer"), argument("file", type=FILE_TEXT),
        call="agreement set", change=_terms,
    )  # fmt: skip
    simple(
        agreement, "show", "The newest version.", "agreement show 'Brook & Sons'", argument("customer"),
        call="agreement show",
    )  # fmt: skip
    for name, words in (
        ("confirm", "Record that the customer confirmed the newest version."),
        ("withdraw", "Record that the customer took it back. Every permission under it ends."),
    ):
        simple(
            agreement, name, words,
            f"agreement {name} 'Brook & Sons' --by 'Kate Brook' --how 'signed letter of 25 November'",
            argument("customer"), option("by", help="Who of the customer."), option("how", help="How it came to you."),
            call=f"agreement {name}",
        )  # fmt: skip
