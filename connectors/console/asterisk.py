"""What may be typed at Asterisk's prompt, and at FreePBX's, which is Asterisk's and `fwconsole`.

Not here, for good: `pjsip show auth`, `dialplan show` (PINs stand in applications' arguments), `dialplan show globals`,
`pjsip export config_wizard`, `voicemail show users for` (PINs), `core show channel` (a call's variables), `core show
channels verbose` (arguments in a column of their own, where none can be told from a PIN), `realtime`, `database`,
`config`, `!`, and whatever else is on no list. `fwconsole restart` wants root, which nothing of ours is.
"""

from __future__ import annotations

from typing import Final

from connectors.console.grammar import NAME, Class, Entry, Slot

LOOK, ACT = Class.LOOK, Class.ACT
_SEEN: Final = "transcripts of Asterisk 22.10.1"
_LIVE: Final = "seen free of secrets on Asterisk 22.10.1"
_COUNTS: Final = "it prints counts and times"
_STATES: Final = "it prints names, network addresses and states"
_DONE: Final = "it prints whether it was done"
_PINS: Final = "an application's argument can be a PIN: those of applications that take one are withheld"
CHANNEL: Final = Slot(
    "CHANNEL", r"[A-Za-z]{2,12}/[A-Za-z0-9][A-Za-z0-9._@-]{0,63}-[0-9a-f]{8}", example="PJSIP/2001-0000001a"
)
_MODULE: Final = Slot("MODULE", choices=("res_pjsip.so", "app_voicemail.so", "pbx_config.so", "app_queue.so"))

ASTERISK: Final = (
    Entry(LOOK, ("core", "show", "version"), "the version of Asterisk", "it prints one line of our choice", _LIVE),
    Entry(LOOK, ("core", "show", "uptime"), "how long it has been running", _COUNTS, _LIVE),
    Entry(LOOK, ("core", "show", "channels"), "calls going on now", _PINS, _LIVE),
    Entry(LOOK, ("core", "show", "calls"), "how many calls go on and went on", _COUNTS, _LIVE),
    Entry(
        LOOK, ("manager", "show", "connected"), "programs connected to its management interface",
        "it prints accounts' names, and where they came from", _LIVE,
    ),
    Entry(LOOK, ("module", "show", "like", NAME), "modules whose name holds NAME", "it prints modules' names", _LIVE),
    Entry(LOOK, ("pjsip", "show", "endpoints"), "every telephone and whether it is reachable", _STATES, _SEEN),
    Entry(
        LOOK, ("pjsip", "show", "endpoint", NAME), "one telephone",
        "it prints the name of the password's section, never the password; variables of the telephone are withheld",
        _SEEN, withheld=("set_var",),
    ),
    Entry(LOOK, ("pjsip", "list", "endpoints"), "every telephone, a line each", _STATES, _SEEN),
    Entry(LOOK, ("pjsip", "show", "aors"), "addresses of record", _STATES, _SEEN),
    Entry(LOOK, ("pjsip", "show", "contacts"), "registered telephones", _STATES, _SEEN),
    Entry(LOOK, ("pjsip", "show", "registrations"), "registrations with providers", _STATES, _LIVE),
    Entry(
        LOOK, ("voicemail", "show", "users"), "mailboxes and how many messages wait",
        "it prints names and counts; only with `for`, which is not taken, would it print PINs", _SEEN,
    ),
    Entry(
        LOOK, ("queue", "show"), "queues: who answers them and who waits", "it prints names, calls and times",
        "Asterisk's source, apps/app_queue.c", extra=True,
    ),
    Entry(
        LOOK, ("queue", "show", NAME), "one queue: who answers it and who waits", "it prints names, calls and times",
        "Asterisk's source, apps/app_queue.c", extra=True,
    ),
    Entry(
        ACT, ("pjsip", "qualify", NAME), "ask one telephone whether it answers", _DONE, _LIVE,
    ),
    Entry(
        ACT, ("module", "reload", _MODULE), "have one part read its configuration again; calls go on", _DONE,
        "what the helper itself sends after each change, live",
    ),
    Entry(
        ACT, ("dialplan", "reload"), "have the dialplan read again; calls go on", _DONE,
        "Asterisk's source, pbx/pbx_config.c",
    ),
    Entry(
        ACT, ("voicemail", "reload"), "have the mailboxes read again", _DONE,
        "Asterisk's source, apps/app_voicemail.c",
    ),
    Entry(
        ACT, ("pjsip", "send", "register", NAME), "register with one provider again", _DONE,
        "Asterisk's source, res/res_pjsip_outbound_registration.c",
    ),
    Entry(
        ACT, ("pjsip", "send", "unregister", NAME), "drop the registration with one provider: its calls stay away",
        _DONE, "Asterisk's source, res/res_pjsip_outbound_registration.c",
    ),
    Entry(
        ACT, ("core", "reload"), "have every part read its configuration again; calls go on", _DONE,
        "Asterisk's source, main/cli.c", extra=True,
    ),
    Entry(
        ACT, ("channel", "request", "hangup", CHANNEL), "end one call", _DONE, "Asterisk's source, main/cli.c",
        extra=True,
    ),
    Entry(
        ACT, ("core", "restart", "gracefully"), "take no new call, and restart when the last has ended", _DONE,
        "Asterisk's source, main/asterisk.c", extra=True,
    ),
    Entry(
        ACT, ("core", "abort", "shutdown"), "take back a restart that waits for calls to end", _DONE,
        "Asterisk's source, main/asterisk.c", extra=True,
    ),
)  # fmt: skip

_CONSOLE: Final = "FreePBX's source, framework, libraries/Console"
FREEPBX: Final = (
    *ASTERISK,
    Entry(
        LOOK, ("fwconsole", "ma", "list"), "FreePBX's modules and their versions",
        "it prints modules' names; only rows of its table are shown",
        f"{_CONSOLE}/Moduleadmin.class.php",
    ),
    Entry(
        LOOK, ("fwconsole", "notifications", "--list"), "what FreePBX's dashboard tells",
        "it prints what stands on the dashboard's first page; only rows of its table are shown",
        f"{_CONSOLE}/Notifications.class.php",
    ),
    Entry(
        ACT, ("fwconsole", "reload"), "write Asterisk's files from FreePBX's database, and have them read",
        "its own output is dropped: where it fails it traces calls, passwords among their arguments",
        f"{_CONSOLE}/Reload.class.php",
    ),
)  # fmt: skip
