"""The operations on people: find, users, show, set, remove, reset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from connectors.contract import UNSET, Change, Device, Operation, Page, Person, SecretKind, SecretRules
from gateway.errors import UsageError
from gateway.numbers import as_begun
from gateway.session.commands.acts import Acts, checked, differences
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller
from gateway.session.commands.desk import FIND_LIMIT
from gateway.session.commands.text import options, person_row, read_field, shown
from gateway.session.recipients import masked
from gateway.session.session import Did, Visit

PAGE: Final = 200
FIELDS: Final = ("name", "email", "ddi")
_USER: Final = "USER is an extension, a number however typed, an email or part of a name."


class People:
    """find, users, show, set, remove, reset."""

    def __init__(self, acts: Acts) -> None:
        self._acts, self._desk, self._visits = acts, acts.desk, acts.desk.visits

    def commands(self) -> list[Command]:
        """In the order in which help lists them: what engineers come for most is first."""
        return [
            Command(
                "reset", self.reset, "reset USER voicemail|sip|portal [--phones-will-drop] [--yes]",
                "a new password that nobody here sees; it goes to the user by a link", "reset 2001 voicemail", _USER,
            ),
            Command(
                "find", self.find, "find WORDS", "at most 20 people by name, extension, number or email",
                "find grace",
            ),
            Command("users", self.users, "users", "everyone (permitted apart from find)", "users --json"),
            Command("show", self.show, "show USER", "name, email, direct number", "show 020 7946 0000", _USER),
            Command(
                "set", self.set, 'set USER name="…" email=… ddi=… [--yes]',
                "alter a person; email= or ddi= with nothing after it takes it away", 'set 2001 name="Grace Bell"',
                _USER + " Who had the old address, and the approvers, are told when an address or number changes.",
            ),
            Command(
                "remove", self.remove, "remove USER [--yes]", "take a person away: shows what goes, and asks",
                "remove 2003", _USER + " It cannot be undone here.",
            ),
        ]  # fmt: skip

    # --- looking ---

    async def find(self, caller: Caller) -> None:
        """Look people up."""
        words = " ".join(options(caller.words)[0])
        if not words.strip():
            raise UsageError("Say what to look for: find WORDS", next_step="`users` lists everyone, where permitted.")
        visit = await self._desk.visit(caller, Operation.FIND)

        async def work(_: str) -> Did:
            connector, number = await self._visits.connector(visit), as_begun(words, visit.country)
            page = Page((), None) if number is None else await connector.find(number, FIND_LIMIT)
            page = page if page.people else await connector.find(words, FIND_LIMIT)
            return Did(page.people, len(page.people), page.people)

        people = (await self._visits.act(visit, Operation.FIND, work)).result
        caller.remember(people)
        caller.out(rows_of(caller, visit, people), "Nobody matches.")
        if len(people) == FIND_LIMIT:
            caller.say(f"These are the first {FIND_LIMIT}: more words find fewer.")

    async def users(self, caller: Caller) -> None:
        """Everyone, page by page, each page an operation of its own."""
        visit = await self._desk.visit(caller, Operation.LIST_ALL)
        listing, cursor = caller.listing(), None
        while True:
            page = (await self._visits.act(visit, Operation.LIST_ALL, self._page(visit, cursor))).result
            caller.remember(page.people)
            listing.add(rows_of(caller, visit, page.people))
            await caller.channel.drain()
            cursor = page.cursor
            if cursor is None:
                listing.end("There is nobody.")
                return

    def _page(self, visit: Visit, cursor: str | None) -> Callable[[str], Awaitable[Did]]:
        async def work(_: str) -> Did:
            page = await (await self._visits.connector(visit)).people(cursor, PAGE)
            return Did(page, len(page.people), page.people)

        return work

    async def show(self, caller: Caller) -> None:
        """One person."""
        words = self._whom("show USER", options(caller.words)[0])
        visit = await self._desk.visit(caller, Operation.VIEW)

        async def work(_: str) -> Did:
            person = await self._desk.person(visit, words)
            return Did(person, 1, (person,))

        person = (await self._visits.act(visit, Operation.VIEW, work, person=words)).result
        caller.remember((person,))
        caller.out(rows_of(caller, visit, (person,)))

    @staticmethod
    def _whom(usage: str, words: Sequence[str]) -> str:
        """The words that mean a person. UsageError when there are none."""
        meant = " ".join(words).strip()
        if not meant:
            raise UsageError(f"Say whom: {usage}", next_step=_USER)
        return meant

    async def _plan(
        self, visit: Visit, operation: Operation, words: str, look: Callable[[Person], Awaitable[Any]]
    ) -> tuple[Person, Any]:
        """The person meant and what `look` says of them: an operation of its own, before anything is asked."""

        async def work(_: str) -> Did:
            person = await self._desk.person(visit, words)
            return Did((person, await look(person)), 1, (person,))

        did = await self._visits.act(visit, operation, work, person=words, fields=("plan",))
        planned: tuple[Person, Any] = did.result
        return planned

    # --- altering ---

    async def set(self, caller: Caller) -> None:
        """Alter a person. On a terminal what it was and becomes is shown first, and it is written only if it still is
        that; where nobody is asked, it is told afterwards."""
        plain, _, _ = options(caller.words)
        values: dict[str, str] = {}
        while plain and "=" in plain[-1]:
            name, _, value = plain.pop().partition("=")
            if name not in FIELDS or name in values:
                raise UsageError(f"{shown(name)[:40]}= is not name=…, email=… or ddi=… (each at most once).")
            values[name] = value
        if any(word.partition("=")[0] in FIELDS for word in plain if "=" in word):
            raise UsageError(
                "A value with spaces goes into quotation marks.", next_step='For example: set 2001 ddi="020 7946 0900"'
            )
        words = self._whom("set USER name=… email=… ddi=…", plain)
        if not values:
            raise UsageError("Say what to set: name=… email=… ddi=…", next_step='For example: set 2001 name="Grace"')
        visit = await self._desk.visit(caller, Operation.ALTER)
        change = checked(values, await self._desk.terms(visit.system.customer_id))

        async def whom() -> Person:
            return await self._desk.person(visit, words)

        meant = whom
        if caller.interactive and not caller.yes:
            person = await self._agreed(caller, visit, words, change)
            if person is None:
                return

            async def meant() -> Person:
                return person

        altered = await self._acts.alter(visit, meant, words, change)
        if not altered.changes:
            caller.say("It was so already; nothing was written.")
        elif meant is whom:  # nobody was asked, and so nobody was shown
            show_changes(caller, altered.before, dict(altered.changes), visit.country)
        caller.remember((altered.after,))
        caller.out(rows_of(caller, visit, (altered.after,)))

    async def _agreed(self, caller: Caller, visit: Visit, words: str, change: Change) -> Person | None:
        """The person as shown to, and agreed on by, the engineer; None when nothing is to be done."""

        async def nothing_more(_: Person) -> None:
            return None

        person, _ = await self._plan(visit, Operation.ALTER, words, nothing_more)
        caller.remember((person,))
        changes = differences(person, change)
        if not changes:
            caller.say(f"{person.name} ({person.extension}): it is so already.")
            return None
        show_changes(caller, person, changes, visit.country)
        if await caller.confirm("Write it?"):
            return person
        caller.say("Nothing was written.")
        return None

    async def remove(self, caller: Caller) -> None:
        """Remove a person, after showing what that means."""
        plain, _, _ = options(caller.words)
        words = self._whom("remove USER", plain)
        visit = await self._desk.visit(caller, Operation.REMOVE)

        async def look(person: Person) -> Any:
            return await (await self._visits.connector(visit)).plan_removal(person.id)

        person, removal = await self._plan(visit, Operation.REMOVE, words, look)
        caller.say(f"{person.name} (extension {person.extension}) would lose: {', '.join(removal.removed)}.")
        if removal.remains:
            caller.say(f"What stays: {', '.join(removal.remains)}.")
        caller.say("This cannot be undone here: Frameroom does not add users.")
        if not await caller.confirm(f"Remove {person.name}?"):
            caller.say("Nothing was removed.")
            return
        done = await self._acts.remove(visit, person)
        caller.people.pop(person.extension, None)
        caller.out([{
            "user": person.extension, "removed": ", ".join(done.removed), "remains": ", ".join(done.remains),
        }])  # fmt: skip

    # --- passwords ---

    async def reset(self, caller: Caller) -> None:
        """Reset a password that nobody here will see."""
        plain, _, given = options(caller.words, switches=("phones-will-drop",))
        if len(plain) < 2 or plain[-1] not in set(SecretKind):
            raise UsageError("Write: reset USER voicemail, or sip, or portal.", next_step="reset 2001 voicemail")
        words = self._whom("reset USER voicemail|sip|portal", plain[:-1])
        kind = SecretKind(plain[-1])
        visit = await self._desk.visit(caller, kind.operation)

        async def look(person: Person) -> tuple[SecretRules, Sequence[Device]]:
            connector = await self._visits.connector(visit)
            devices = await connector.devices(person.id) if kind is SecretKind.SIP else ()
            return await connector.secret_rules(person.id, kind), devices

        person, (rules, devices) = await self._plan(visit, kind.operation, words, look)
        caller.remember((person,))
        if kind is SecretKind.SIP:
            self._warn_of_phones(caller, rules, devices, agreed="phones-will-drop" in given)
        to = await self._acts.resets.recipient(visit, person, kind)
        caller.say(f"The old {kind.value} password of {person.name} ({person.extension}) will be gone for good.")
        if rules.made_there:
            caller.say(f"The phone system makes the new one and mails it to {to.told}: nobody here ever knows it.")
        else:
            caller.say(f"A link to the new one goes to {to.told}.")
        if not await caller.confirm(f"Reset the {kind.value} password of {person.name}?"):
            caller.say("Nothing was reset.")
            return
        for note in await self._acts.reset(visit, person, kind, to):
            caller.say(note)
        sent = masked(to.address) if to.is_user else to.told
        caller.out([
            {
                "user": person.extension, "password": kind.value,
                "result": f"reset; {'the phone system mails it' if rules.made_there else 'sent'} to {sent}",
            }
        ])  # fmt: skip

    @staticmethod
    def _warn_of_phones(caller: Caller, rules: SecretRules, devices: Sequence[Device], *, agreed: bool) -> None:
        for device in devices:
            caller.say(f"Registered now: {device.label}")
        if rules.provisions_anew:
            caller.say("The phone system hands the new password to these telephones by itself.")
            return
        drop = "They will drop at their next registration." if devices else "No telephone is registered now."
        caller.say(f"{drop} Whoever has the old password cannot register again.")
        if not agreed:
            raise UsageError(
                "Telephones will drop, and somebody has to enter the new password there.",
                next_step="Add --phones-will-drop when somebody is there to enter it.",
            )


def rows_of(caller: Caller, visit: Visit, people: Sequence[Person]) -> list[dict[str, Any]]:
    """People as the caller gets them. A number costs more to word than all the rest of a row: no program waits for
    that."""
    country = None if caller.as_json else visit.country
    return [person_row(person, country) for person in people]


def show_changes(
    caller: Caller, person: Person, changes: dict[str, tuple[str | None, str | None]], country: str
) -> None:
    """What would be written, from what to what, and what follows from it."""
    caller.say(f"{person.name} (extension {person.extension}):")
    for name, (old, new) in changes.items():
        caller.say(f"  {name}: {read_field(name, old, country)} → {read_field(name, new, country)}")
    told = "the approvers"
    if "email" in changes and person.email:
        told = f"{person.email} and the approvers"
    if {"email", "ddi"} & set(changes):
        caller.say(f"This is told to {told} at once.")


def set_back(before: Person, after: Person) -> Change:
    """The change that makes `after` what `before` was, in the fields that differ."""
    return Change(
        name=before.name if before.name != after.name else UNSET,
        email=before.email if before.email != after.email else UNSET,
        ddi=((before.ddis or (None,))[0] if before.ddis != after.ddis else UNSET),
    )
