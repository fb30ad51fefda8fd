"""`console`: the phone system's own prompt, guarded. Each line is parsed against the reviewed catalogue of its kind,
rendered again, and only then sent (connectors/console); TAB, help and paging are ours and never sent.

What looks and what acts are two operations, granted apart; each line is one operation, with its own event.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from connectors.console import Catalogue, Class, Entry, catalogue, complete, understood
from connectors.errors import ConnectorError
from gateway.access.console import listed
from gateway.errors import FrameroomError, NotFoundError, NotPermittedError, UsageError
from gateway.model import PhoneSystem
from gateway.session.channel import LONGEST_LINE, Channel, Interrupted
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller, tell
from gateway.session.commands.desk import Desk
from gateway.session.commands.pager import Pager
from gateway.session.commands.prompting import offered, run_line
from gateway.session.commands.text import shown

_LEAVE: Final = frozenset({"exit", "quit", "logout"})
_ASKS: Final = "yes, asks first"
_OURS: Final = ("exit", "help", "pager")
_HELP: Final = "`help`"


class Console:
    """console."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def commands(self) -> list[Command]:
        """For help."""
        return [
            Command(
                "console", self.console, "console [SYSTEM [COMMAND]]",
                "the phone system's own prompt, where agreed: commands from a fixed list",
                "console 'Head office'",
                "Inside: `help` lists what can be typed, TAB completes, Ctrl-C stops a command, `pager off` shows all "
                "at once, `exit` leaves. With COMMAND only that one is run; one that acts asks first (--yes).",
            )
        ]  # fmt: skip

    async def console(self, caller: Caller) -> None:
        """One command, or a conversation, or the lines of standard input."""
        system, words = await self._system(caller)
        prompt = Prompt(self._desk, caller, system)
        await prompt.check()
        if words:
            await prompt.run(" ".join(words))
        elif caller.interactive:
            await prompt.talk()
        else:
            await prompt.script()

    async def _system(self, caller: Caller) -> tuple[PhoneSystem, list[str]]:
        """The phone system meant, and what is left to be typed there."""
        words, chosen = caller.words, caller.system
        if not words:
            if chosen is None:
                await self._desk.enter(caller, await self._desk.here(caller))
        elif chosen is None or words[0] not in {e.words[0] for e in catalogue(chosen.connector)}:
            # The first word is no command's: then it names the phone system.
            await self._desk.choose(caller, words[0])
            words = words[1:]
        if caller.system is None:
            raise NotFoundError("There is no such phone system for you.", next_step="`systems` lists them.")
        return caller.system, words


