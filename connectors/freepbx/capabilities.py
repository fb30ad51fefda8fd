"""What the connector says of itself, and of what its helper finds."""

from __future__ import annotations

from typing import Any, Final

from connectors.contract import CONSOLE, PEOPLE, Capabilities, CheckLine, Proof, Removal, Secrecy, SecretKind
from connectors.errors import ProtocolViolation
from connectors.transport.answers import text_of, texts_of

_CHECKS: Final = {
    "version": ("is this FreePBX's version", "is not a FreePBX that this was made for (16 or 17)"),
    "console": ("Asterisk answers FreePBX", "Asterisk does not answer FreePBX: no change can be made"),
    "people": ("extensions are found", "no extension is found"),
    "userman": ("User Manager is there: addresses and portal users are kept in it",
                "User Manager is not enabled: addresses are those of the mailboxes, and there is no portal"),
    "voicemail": ("the voicemail module is there", "the voicemail module is not enabled: there are no mailboxes"),
    "fwconsole": ("applies changes", "cannot be run: no change would be applied; see `fwconsole` in the helper's file"),
    "waiting": ("nothing waits to be applied",
                "somebody's changes wait for \"Apply Config\" in FreePBX: the next change of ours applies them too"),
    "odd": ("", "extensions have names that are no numbers: they are not handled here"),
    "readable": ("", "can be read by every account of that machine, and by ours if it got past the helper: "
                     "keep other accounts off it, and chmod o-x its folder"),
}  # fmt: skip
_STAYS: Final = (
    "queues, ring groups, menus, follow-me lists and outbound rules that name this extension",
    "call recordings and the call history",
    "registrations until they expire, and calls in progress",
)

WEAKENS: Final = (
    "Frameroom also holds a client of FreePBX's own API: with its secret SIP passwords could be read, and on FreePBX "
    "17 everything be read and changed, for FreePBX does not hold a client to its scopes. SECRETS ARE SELECTED HERE, "
    "NOT ENFORCED: what keeps them from us is a fixed list of two questions, none of which names a password"
)
OURS: Final = Capabilities(
    title="FreePBX 16 and 17",
    operations=PEOPLE | CONSOLE,
    secrecy=dict.fromkeys(SecretKind, Secrecy.ENFORCED),
    secrecy_why="the phone system's own sshd binds our key to a helper that tells no password, and asks "
    "Asterisk's prompt and fwconsole only what is on its own list; that it reaches nothing else is tried at each "
    "connect. Where the settings name FreePBX's API it is `selected`: its client's secret could do more",
    proven=(Proof.SCHEMA,),
    credential={"key": True, "password": False},
    proven_how="the kit on the helper itself, in a real PHP on a real MariaDB with FreePBX's tables, where a stand-in "
    "takes the place of FreePBX's classes; each call checked against FreePBX's own source (`make test-vendor`). "
    "Never run on a live FreePBX",
    cannot={
        "must-change": "FreePBX cannot make a user change a new PIN or portal password",
        "logins": "the phone system's SSH log is the administrator's, and our key cannot read it; the helper's account "
        "being used by anybody else is not seen",
        "graphql": "FreePBX's own API reads names, where the settings name it, and nothing else: addresses and direct "
        "numbers it cannot tell, it lists no extension without the right to list passwords, and its updateExtension "
        "deletes the extension and makes it anew",
    },
)


def check_line(raw: Any) -> CheckLine:
    """One line of the helper's `check`. ProtocolViolation for what is none."""
    if not isinstance(raw, dict) or raw.get("what") not in _CHECKS or type(raw.get("ok")) is not bool:
        raise ProtocolViolation("the phone system's answer makes no sense")
    words = _CHECKS[raw["what"]][0 if raw["ok"] else 1]
    file, count = text_of(raw.get("file")), raw.get("count")
    lead = file or (str(count) if type(count) is int and count else "")
    return CheckLine(raw["what"], raw["ok"], f"{lead} {words}".strip())


def removal(plan: dict[str, Any]) -> Removal:
    """What the helper plans, each thing named."""
    gone, stays = list[str](), list(_STAYS)
    for key, words, told in (
        ("accounts", "the extension and its telephones", gone), ("mailboxes", "the mailbox with its messages", gone),
        ("portals", "the portal user", gone), ("routes", "the inbound routes", gone),
        ("kept_accounts", "telephones that others may sign in on", stays),
        ("kept_portals", "the portal user of another directory", stays),
    ):  # fmt: skip
        if named := texts_of(plan.get(key)):
            told.append(f"{words} {', '.join(named)}")
        elif key == "accounts":
            told.append("the extension, which has no telephone of its own")
    return Removal(tuple(gone), tuple(stays))
