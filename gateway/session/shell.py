"""`ssh gw` and `ssh gw COMMAND…`: reads the intent, talks with the engineer, turns errors into words and exit codes."""

from __future__ import annotations

import asyncio

from connectors.errors import ConnectorError
from gateway.errors import AmbiguousError, FrameroomError, UnavailableError
from gateway.session.channel import Channel, Identity, Interrupted
from gateway.session.commands import Caller, Commands, exit_code, shown
from gateway.session.session import Visits

_WARN_AT = (10, 5, 1)


class Shell:
    """The door's ChannelHandler."""

    def __init__(self, commands: Commands, visits: Visits) -> None:
        self._commands, self._visits = commands, visits

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
            for visit in self._visits.all():
                visit.channels.discard(channel)

    async def hung_up(self, identity: Identity) -> None:
        """The connection is gone: so are its visits."""
        await self._visits.leave(identity)

    async def _one(self, caller: Caller, line: str) -> int:
        code = await self._attempt(caller, line)
        await self._durable(caller)
        return code

    async def _durable(self, caller: Caller) -> None:
        """What was shown is recorded before the command counts as done."""
        for visit in self._visits.all():
            if caller.channel in visit.channels:
                await visit.recording.durable()

    async def _attempt(self, caller: Caller, line: str) -> int:
        try:
            await self._commands.run(caller, line)
        except (FrameroomError, ConnectorError) as error:
            caller.say(error.message)
            if isinstance(error, AmbiguousError):
                for match in error.matches:
                    caller.say(f"  {match}")
            if error.next_step:
                caller.say(error.next_step)
            return exit_code(error)
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
        channel.complete = self._complete
        channel.write(f"Frameroom. You are {shown(caller.identity.name)}. `help` lists what you can do.\n")
        code = 0
        async with asyncio.TaskGroup() as group:
            warner = group.create_task(self._warn(caller))
            try:
                while True:
                    try:
                        line = await channel.read_line(self._prompt(caller))
                    except Interrupted:
                        continue
                    if line is None or line.strip() in {"exit", "quit", "logout"}:
                        break
                    code = await self._interruptible(group, caller, line)
            finally:
                warner.cancel()
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

    def _visit_minutes(self, caller: Caller) -> int | None:
        for visit in self._visits.all():
            if caller.channel in visit.channels:
                return max(0, visit.grant.until_ms - self._visits.audit.clock.now()) // 60_000
        return None

    def _prompt(self, caller: Caller) -> str:
        if caller.system is None:
            return "frameroom> "
        left = self._visit_minutes(caller)
        time = "" if left is None else f" {left // 60}h{left % 60:02d}m"
        text = f"{shown(caller.customer)}/{shown(caller.system.name)}{time}"
        return f"\x1b[1m{text}\x1b[0m> " if caller.channel.colour else f"{text}> "

    async def _warn(self, caller: Caller) -> None:
        """10, 5 and 1 minutes before the end."""
        told: set[int] = set()
        while True:
            await asyncio.sleep(1)
            left = self._visit_minutes(caller)
            for minutes in _WARN_AT:
                if left is not None and left < minutes and minutes not in told:
                    told |= {m for m in _WARN_AT if m >= minutes}
                    caller.channel.notify_line(f"The permitted time ends in {left + 1} min.")

    def _complete(self, line: str) -> tuple[str, list[str]]:
        """Commands, by their beginning."""
        if " " in line:
            return line, []
        found = sorted(name for name in self._commands.table if name.startswith(line))
        if len(found) == 1:
            return found[0] + " ", found
        return line, found
