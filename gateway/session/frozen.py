"""A connector in front of the phone system's own, through which a restricted person cannot be seen.

It asks at every call, so that a restriction counts from the next operation on. Raw diagnostics could name anybody and
are refused while anybody of the phone system is restricted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace

from connectors.contract import (
    AltersSeen,
    Change,
    CheckLine,
    Connector,
    Device,
    DiagCommand,
    FindsByName,
    MakesSecrets,
    Page,
    Person,
    Removal,
    ResetDone,
    Secret,
    SecretKind,
    SecretRules,
)
from connectors.errors import NotFound, NotSupported


class Frozen:
    """A `Connector`, `FindsByName`, `AltersSeen` and `MakesSecrets`.

    `hidden(person id)` says who is restricted, `anybody()` whether somebody is.
    """

    def __init__(self, inner: Connector, hidden: Callable[[str], bool], anybody: Callable[[], bool]) -> None:
        self._inner, self._hidden, self._anybody = inner, hidden, anybody

    def _seen(self, person_id: str) -> None:
        # In the words of a phone system that has no such person: that somebody is restricted is nobody's business.
        if self._hidden(person_id):
            raise NotFound("there is no such person on the phone system")

    def _without(self, page: Page) -> Page:
        return replace(page, people=tuple(p for p in page.people if not self._hidden(p.id)))

    async def check(self) -> Sequence[CheckLine]:
        """As the phone system's own."""
        return await self._inner.check()

    async def find(self, words: str, limit: int) -> Page:
        """Without those who are restricted."""
        return self._without(await self._inner.find(words, limit))

    async def people(self, cursor: str | None, limit: int) -> Page:
        """Without those who are restricted."""
        return self._without(await self._inner.people(cursor, limit))

    async def named(self, names: Sequence[str]) -> Sequence[Person]:
        """Without those who are restricted. NotSupported where many cannot be asked for at once."""
        if not isinstance(self._inner, FindsByName):
            raise NotSupported("this phone system finds one person at a time")
        return [person for person in await self._inner.named(names) if not self._hidden(person.id)]

    async def view(self, person_id: str) -> Person:
        """NotFound for one who is restricted, and so in everything below."""
        self._seen(person_id)
        return await self._inner.view(person_id)

    async def alter(self, person_id: str, change: Change, expected: Person) -> Person:
        """See `view`."""
        self._seen(person_id)
        return await self._inner.alter(person_id, change, expected)

    async def alter_seen(
        self, person_id: str, change: Change, agree: Callable[[Person], Change]
    ) -> tuple[Person, Person]:  # fmt: skip
        """See `view`. In two steps where the phone system has nothing better."""
        self._seen(person_id)
        if isinstance(self._inner, AltersSeen):
            return await self._inner.alter_seen(person_id, change, agree)
        before = await self._inner.view(person_id)
        agreed = agree(before)
        return before, await self._inner.alter(person_id, agreed, before) if agreed.fields() else before

    async def plan_removal(self, person_id: str) -> Removal:
        """See `view`."""
        self._seen(person_id)
        return await self._inner.plan_removal(person_id)

    async def remove(self, person_id: str, expected: Person) -> Removal:
        """See `view`."""
        self._seen(person_id)
        return await self._inner.remove(person_id, expected)

    async def devices(self, person_id: str) -> Sequence[Device]:
        """See `view`."""
        self._seen(person_id)
        return await self._inner.devices(person_id)

    async def secret_rules(self, person_id: str, kind: SecretKind) -> SecretRules:
        """See `view`."""
        self._seen(person_id)
        return await self._inner.secret_rules(person_id, kind)

    async def reset(self, person_id: str, kind: SecretKind, secret: Secret) -> ResetDone:
        """See `view`."""
        self._seen(person_id)
        return await self._inner.reset(person_id, kind, secret)

    async def renew(self, person_id: str, kind: SecretKind, email: str) -> ResetDone:
        """See `view`. NotSupported where the phone system makes no passwords itself."""
        self._seen(person_id)
        if not isinstance(self._inner, MakesSecrets):
            raise NotSupported("this phone system makes no passwords itself")
        return await self._inner.renew(person_id, kind, email)

    async def diag(self, command: DiagCommand) -> AsyncIterator[bytes]:
        """NotSupported while somebody is restricted."""
        if self._anybody():
            raise NotSupported(
                "the phone system's prompt is off here for now: its output could show somebody who must not be seen",
                next_step="The operator knows more: `frameroom subject restricted`.",
            )
        output = self._inner.diag(command)
        try:
            async for piece in output:
                yield piece
        finally:
            # Whoever stops in the middle ends the command now, and not when a collector comes by.
            if isinstance(output, AsyncGenerator):
                await output.aclose()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._inner.close()
