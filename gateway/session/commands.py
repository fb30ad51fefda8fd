"""What an engineer can say, one function a command. Data goes to standard output, talk to standard error."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import phonenumbers
from sqlalchemy import select

from connectors.console import ASTERISK, OutputFilter
from connectors.console import parse as parse_diag
from connectors.contract import UNSET, Change, Operation, Person, SecretKind
from connectors.errors import ConnectorError, InvalidValue
from gateway import errors, notify
from gateway.access.directory import Directory, agreement_of
from gateway.errors import AmbiguousError, FrameroomError, NotFoundError, NotPermittedError, UsageError
from gateway.model import Grant, PhoneSystem
from gateway.session.channel import Channel, Identity
from gateway.session.resets import Resets, masked
from gateway.session.session import Did, Visit, Visits
from gateway.store.engine import Scope
from gateway.store.tables import approvers

FIND_LIMIT: Final = 20
PAGE: Final = 200
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> str:
    """A value from outside, fit for a terminal: control and direction-changing characters made visible."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


@dataclass(slots=True)
class Caller:
    """One channel's conversation."""

    channel: Channel
    identity: Identity
    customer: str = ""
    system: PhoneSystem | None = None
    as_json: bool = False
    yes: bool = False
    interactive: bool = False
    words: list[str] = field(default_factory=list)

    def out(self, rows: Sequence[dict[str, Any]], empty: str = "") -> None:
        """A table that fits the width, or JSON."""
        if self.as_json:
            self.channel.write(json.dumps(list(rows), ensure_ascii=False) + "\n")
        elif rows:
            self.channel.write(table(rows, self.channel.columns))
        elif empty:
            self.channel.write_err(empty + "\n")

    def say(self, text: str) -> None:
        """Talk."""
        self.channel.write_err(shown(text) + "\n")

    async def confirm(self, question: str) -> bool:
        """Ask, unless --yes said so; without a terminal nobody can answer."""
        if self.yes:
            return True
        if not self.interactive:
            raise UsageError("This asks before it acts.", next_step="Add --yes to do it from a script.")
        answer = await self.channel.read_line(f"{question} [y/N] ")
        return (answer or "").strip().lower() in {"y", "yes"}