class Prompt:
    """A conversation with one phone system's prompt."""

    def __init__(self, desk: Desk, caller: Caller, system: PhoneSystem) -> None:
        self._desk, self._caller, self._system = desk, caller, system
        self._catalogue: Catalogue = catalogue(system.connector)
        self._pages = True

    async def check(self) -> None:
        """NotSupported, or NotPermittedError in policy's own words, where nothing could be typed at all."""
        offered(self._system, Class.LOOK.operation)
        if not await self._classes():
            permission = self._desk.permission
            decision = await permission.explain(
                self._caller.identity.engineer_id, self._system, Class.LOOK.operation, None
            )
            raise NotPermittedError(decision.words, next_step="`grants` shows what you may do now.")

    async def _classes(self) -> frozenset[Class]:
        """What the engineer's permissions name now. Whether it holds is asked again before each command."""
        grants = await self._desk.permission.open_grants(self._caller.identity.engineer_id)
        mine = [grant for grant in grants if grant.system_id == self._system.id]
        return frozenset(kind for kind in Class if any(kind.operation in grant.operations for grant in mine))

    # --- ways of talking ---

    async def talk(self) -> None:
        """Line by line, until the engineer leaves."""
        caller, channel = self._caller, self._caller.channel
        caller.say(
            f"The prompt of {self._system.name}. Only what is on its list is sent, and every line is recorded. "
            "`help` lists what you can type, `exit` leaves."
        )
        with _ours(channel, self._complete):
            while True:
                try:
                    line = await channel.read_line(self._text())
                except Interrupted:
                    continue
                if line is None or line.strip() in _LEAVE:
                    return
                try:
                    await self._typed(line.strip())
                except Interrupted:
                    continue
                except (FrameroomError, ConnectorError) as error:
                    tell(caller, error)

    async def script(self) -> None:
        """Each line of standard input; the first that goes wrong is the last."""
        async for line in _lines(self._caller.channel):
            if line in _LEAVE:
                return
            if line:
                await self.run(line)

    async def _typed(self, line: str) -> None:
        match line.split():
            case []:
                return
            case ["help", *words]:
                await self._help(words)
            case ["pager", "on" | "off" as word]:
                self._pages = word == "on"
            case ["pager", *_]:
                raise UsageError("The pager is on or off.", next_step="pager off")
            case words:
                await self.run(" ".join(words))

    # --- one command ---

    async def run(self, line: str) -> None:
        """Parse it, ask before it acts, send it. InvalidValue for what is not on the list; NotPermittedError."""
        caller, channel = self._caller, self._caller.channel
        inside = caller.interactive and channel.complete is not None
        entry, command = understood(
            line, self._catalogue, _HELP if inside else f"{_HELP} at its prompt (`console SYSTEM`)"
        )
        operation = entry.kind.operation
        offered(self._system, operation)
        acts = entry.kind is Class.ACT
        # Nobody is asked about what is refused anyhow: policy says why.
        mine = acts and _standing(entry, await self._classes(), await self._on()) == _ASKS
        if mine and not await self._sure(entry, command.render()):
            caller.say("Nothing was done.")
            return
        visit = await self._desk.visit(caller, operation)
        pages = self._pages and not acts and channel.redraws and not caller.as_json
        whole = await run_line(self._desk, caller, visit, operation, entry, command, Pager(channel) if pages else None)
        if not whole:
            caller.say("Stopped.")

    async def _sure(self, entry: Entry, line: str) -> bool:
        return await self._caller.confirm(f"{line}: {entry.shows}. Do it at {self._system.name}?")

    # --- ours, never sent ---

    def _text(self) -> str:
        text = f"{shown(self._caller.customer)}/{shown(self._system.name)} console"
        return f"\x1b[1m{text}\x1b[0m> " if self._caller.channel.colour else f"{text}> "

    def _complete(self, line: str) -> tuple[str, list[str]]:
        begun = line.lstrip(" ")
        found = complete(begun, self._catalogue)
        if " " not in begun:
            found = tuple(sorted({*found, *(word for word in _OURS if word.startswith(begun))}))
        before = line[: len(line) - len(begun.rpartition(" ")[2])]
        if len(found) == 1:
            return f"{before}{found[0]} ", list(found)
        return (before + _common(found), list(found)) if found else (line, [])

    async def _on(self) -> frozenset[str]:
        async with self._desk.store.look(self._system.customer_id) as scope:
            return (await listed(scope, self._system.id)).entries

    async def _help(self, words: list[str]) -> None:
        classes, on = await self._classes(), await self._on()
        begins = " ".join(words)
        rows = [
            {"command": entry.usage(), "does": entry.shows, "for you": _standing(entry, classes, on)}
            for entry in self._catalogue
            if entry.usage().startswith(begins)
        ]
        self._caller.out(rows, empty="Nothing on the list begins so; `help` shows all of it.")


def _standing(entry: Entry, classes: frozenset[Class], on: frozenset[str]) -> str:
    if entry.kind not in classes:
        return f"not permitted: ask for {entry.kind.operation.value}"
    if entry.extra and entry.name not in on:
        return "off: the customer can switch it on"
    return "yes" if entry.kind is Class.LOOK else _ASKS


@contextlib.contextmanager
def _ours(channel: Channel, completing: Any) -> Iterator[None]:
    """TAB and Ctrl-C are this prompt's while it lasts."""
    before = channel.complete, channel.on_interrupt
    channel.complete, channel.on_interrupt = completing, None
    try:
        yield
    finally:
        channel.complete, channel.on_interrupt = before


def _common(words: tuple[str, ...]) -> str:
    low, high = min(words), max(words)
    return low[: next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]


async def _lines(channel: Channel) -> AsyncIterator[str]:
    """Lines of standard input. UsageError for one that is too long to be any command."""
    rest = ""
    async for piece in channel.read_all():
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line.strip()
        if len(rest) > LONGEST_LINE:
            raise UsageError("A line of standard input is too long to be a command.")
    if rest.strip():
        yield rest.strip()
