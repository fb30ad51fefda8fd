"""`ssh gw` and `ssh gw COMMAND…`: reads the intent, talks with the engineer, turns errors into words and exit codes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from connectors.errors import ConnectorError
from gateway.errors import FrameroomError, UnavailableError
from gateway.session.answers import Answer
from gateway.session.channel import Channel, Identity, Interrupted
from gateway.session.commands import Caller, Commands, shown
from gateway.session.commands.asking import in_words
from gateway.session.commands.caller import tell
from gateway.session.commands.completion import complete
from gateway.session.session import Visits

_WARN_AT = (10, 5, 1)
_LEAVE = frozenset({"exit", "quit", "logout"})


class Shell:
    """The door's ChannelHandler."""

    def __init__(self, commands: Commands, visits: Visits) -> None:
        self._commands, self._visits = commands, visits
        self._reminded: set[str] = set()
        """Connections, by id, on which a command was followed by what is still to be told."""

    async def run(self, channel: Channel, identity: Identity) -> int:
        """Serve one channel."""
        caller = Caller(channel, identity, interactive=channel.terminal is not None)
        try:
            if channel.command is not None:
                return await self._one(caller, channel.command)
            if channel.terminal is None:
                channel.write_err("A shell needs a terminal: `ssh -t`, or say a command: `ssh gw help`.\n")
                return 2
            return await self._interactive(caller)
        finally:
            for visit in caller.visits:
                visit.channels.discard(channel)

    async def hung_up(self, identity: Identity) -> None:
        """The connection is gone: so are its visits."""
        self._reminded.discard(identity.connection_id)
        await self._visits.leave(identity)

    async def _one(self, caller: Caller, line: str) -> int:
        code = await self._attempt(caller, line)
        await self._durable(caller)
        if caller.identity.connection_id not in self._reminded and not line.lstrip().startswith("visit"):
            self._reminded.add(caller.identity.connection_id)
            await self._remind(caller)
        return code

    async def _remind(self, caller: Caller) -> None:
        """What the engineer has still to say of visits that are not recorded here: at each shell, and after the first
        command of a connection."""
        with suppress(FrameroomError):  # what is wrong with the database, every command says itself
            if told := await self._commands.outside.reminder(caller.identity.engineer_id):
                caller.say(told)

    async def _durable(self, caller: Caller) -> None:
        """What was shown is recorded before the command counts as done."""
        for visit in caller.visits:
            if visit.ended is None:
                await visit.recording.durable()

    async def _attempt(self, caller: Caller, line: str) -> int:
        try:
            await self._commands.run(caller, line)
        except (FrameroomError, ConnectorError) as error:
            return tell(caller, error)
        except ConnectionResetError:
            raise
        except OSError as error:
            return self._ours(caller, UnavailableError(f"Something we need is not there ({error.strerror})."))
        return 0

    @staticmethod
    def _ours(caller: Caller, error: FrameroomError) -> int:
        caller.say(error.message)
        return error.exit_code

    async def _interactive(self, caller: Caller) -> int:
        channel = caller.channel
        channel.complete = lambda line: complete(self._commands.table, caller, line)
        channel.write(f"Frameroom. You are {shown(caller.identity.name)}. `help` lists what you can do.\n")
        with suppress(FrameroomError):  # TAB offers no phone systems then; every command says itself what is wrong
            places = await self._commands.places.places_for(caller.identity.engineer_id)
            caller.systems = [place.system.name for place in places]
        await self._remind(caller)
        code = 0
        async with asyncio.TaskGroup() as group:
            warner = group.create_task(self._warn(caller))
            answers: asyncio.Queue[Answer] = asyncio.Queue()
            ringer = group.create_task(self._ring(caller, answers))
            try:
                with self._commands.answers.listening(caller.identity.engineer_id, answers.put_nowait):
                    while True:
                        try:
                            line = await channel.read_line(self._prompt(caller))
                        except Interrupted:
                            continue
                        if line is None or line.strip() in _LEAVE:
                            break
                        code = await self._interruptible(group, caller, line)
            finally:
                warner.cancel()
                ringer.cancel()
        return code

    async def _interruptible(self, group: asyncio.TaskGroup, caller: Caller, line: str) -> int:
        """One line; Ctrl-C stops waiting for it (an operation that has begun still gets its outcome)."""
        task = group.create_task(self._attempt(caller, line))

        def stop() -> None:
            task.cancel()

        caller.channel.on_interrupt = stop
        try:
            await asyncio.wait({task})
        finally:
            caller.channel.on_interrupt = None
            task.cancel()
        if task.cancelled():
            caller.channel.write("^C\n")
            return 1
        return task.result()

    def _minutes_left(self, caller: Caller) -> int | None:
        """Of the permission that the chosen phone system is worked on under; None when there is none."""
        if caller.system is None or caller.until_ms is None:
            return None
        left = caller.until_ms - self._visits.audit.clock.now()
        return left // 60_000 if left > 0 else None

    def _prompt(self, caller: Caller) -> str:
        if caller.system is None:
            return "frameroom> "
        left = self._minutes_left(caller)
        time = " no permission" if left is None else f" {left // 60}h{left % 60:02d}m"
        text = f"{shown(caller.customer)}/{shown(caller.system.name)}{time}"
        return f"\x1b[1m{text}\x1b[0m> " if caller.channel.colour else f"{text}> "

    async def _warn(self, caller: Caller) -> None:
        """10, 5 and 1 minutes before the end of a visit; a later end that was granted meanwhile is warned of anew."""
        told: dict[int, set[int]] = {}
        while True:
            await asyncio.sleep(1)
            left, until = self._minutes_left(caller), caller.until_ms
            if left is None or until is None or not any(visit.ended is None for visit in caller.visits):
                continue
            already = told.setdefault(until, set())
            due = [minutes for minutes in _WARN_AT if left < minutes and minutes not in already]
            if due:
                already |= {minutes for minutes in _WARN_AT if minutes >= due[-1]}
                caller.channel.notify_line(f"The permitted time ends in {left + 1} min.")

    async def _ring(self, caller: Caller, answers: asyncio.Queue[Answer]) -> None:
        """A line with a bell for each answer of a customer's."""
        while True:
            answer = await answers.get()
            zone = None
            with suppress(FrameroomError):  # the answer is told all the same, without its end
                zone = await self._commands.desk.zone(answer.request.customer_id)
            caller.channel.notify_line(in_words(answer, zone))