def table(rows: Sequence[dict[str, Any]], width: int) -> str:
    """Rows as columns; the widest column gives way when the terminal is narrow."""
    names = list(rows[0])
    cells = [[shown(str("" if row[name] is None else row[name])) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    while sum(widths) + 2 * len(widths) > width and max(widths) > 6:
        widths[widths.index(max(widths))] -= 1
    lines = [[n.upper() for n in names], *cells]
    cut = [[c if len(c) <= w else c[: w - 1] + "…" for c, w in zip(line, widths, strict=True)] for line in lines]
    return "".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n" for line in cut)


def person_row(person: Person) -> dict[str, Any]:
    """As it is shown."""
    ddis = "not available" if person.ddis is None else ", ".join(person.ddis)
    return {"extension": person.extension, "name": person.name, "email": person.email or "", "ddi": ddis}


def e164(text: str) -> str:
    """+442079460123 from a number however typed. InvalidValue when it is none."""
    try:
        number = phonenumbers.parse(text, "GB")
    except phonenumbers.NumberParseException as error:
        raise InvalidValue(f"{shown(text)[:40]} is not a telephone number") from error
    if re.search("[A-Za-z]", text) or not phonenumbers.is_possible_number(number):
        raise InvalidValue(f"{shown(text)[:40]} is not a telephone number")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def duration(text: str) -> int:
    """Minutes of 2h, 90m, 1h30m."""
    match = re.fullmatch(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?", text)
    if not match or not text:
        raise UsageError(f"{shown(text)[:20]} is no duration", next_step="Write it like 2h, 90m or 1h30m.")
    return int(match[1] or 0) * 60 + int(match[2] or 0)


class Commands:
    """Runs one line. Raises FrameroomError and ConnectorError; shell.py turns them into words and exit codes."""

    def __init__(self, visits: Visits, resets: Resets, places: Directory) -> None:
        self.visits, self.resets, self.places = visits, resets, places
        self.permission = visits.permission
        self.table: dict[str, tuple[Callable[[Caller], Awaitable[None]], str]] = {
            "help": (self.help, "this list"),
            "whoami": (self.whoami, "who you are and how you signed in"),
            "systems": (self.systems, "systems [WORDS]: phone systems of customers whose list names you"),
            "request": (
                self.request,
                'request SYSTEM --ops find,view,… --for 2h --ticket T --reason "…" [--wait]: ask the customer',
            ),
            "requests": (self.requests, "what you asked for, and the answers"),
            "grants": (self.grants, "what you may do now, and until when"),
            "use": (self.use, "use SYSTEM: the phone system that the next commands are about"),
            "find": (self.find, "find WORDS: at most 20 people by name, extension, number or email"),
            "users": (self.users, "everyone (permitted apart from find)"),
            "show": (self.show, "show USER: name, email, direct number"),
            "set": (self.set, 'set USER name="…" email=… ddi=…'),
            "remove": (self.remove, "remove USER: shows what goes, and asks"),
            "reset": (self.reset, "reset USER voicemail|sip|portal: a new password that nobody here sees"),
            "diag": (self.diag, "diag [COMMAND]: diagnostics from a fixed list"),
            "exit": (self.leave, "leave"),
        }

    async def run(self, caller: Caller, line: str) -> None:
        """One command line, its flags taken off."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError("A quotation mark is missing.") from error
        if len(line) > 16_384:
            raise UsageError("That line is too long.")
        caller.as_json, caller.yes = "--json" in words, "--yes" in words
        words = [w for w in words if w not in {"--json", "--yes"}]
        if not words:
            return
        found = self.table.get(words[0])
        if found is None:
            raise UsageError(f"{shown(words[0])[:40]} is not a command.", next_step="`help` lists them.")
        caller.words = await self._take_system(caller, words[1:])
        await found[0](caller)

    async def _take_system(self, caller: Caller, words: list[str]) -> list[str]:
        if "--system" not in words:
            return words
        place = words.index("--system")
        if place + 1 >= len(words):
            raise UsageError("--system needs a name.")
        caller.customer, caller.system = await self._system(caller, words[place + 1])
        return words[:place] + words[place + 2 :]

    async def _system(self, caller: Caller, words: str) -> tuple[str, PhoneSystem]:
        found = await self.places.systems_for(caller.identity.engineer_id, words)
        exact = [f for f in found if f[1].name.casefold() == words.casefold() or f[1].id == words]
        found = exact or found
        if not found:
            raise NotFoundError("There is no such phone system for you.", next_step="`systems` lists them.")
        if len(found) > 1:
            raise AmbiguousError("Several phone systems match:", tuple(f"{c}: {s.name}" for c, s in found[:20]))
        return found[0]

    async def _visit(self, caller: Caller, operation: Operation) -> Visit:
        """The visit to act in: the named system, or the only one that there is permission for."""
        grants = await self.permission.open_grants(caller.identity.engineer_id)
        if caller.system is None:
            ids = {g.system_id for g in grants}
            mine = [f for f in await self.places.systems_for(caller.identity.engineer_id) if f[1].id in ids]
            if len(mine) != 1:
                raise NotPermittedError(
                    "No customer has given you permission." if not mine else "You have permission for several systems.",
                    next_step="Ask with `request`." if not mine else "Say which: `use SYSTEM`, or --system NAME.",
                )
            caller.customer, caller.system = mine[0]
        here = [g for g in grants if g.system_id == caller.system.id]
        naming = [g for g in here if operation in g.operations] or here
        if not naming:
            decision = await self.permission.explain(caller.identity.engineer_id, caller.system, operation, None)
            raise NotPermittedError(decision.words)
        visit = await self.visits.open(caller.identity, caller.customer, caller.system, naming[0])
        if caller.channel not in visit.channels:
            visit.channels.add(caller.channel)
            caller.channel.tap = visit.recording.output
            caller.channel.on_resize = visit.recording.resize
            visit.recording.resize(caller.channel.columns, caller.channel.rows)
        return visit

    async def _person(self, caller: Caller, visit: Visit, words: str) -> Person:
        """The one person meant by an extension, a number however typed, an email or part of a name."""
        connector = await self.visits.connector(visit)
        wanted = words
        if re.fullmatch(r"[+0-9 ()-]{7,}", words):
            wanted = e164(words)
        found = (await connector.find(wanted, FIND_LIMIT)).people
        exact = [
            p
            for p in found
            if wanted in (p.id, p.extension, *(p.ddis or ())) or (p.email or "").casefold() == wanted.casefold()
        ]
        # Digits mean exactly one extension or number: part of somebody's number must never pick who is removed.
        found = tuple(exact) or (() if re.fullmatch(r"[+0-9 ()-]+", words) else found)
        if not found:
            raise NotFoundError(f"Nobody matches {shown(words)[:60]}.", next_step="`find` looks for part of a name.")
        if len(found) > 1:
            raise AmbiguousError("Several people match:", tuple(f"{p.extension}  {p.name}" for p in found))
        return found[0]

    def _one(self, caller: Caller, usage: str) -> str:
        if not caller.words:
            raise UsageError(f"Say whom: {usage}")
        return caller.words[0]

    # --- about oneself and permission ---

    async def help(self, caller: Caller) -> None:
        """List the commands."""
        caller.out([{"command": name, "does": words} for name, (_, words) in self.table.items()])

    async def whoami(self, caller: Caller) -> None:
        """Who is signed in."""
        who = caller.identity
        row = {"login": who.login, "name": who.name, "factor": who.factor, "key": who.fingerprint, "from": who.address}
        caller.out([row])

    async def systems(self, caller: Caller) -> None:
        """Phone systems."""
        found = await self.places.systems_for(caller.identity.engineer_id, " ".join(caller.words))
        open_here = {g.system_id for g in await self.permission.open_grants(caller.identity.engineer_id)}
        rows = [{"customer": c, "system": s.name, "permission": "open" if s.id in open_here else ""} for c, s in found]
        caller.out(rows, "No phone system matches.")

    async def request(self, caller: Caller) -> None:
        """Ask."""
        options: dict[str, str] = {"ops": "find,view", "for": "2h", "ticket": "", "reason": ""}
        words, wait = list(caller.words), "--wait" in caller.words
        words = [w for w in words if w != "--wait"]
        named = [words.pop(0)] if words and not words[0].startswith("--") else []
        while words:
            name = words.pop(0).removeprefix("--")
            if name not in options or not words:
                raise UsageError(f"--{shown(name)[:20]} is not an option of request.", next_step="`help` shows them.")
            options[name] = words.pop(0)
        if not named:
            raise UsageError("Say which phone system.", next_step="`systems` lists them.")
        caller.customer, caller.system = await self._system(caller, named[0])
        try:
            wanted = frozenset(Operation(w) for w in options["ops"].split(","))
        except ValueError as error:
            known = ", ".join(o.value for o in Operation)
            raise UsageError("One of those is not an operation.", next_step=f"They are: {known}.") from error
        request = await self.permission.submit(
            caller.identity.engineer_id, caller.system, wanted, duration(options["for"]), options["ticket"],
            options["reason"],
        )  # fmt: skip
        caller.out([{"request": request.id, "system": caller.system.name, "state": request.state.value}])
        if wait:
            await self._wait(caller, request.id)

    async def _wait(self, caller: Caller, request_id: str) -> None:
        caller.say("Waiting for the customer's answer (Ctrl-C stops waiting; the request stays).")
        while True:
            for request in await self.permission.requests_of(caller.identity.engineer_id):
                if request.id == request_id and request.state.value != "waiting":
                    caller.channel.notify_line(f"The customer's answer: {request.state.value}")
                    if request.state.value != "granted":
                        raise NotPermittedError(f"The request was {request.state.value}.")
                    return
            await asyncio.sleep(0.3)

    async def requests(self, caller: Caller) -> None:
        """What was asked for."""
        rows = [
            {"request": r.id, "operations": " ".join(sorted(r.operations)), "state": r.state.value, "ticket": r.ticket}
            for r in await self.permission.requests_of(caller.identity.engineer_id)
        ]
        caller.out(rows, "You have asked for nothing yet.")

    async def grants(self, caller: Caller) -> None:
        """What may be done."""
        names = {s.id: (c, s.name) for c, s in await self.places.systems_for(caller.identity.engineer_id)}
        rows = [self._grant_row(g, *names.get(g.system_id, ("", g.system_id))) for g in await self._mine(caller)]
        caller.out(rows, "No customer has given you permission now.")

    async def _mine(self, caller: Caller) -> list[Grant]:
        return await self.permission.open_grants(caller.identity.engineer_id)

    def _grant_row(self, grant: Grant, customer: str, system: str) -> dict[str, Any]:
        left = max(0, grant.until_ms - self.permission.now) // 60_000
        until = datetime.fromtimestamp(grant.until_ms / 1000, ZoneInfo("Europe/London")).strftime("%d %b %H:%M London")
        return {
            "customer": customer, "system": system, "operations": " ".join(sorted(grant.operations)), "until": until,
            "minutes left": left, "how": grant.how,
        }  # fmt: skip

    async def use(self, caller: Caller) -> None:
        """Choose a phone system."""
        caller.customer, caller.system = await self._system(caller, " ".join(caller.words))
        caller.say(f"{caller.customer}: {caller.system.name}")

    async def leave(self, caller: Caller) -> None:
        """Handled by the shell; as a one-shot command it does nothing."""

    # --- the operations ---

    async def find(self, caller: Caller) -> None:
        """Look people up."""
        words = " ".join(caller.words)
        if not words.strip():
            raise UsageError("Say what to look for: find WORDS", next_step="`users` lists everyone, where permitted.")
        visit = await self._visit(caller, Operation.FIND)

        async def work(_: str) -> Did:
            page = await (await self.visits.connector(visit)).find(words, FIND_LIMIT)
            return Did(page.people, len(page.people), page.people)

        people = (await self.visits.act(visit, Operation.FIND, work)).result
        caller.out([person_row(p) for p in people], "Nobody matches.")

    async def users(self, caller: Caller) -> None:
        """Everyone, page by page, each page an operation of its own."""
        visit = await self._visit(caller, Operation.LIST_ALL)
        cursor: str | None = None
        while True:
            at = cursor

            async def work(_: str, at: str | None = at) -> Did:
                page = await (await self.visits.connector(visit)).people(at, PAGE)
                return Did(page, len(page.people), page.people)

            page = (await self.visits.act(visit, Operation.LIST_ALL, work)).result
            caller.out([person_row(p) for p in page.people])
            await caller.channel.drain()
            cursor = page.cursor
            if cursor is None:
                return

    async def show(self, caller: Caller) -> None:
        """One person."""
        words = self._one(caller, "show USER")
        visit = await self._visit(caller, Operation.VIEW)

        async def work(_: str) -> Did:
            person = await self._person(caller, visit, words)
            return Did(person, 1, (person,))

        person = (await self.visits.act(visit, Operation.VIEW, work, person=words)).result
        caller.out([person_row(person)])

    async def set(self, caller: Caller) -> None:
        """Alter a person: what it was is shown, and written only if it still is that."""
        words = self._one(caller, "set USER name=… email=… ddi=…")
        values: dict[str, str] = {}
        for word in caller.words[1:]:
            name, equals, value = word.partition("=")
            if not equals or name not in {"name", "email", "ddi"} or name in values:
                raise UsageError(f"{shown(word)[:40]} is not name=…, email=… or ddi=….")
            values[name] = value
        if not values:
            raise UsageError("Say what to set: name=… email=… ddi=…")
        visit = await self._visit(caller, Operation.ALTER)
        change = await self._change(visit, values)

        async def work(_: str) -> Did:
            before = await self._person(caller, visit, words)
            after = await (await self.visits.connector(visit)).alter(before.id, change, before)
            changes = {f: [_value(before, f), _value(after, f)] for f in change.fields()}
            told = "; ".join(f"{f} from {a or 'nothing'} to {b or 'nothing'}" for f, (a, b) in changes.items())

            async def also(scope: Scope) -> None:
                await self._tell_of_change(scope, before, change, told)

            personal = (("before", asdict_person(before)), ("after", asdict_person(after)))
            return Did(after, 1, (after,), personal, f"{before.name}: {told}", True, also)

        after = (await self.visits.act(visit, Operation.ALTER, work, person=words, fields=change.fields())).result
        caller.out([person_row(after)])

    async def _change(self, visit: Visit, values: dict[str, str]) -> Change:
        async with self.visits.store.scope(visit.system.customer_id) as scope:
            agreement = await agreement_of(scope)
        domains = agreement.terms.mail_domains if agreement else ()
        email = values.get("email")
        if email:
            if not re.fullmatch(r"[^@\s\"<>]+@[^@\s\"<>]+\.[^@\s\"<>]+", email):
                raise InvalidValue(f"{shown(email)[:60]} is no mail address")
            if email.rpartition("@")[2].lower() not in domains:
                raise NotPermittedError(f"The agreement allows addresses at {', '.join(domains) or 'no domain'} only.")
        name = values.get("name")
        if name is not None and (not name.strip() or _CONTROL.search(name)):
            raise InvalidValue("a name cannot be empty or hold control characters")
        ddi = values.get("ddi")
        return Change(
            name=UNSET if name is None else name,
            email=UNSET if email is None else (email or None),
            ddi=UNSET if ddi is None else (e164(ddi) if ddi else None),
        )

    async def _tell_of_change(self, scope: Scope, before: Person, change: Change, told: str) -> None:
        """An email or number that changes is told to the old address and the approvers at once (invariant 6)."""
        if change.email is UNSET and change.ddi is UNSET:
            return
        query = select(approvers.c.email).where(
            approvers.c.customer_id == scope.customer_id, approvers.c.removed_ms.is_(None)
        )
        addresses = [*(await scope.execute(query)).scalars()]
        if change.email is not UNSET and before.email:
            addresses.append(before.email)
        body = f"{before.name} (extension {before.extension}): {told}.\nIf nobody asked for this, ring us now.\n"
        await notify.queue(
            scope, addresses, "address changed", "A telephone user was changed", body, self.permission.now
        )

    async def remove(self, caller: Caller) -> None:
        """Remove a person, after showing what that means."""
        words = self._one(caller, "remove USER")
        visit = await self._visit(caller, Operation.REMOVE)

        async def plan(_: str) -> Did:
            person = await self._person(caller, visit, words)
            removal = await (await self.visits.connector(visit)).plan_removal(person.id)
            return Did((person, removal), 1, (person,))

        person, removal = (await self.visits.act(visit, Operation.REMOVE, plan, person=words, fields=("plan",))).result
        caller.say(f"{person.name} (extension {person.extension}) would lose: {', '.join(removal.removed)}.")
        caller.say("This cannot be undone here: Frameroom does not add users.")
        if not await caller.confirm("Remove?"):
            caller.say("Nothing was removed.")
            return

        async def work(_: str) -> Did:
            done = await (await self.visits.connector(visit)).remove(person.id, person)
            return Did(done, 1, (), (("before", asdict_person(person)),), f"{person.name} was removed", True)

        done = (await self.visits.act(visit, Operation.REMOVE, work, person=person.id)).result
        caller.out([{"removed": ", ".join(done.removed), "remains": ", ".join(done.remains)}])

    async def reset(self, caller: Caller) -> None:
        """Reset a password that nobody here will see."""
        drop = "--phones-will-drop" in caller.words
        caller.words = [w for w in caller.words if w != "--phones-will-drop"]
        if len(caller.words) != 2 or caller.words[1] not in set(SecretKind):
            raise UsageError("Write: reset USER voicemail, or sip, or portal.")
        words, kind = caller.words[0], SecretKind(caller.words[1])
        visit = await self._visit(caller, kind.operation)

        async def look(_: str) -> Did:
            person = await self._person(caller, visit, words)
            return Did((person, await (await self.visits.connector(visit)).devices(person.id)), 1, (person,))

        person, devices = (await self.visits.act(visit, kind.operation, look, person=words, fields=("plan",))).result
        if kind is SecretKind.SIP:
            for device in devices:
                caller.say(f"registered now: {device.label}")
            if not drop:
                raise UsageError(
                    "The telephones above will drop at their next registration." if devices else
                    "Telephones with the old password cannot register again.",
                    next_step="Add --phones-will-drop when somebody is there to enter the new one.",
                )  # fmt: skip
        to = await self.resets.recipient(visit, person)
        if not await caller.confirm(f"Reset the {kind.value} password of {person.name}?"):
            caller.say("Nothing was reset.")
            return

        async def work(operation: str) -> Did:
            return await self.resets.run(visit, person, kind, operation, to)

        for note in (await self.visits.act(visit, kind.operation, work, person=person.id)).result:
            caller.say(note)
        caller.out(
            [{"user": person.extension, "password": kind.value, "result": f"reset; sent to {masked(to.address)}"}]
        )

    async def diag(self, caller: Caller) -> None:
        """Diagnostics: parsed, rendered again, redacted."""
        if not caller.words:
            caller.out([{"command": entry.usage(), "shows": entry.shows} for entry in ASTERISK])
            return
        command = parse_diag(" ".join(caller.words))
        visit = await self._visit(caller, Operation.DIAG)

        async def work(_: str) -> Did:
            strainer, size = OutputFilter(), 0
            async for data in (await self.visits.connector(visit)).diag(command):
                size += len(data)
                caller.channel.write(strainer.feed(data).decode("utf-8", "replace"))
                await caller.channel.drain()
            caller.channel.write(strainer.flush().decode("utf-8", "replace"))
            return Did(None, size, (), (), f"ran the diagnostic `{command.render()}`")

        await self.visits.act(visit, Operation.DIAG, work, fields=(command.entry,))


def _value(person: Person, name: str) -> str | None:
    return ", ".join(person.ddis or ()) if name == "ddi" else getattr(person, name)


def asdict_person(person: Person) -> dict[str, Any]:
    """As it is sealed into an event."""
    plain = asdict(person)
    return plain | {"ddis": list(person.ddis) if person.ddis is not None else None}


def exit_code(error: FrameroomError | ConnectorError) -> int:
    """0 done, 1 failed, 2 usage, 3 not permitted, 4 refused by the phone system, 5 outcome unknown."""
    if isinstance(error, FrameroomError):
        return error.exit_code
    if error.code == "outcome-unknown":
        return errors.EXIT_UNKNOWN
    if error.code == "invalid-value":
        return errors.EXIT_USAGE
    return errors.EXIT_FAILED if error.code in {"unreachable", "identity-mismatch", "protocol"} else errors.EXIT_REFUSED
