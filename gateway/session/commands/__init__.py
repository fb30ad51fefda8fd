"""What an engineer can say, one function a command. Data goes to standard output, talk to standard error.

Reading order: `book` (what a command is), `caller` (the conversation), `desk` (phone system, visit, person meant), then
a file a kind of command; `acts` is the one path by which people are altered, removed and reset.
"""

from __future__ import annotations

import difflib
import re
import shlex
from typing import Final

from gateway.access.directory import Directory
from gateway.access.outside import OutsideVisits
from gateway.access.taking import Taking
from gateway.errors import UsageError
from gateway.session.answers import Answers
from gateway.session.channel import LONGEST_LINE
from gateway.session.commands.about import About
from gateway.session.commands.acts import Acts
from gateway.session.commands.apply import Apply
from gateway.session.commands.asking import Asking
from gateway.session.commands.book import Command
from gateway.session.commands.caller import Caller, exit_code
from gateway.session.commands.console import Console
from gateway.session.commands.desk import Desk
from gateway.session.commands.diagnostics import Diagnostics
from gateway.session.commands.handover import Handover
from gateway.session.commands.history import History
from gateway.session.commands.outside import Outside
from gateway.session.commands.people import People
from gateway.session.commands.text import shown
from gateway.session.commands.work import Work
from gateway.session.resets import Resets
from gateway.session.session import Visits

__all__ = ["Caller", "Commands", "exit_code", "shown"]

_NOT_UTF8: Final = re.compile("[\ud800-\udfff]")


class Commands:
    """Runs one line. Raises FrameroomError and ConnectorError; shell.py turns them into words and exit codes."""

    def __init__(self, visits: Visits, resets: Resets, places: Directory) -> None:
        self.places = places
        self.answers = Answers(visits)
        self.desk = desk = Desk(visits, places)
        taking = Taking(visits.store, visits.audit, visits.permission)
        acts = Acts(desk, resets)
        self.outside = Outside(desk, OutsideVisits(visits.store, visits.audit, visits.permission))
        groups = (
            About(desk), Asking(desk, self.answers), Work(desk, taking), People(acts), History(acts), Apply(acts),
            Diagnostics(desk), Console(desk), self.outside, Handover(desk),
        )  # fmt: skip
        first = Command(
            "help", self.help, "help [COMMAND]", "this list, or a command's usage and example", "help reset"
        )
        found = [first, *(command for group in groups for command in group.commands())]
        found.sort(key=lambda command: command.name == "exit")  # last, as it is typed last
        self.table: dict[str, Command] = {command.name: command for command in found}

    async def run(self, caller: Caller, line: str) -> None:
        """One command line, its flags taken off."""
        if len(line) > LONGEST_LINE:
            raise UsageError(
                f"That line is too long: a command has at most {LONGEST_LINE:,} characters.",
                next_step="Many changes at once: help apply",
            )
        if _NOT_UTF8.search(line):
            raise UsageError("That is not UTF-8.", next_step="Set your terminal to UTF-8.")
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(
                "A quotation mark is missing.", next_step="Text with an apostrophe goes into double quotes."
            ) from error
        caller.as_json = caller.yes = False
        caller.grants = ()
        words = await self._take_flags(caller, words)
        if not words:
            if caller.interactive and not line.strip():
                return
            raise UsageError("Nothing was asked for: say a command.", next_step="`help` lists them.")
        found = self.table.get(words[0])
        if found is None:
            near = difflib.get_close_matches(words[0][:40], self.table, 1, 0.6)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            raise UsageError(f"{shown(words[0])[:40]} is not a command.", next_step=f"{hint}`help` lists them.")
        caller.words = words[1:]
        if caller.words and found.usage == found.name:
            # `users smith` must not list everybody.
            raise UsageError(
                f"{found.name} takes no words; {shown(caller.words[0])[:40]} is one.",
                next_step="`help` lists the commands.",
            )
        await found.run(caller)

    async def _take_flags(self, caller: Caller, words: list[str]) -> list[str]:
        """--json, --yes and --system NAME may stand anywhere before `--`."""
        end = words.index("--") if "--" in words else len(words)
        head, tail = words[:end], words[end:]
        caller.as_json, caller.yes = "--json" in head, "--yes" in head
        head = [word for word in head if word not in {"--json", "--yes"}]
        if "--system" in head:
            at = head.index("--system")
            if at + 1 >= len(head):
                raise UsageError("--system needs a name.")
            await self.desk.choose(caller, head[at + 1])
            head = head[:at] + head[at + 2 :]
        return head + tail

    async def help(self, caller: Caller) -> None:
        """List the commands, or tell of one."""
        if not caller.words:
            caller.say(f"For example: {self.table['reset'].example}")
            caller.out([{"command": command.name, "does": command.does} for command in self.table.values()])
            caller.say("Every command takes --json and --system NAME; `help COMMAND` tells how one is written.")
            return
        found = self.table.get(caller.words[0])
        if found is None:
            raise UsageError(f"{shown(caller.words[0])[:40]} is not a command.", next_step="`help` lists them.")
        if caller.as_json:
            caller.out([{"command": found.usage, "does": found.does, "example": found.example, "more": found.more}])
            return
        more = f"{found.more}\n" if found.more else ""
        told = f"{found.usage}\n  {found.does}\nFor example: {found.example}\n{more}"
        caller.channel.write(caller.fitted(told))
