"""What may be typed at FreeSWITCH's prompt (`fs_cli`), and at Avaya Communication Manager's (the SAT).

Not here, for good. FreeSWITCH: `xml_locate`, `user_data`, `list_users`, `eval`, `global_getvar`, `uuid_dump`, `db`,
`hash`, `system`, `bg_system`, `lua` and the like, `show channels` (variables and dialled digits). Avaya: a bare
`display station` (its form shows the station's security code), every `change`, `add` and `remove`, `status clan-ip`
and the like, which want a card's place.
"""

from __future__ import annotations

from typing import Final

from connectors.console.grammar import NAME, NUMBER, Class, Entry, Slot

LOOK, ACT = Class.LOOK, Class.ACT
_LIVE: Final = "seen free of secrets on FreeSWITCH 1.10.12"
_DID: Final = "done on a live FreeSWITCH 1.10.12"
_COUNTS: Final = "it prints counts and times"
_STATES: Final = "it prints names, network addresses and states"
_DONE: Final = "it prints whether it was done"
USER: Final = Slot(
    "USER@DOMAIN", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,126}", example="2001@brook.example"
)
CALL: Final = Slot("UUID", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", example="0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
GATEWAY: Final = Slot("GATEWAY", rf"(?!all\Z){NAME.pattern}", example="provider")  # `all` would be every one of them

FREESWITCH: Final = (
    Entry(LOOK, ("version",), "the version of FreeSWITCH", "it prints one line", _LIVE),
    Entry(LOOK, ("status",), "how long it has been running, and how many calls go on", _COUNTS, _LIVE),
    Entry(LOOK, ("show", "calls", "count"), "how many calls go on", _COUNTS, _LIVE),
    Entry(LOOK, ("sofia", "status"), "profiles and gateways, and their states", _STATES, _LIVE),
    Entry(LOOK, ("sofia", "status", "profile", NAME), "one profile", _STATES, _LIVE),
    Entry(
        LOOK, ("sofia", "status", "profile", NAME, "reg"), "telephones registered at one profile",
        "it prints names and network addresses; of passwords there are none", _LIVE,
    ),
    Entry(
        LOOK, ("sofia", "status", "gateway", GATEWAY), "one gateway",
        "it prints the provider's account; of the password only whether there is one, and that is withheld too", _LIVE,
    ),
    Entry(ACT, ("reloadxml",), "have the configuration read again; calls go on", _DONE, _DID),
    Entry(ACT, ("sofia", "profile", NAME, "rescan"), "have one profile read its gateways again", _DONE, _DID),
    Entry(ACT, ("sofia", "profile", NAME, "register", GATEWAY), "register one gateway again", _DONE, _DID),
    Entry(
        ACT, ("sofia", "profile", NAME, "flush_inbound_reg", USER), "drop the registration of one telephone", _DONE,
        _DID,
    ),
    Entry(
        ACT, ("sofia", "profile", NAME, "unregister", GATEWAY), "drop the registration with one provider", _DONE,
        _DID,
    ),
    Entry(
        ACT, ("sofia", "profile", NAME, "restart"), "restart one profile: ITS CALLS ARE CUT OFF", _DONE, _DID,
        extra=True,
    ),
    Entry(ACT, ("uuid_kill", CALL), "end one call", _DONE, _DID, extra=True),
    Entry(
        ACT, ("fsctl", "shutdown", "restart", "elegant"), "take no new call, and restart when the last has ended",
        _DONE, "FreeSWITCH's source, mod_commands; that it waits for calls was seen on 1.10.12", extra=True,
    ),
)  # fmt: skip

_MANUAL: Final = "Maintenance Commands for Avaya Aura Communication Manager, 03-300431"
AVAYA: Final = (
    Entry(LOOK, ("display", "time"), "its clock", "it prints a time", _MANUAL),
    Entry(LOOK, ("display", "alarms"), "what it complains of", "it prints parts, ports and times", _MANUAL),
    Entry(LOOK, ("list", "station"), "stations, a line each", "it prints names and ports", _MANUAL),
    Entry(LOOK, ("list", "registered-ip-stations"), "IP telephones that are registered", _STATES, _MANUAL),
    Entry(LOOK, ("list", "trunk-group"), "trunk groups, a line each", "it prints names and counts", _MANUAL),
    Entry(LOOK, ("status", "station", NUMBER), "whether one station is in service", _STATES, _MANUAL),
    Entry(LOOK, ("status", "trunk", NUMBER), "the members of one trunk group and their states", _STATES, _MANUAL),
    Entry(LOOK, ("status", "signaling-group", NUMBER), "whether one signalling group is in service", _STATES, _MANUAL),
    Entry(LOOK, ("status", "media-gateways"), "media gateways and their alarms", _STATES, _MANUAL),
)  # fmt: skip
