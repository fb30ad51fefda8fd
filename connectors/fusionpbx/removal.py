"""Removing a person: everything that FusionPBX itself takes away with an extension, its mailbox and its user, in one
transaction, and what stays, said.

Source: FusionPBX, `delete` of app/extensions/resources/classes/extension.php, app/voicemails/…/voicemail.php,
app/destinations/…/destinations.php, core/users/…/users.php.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connectors.contract import Removal
from connectors.errors import Conflict
from connectors.fusionpbx.people import Destination, Mailbox, Own, User
from connectors.fusionpbx.settings import FusionPbxSettings
from connectors.transport.postgres import Link, Transaction

_STAYS: Final = (
    "registrations of their telephones, until they run out, and calls in progress",
    "call records and call recordings",
    "recorded messages and greetings on the phone system's disk",
    "their entry among the contacts, call centre agents, queues and dialplans that name this extension",
    "telephones in Devices, and the old password in their lines",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes, by kind, and the words for all of it."""

    words: Removal
    box: Mailbox | None
    user: User | None
    numbers: tuple[Destination, ...]
    shared: bool


async def plan(source: Link | Transaction, own: Own, domain: tuple[str, str], settings: FusionPbxSettings) -> Plan:
    """Looked at, not touched."""
    scope = {"domain": domain[0]}
    gone, stays = [f"the extension {own.extension} and its settings"], list[str]()
    others = [str(r[0]) for r in await source.read("sharers", id=own.id, extensions=own.extensions, **scope)]
    box = None
    for row in await source.read("boxes", extensions=own.extensions, **scope):
        mailbox = Mailbox.of(row)
        if others:
            stays.append(f"the mailbox {mailbox.number}, which {', '.join(others)} also uses")
        elif mailbox.number == own.box:
            box = mailbox
            gone.append(f"the mailbox {mailbox.number} and its messages")
        else:
            stays.append(f"the mailbox {mailbox.number}, which is not the one that their calls go to")
    numbers = list[Destination]()
    for row in await source.read("routes", extensions=own.extensions, **scope):
        found = Destination.of(row)
        if others or not own.rings_alone(found, domain[1]):
            why = "other extensions also have" if others else "does more than ring them"
            stays.append(f"the direct number {found.shown}, which {why}")
        else:
            numbers.append(found)
    if numbers:
        gone.append(f"the direct numbers {', '.join(number.shown for number in numbers)} and their routes")
    if not others:
        gone.append("their places in ring groups, and follow-me")
    user = None
    users = [User.of(row) for row in await source.read("users", id=own.id, **scope)]
    for one in users:
        why_kept = one.kept(settings) or ("who is one of several" if len(users) > 1 else None)
        if why_kept:
            stays.append(f"the portal user {one.name}, {why_kept}")
        else:
            user = one
            gone.append(f"the portal user {one.name}")
    return Plan(Removal(tuple(gone), (*stays, *_STAYS)), box, user, tuple(numbers), bool(others))


async def carry_out(work: Transaction, own: Own, plan: Plan, domain: str) -> None:
    """Every row of it. The numbers are `direct`'s."""
    scope, one = {"domain": domain}, {"domain": domain, "id": own.id}
    await work.write("delete-extension-users", **one)
    await work.write("delete-extension-settings", **one)
    if own.follow_me:
        await work.write("delete-follow-me-destinations", follow_me=own.follow_me, **scope)
        await work.write("delete-follow-me", follow_me=own.follow_me, **scope)
    if not plan.shared:
        await work.write("delete-ring-group-destinations", extensions=own.extensions, **scope)
    if plan.box:
        for rows in ("messages", "options", "destinations"):
            await work.write(f"delete-box-{rows}", box=plan.box.id, **scope)
        await work.write("delete-box-greetings", extension=plan.box.number, **scope)
        await work.write("delete-box", box=plan.box.id, **scope)
    if plan.user:
        await work.write("delete-user-settings", user=plan.user.id, **scope)
        await work.write("delete-user-groups", user=plan.user.id, **scope)
        await work.write("delete-user", user=plan.user.id, **scope)
    if await work.write("delete-extension", **one) != 1:
        raise Conflict("the person changed meanwhile; nothing was removed")
