"""The lab's prompt: what Asterisk 22.10.1 prints, in its own layout, from the lab's memory.

Like the real one it also prints secrets when it is asked for them (`pjsip show auth`, `dialplan show`, …): the
gateway's grammar is what keeps such a request from being sent, and tests prove it against this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from connectors.lab.store import LabStore

_RULE: Final = "=" * 90
_HEADER: Final = (
    "\n"
    " Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>\n"
    "    I/OAuth:  <AuthId/UserName...........................................................>\n"
    "        Aor:  <Aor............................................>  <MaxContact>\n"
    "      Contact:  <Aor/ContactUri..........................> <Hash....> <Status> <RTT(ms)..>\n"
    "  Transport:  <TransportId........>  <Type>  <cos>  <tos>  <BindAddress..................>\n"
    "   Identify:  <Identify/Endpoint.........................................................>\n"
    "        Match:  <criteria.........................>\n"
    "    Channel:  <ChannelId......................................>  <State.....>  <Time.....>\n"
    "        Exten: <DialedExten...........>  CLCID: <ConnectedLineCID.......>\n"
    f"{_RULE}\n"
)


def answer(store: LabStore, line: str) -> Iterator[str]:
    """What the prompt prints for one line, in pieces."""
    people = store.everyone()
    match line.split():
        case ["core", "show", what]:
            yield _core(what, line)
        case ["manager", "show", "connected"]:
            yield "  Username         IP Address       Start       Elapsed     FileDes  HttpCnt  ReadPerms"
            yield "  WritePerms\n"
            yield "0 users connected.\n"
        case ["module", "show", "like", name]:
            found = [m for m in ("app_voicemail.so", "chan_pjsip.so", "res_pjsip.so") if name in m]
            yield f"{'Module':<30} {'Description':<40} {'Use Count':<10}  {'Status':<11}   {'Support Level':>13}\n"
            yield from (f"{m:<30} {'of the lab':<40} {0:<10}  {'Running':<11}   {'core':>13}\n" for m in found)
            yield f"{len(found)} modules loaded\n"
        case ["pjsip", "show", "endpoints"]:
            yield _HEADER
            yield from (_endpoint(store, person) + "\n" for person in people)
            yield f"\nObjects found: {len(people)}\n\n"
        case ["pjsip", "show", "endpoint", name]:
            yield from (_one_endpoint(store, p) for p in people if p["id"] == name)
            if store.get(name) is None:
                yield f"Unable to find object {name}.\n\n"
        case ["pjsip", "show", "aors"]:
            yield "\n      Aor:  <Aor..............................................>  <MaxContact>\n"
            yield "    Contact:  <Aor/ContactUri............................> <Hash....> <Status> <RTT(ms)..>\n"
            yield f"{_RULE}\n\n"
            yield from (f"      Aor:  {person['id']:<51}  2\n\n" for person in people)
            yield f"\nObjects found: {len(people)}\n\n"
        case ["pjsip", "show", "contacts"]:
            yield from _contacts(store, people)
        case ["pjsip", "show", "registrations"]:
            yield "No objects found.\n\n"
        case ["pjsip", "list", "endpoints"]:
            yield "\n Endpoint:  <Endpoint/CID.....................................>  <State.....>  <Channels.>\n"
            yield f"{_RULE}\n\n"
            yield from (_endpoint(store, person).split("\n")[1] + "\n" for person in people)
            yield f"\nObjects found: {len(people)}\n\n"
        case ["queue", "show", *_]:
            yield "No queues.\n"
        case ["voicemail", "show", "users"]:
            yield "Context    Mbox  User                      Zone       NewMsg\n"
            for person in people:
                # Asterisk pads by bytes, so that names in other scripts stand askew there too.
                pad = " " * max(0, 25 - len(person["name"].encode()))
                yield f"default    {person['extension']:<5} {person['name']}{pad} {'':<10} {0:>6}\n"
            yield f"{len(people)} voicemail users configured.\n"
        case words:
            done = _done(store, words)
            yield from _telling(people, line) if done is None else (done,)


def _done(store: LabStore, words: list[str]) -> str | None:
    """What is said of a command that acts; None for what is none. The lab has nothing to reload or to restart."""
    match words:
        case ["pjsip", "qualify", name]:
            known = store.get(name) is not None
            return f"Qualifying all contacts on endpoint {name}\n" if known else f"Unable to find endpoint {name}\n"
        case ["module", "reload", name]:
            return f"Module '{name}' reloaded successfully.\n"
        case ["dialplan", "reload"]:
            return "Dialplan reloaded.\n"
        case ["voicemail", "reload"]:
            return "Reloading voicemail configuration...\n"
        case ["pjsip", "send", "register" | "unregister", name]:
            return f"Unable to retrieve registration {name}\n"
        case ["core", "reload"] | ["core", "restart", "gracefully"] | ["core", "abort", "shutdown"]:
            return ""
        case ["channel", "request", "hangup", name]:
            return f"{name} is not a known channel\n"
        case _:
            return None


def _core(what: str, line: str) -> str:
    match what:
        case "version":
            return "Asterisk 22.10.1 (lab) built by nobody @ nowhere on a training machine\n"
        case "uptime":
            return "System uptime: 1 week, 2 days\nLast reload: 3 hours, 4 minutes\n"
        case "channels":
            title = "Channel              Location             State   Application(Data)             \n"
            return title + "0 active channels\n0 active calls\n17 calls processed\n"
        case "calls":
            return "0 active calls\n17 calls processed\n"
        case _:
            return _unknown(line)


def _unknown(line: str) -> str:
    return f"No such command '{line}' (type 'core show help {line}' for other possible commands)\n"


def _endpoint(store: LabStore, person: dict[str, Any]) -> str:
    name = person["id"]
    contacts = store.contacts(name)
    state = "Not in use" if contacts else "Unavailable"
    lines = [
        f" Endpoint:  {name + '/' + person['extension']:<52} {state:<12}  0 of inf",
        f"     InAuth:  {name}/{name}",
        f"        Aor:  {name:<50} 2",
        *(
            f"      Contact:  {name}/sip:{name}@{address:<28} {'5b4bebb4d4'} NonQual         nan"
            for address in contacts
        ),
        "  Transport:  transport-udp             udp      0      0  127.0.0.1:5060",
    ]
    return "\n" + "\n".join(lines)


def _one_endpoint(store: LabStore, person: dict[str, Any]) -> str:
    shown = {
        "100rel": "yes",
        "allow": "(ulaw|alaw)",
        "aors": person["id"],
        "auth": person["id"],
        "callerid": f'"{person["name"]}" <{person["extension"]}>',
        "context": "internal",
        "direct_media": "false",
        "dtmf_mode": "rfc4733",
        "mailboxes": f"{person['extension']}@default",
        "max_audio_streams": "1",
        "media_encryption": "no",
        "outbound_auth": "",
        "transport": "transport-udp",
        "webrtc": "no",
    }
    table = "".join(f" {key:<34} : {value}\n" for key, value in shown.items())
    title = f"\n\n {'ParameterName':<34} : ParameterValue\n {'=' * 99}\n"
    return f"{_HEADER}{_endpoint(store, person)}\n{title}{table}\n"


def _contacts(store: LabStore, people: list[dict[str, Any]]) -> Iterator[str]:
    found = [(p["id"], address) for p in people for address in store.contacts(p["id"])]
    if not found:
        yield "No objects found.\n\n"
        return
    yield "\n  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>\n"
    yield f"{_RULE}\n\n"
    for name, address in found:
        yield f"  Contact:  {f'{name}/sip:{name}@{address}':<46} 5b4bebb4d4 NonQual         nan\n"
    yield f"\nObjects found: {len(found)}\n\n"


def _telling(people: list[dict[str, Any]], line: str) -> Iterator[str]:
    """What must never be asked for: every answer here holds secrets, as the real one's does."""
    match line.split():
        case ["pjsip", "show", "auth", name]:
            for person in (p for p in people if p["id"] == name):
                yield f"\n     Auth:  {name}/{name}\n\n {'ParameterName':<24} : ParameterValue\n {'=' * 46}\n"
                for key, value in (("auth_type", "userpass"), ("md5_cred", ""), ("password", person["sip"])):
                    yield f" {key:<24} : {value}\n"
        case ["pjsip", "export", "config_wizard", *_]:
            for person in people:
                yield f"[{person['id']}]\ntype = wizard\ninbound_auth/password = {person['sip']}\n"
        case ["dialplan", "show", *_]:
            for person in people:
                yield f"  '{person['extension']}' =>  1. Authenticate({person['pin']}) [extensions.conf:1]\n"
        case ["voicemail", "show", "users", "for", _]:
            for person in people:
                yield f"default    {person['extension']:<5} {person['pin']:<12} {person['name']}\n"
        case ["database", "show", *_]:
            for person in people:
                yield f"/portal/{person['id']}/password : {person['portal']}\n"
        case _:
            yield _unknown(line)
