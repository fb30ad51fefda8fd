"""A connector in a process of its own, in which nothing but the connector can have brought a secret.

`python -m connectors.conformance.child` reads a job (JSON) from its standard input, does what it says, searches what
is left behind, and prints what it found (JSON). It is not told the secrets that it looks for (see `memory`).
"""

from __future__ import annotations

import asyncio
import collections
import gc
import importlib
import io
import json
import logging
import resource
import sys
import time
import traceback
import types
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Final

from connectors.conformance.memory import Search
from connectors.contract import (
    Change,
    Connector,
    Credential,
    DiagCommand,
    Family,
    MakesSecrets,
    Person,
    ReadsLogins,
    Secret,
    SecretKind,
    Target,
)
from connectors.errors import ConnectorError

_LONGEST_S: Final = 90

Connect = Callable[[], Awaitable[Connector]]
_CALM_PAGES: Final = 5


class _Told:
    """What came of the operations: results are kept, so that whatever they hold is still there to be found."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.errors: list[str] = []
        self.outcomes: list[dict[str, Any]] = []

    async def of(self, name: str, doing: Awaitable[object]) -> Any:
        """Wait for one operation, and note its outcome; None when it failed."""
        began, outcome, result = time.monotonic(), "ok", None
        try:
            async with asyncio.timeout(_LONGEST_S):
                result = await doing
            self.results.append(result)
        except ConnectorError as error:
            outcome = type(error).__name__
            self._failed(error)
            self.errors.append(error.message + error.next_step)
        except BaseException as error:
            outcome = f"NOT A CONNECTOR'S ERROR: {type(error).__name__}"
            self._failed(error)
        self.outcomes.append({"what": name, "outcome": outcome, "seconds": round(time.monotonic() - began, 2)})
        return result

    def _failed(self, error: BaseException) -> None:
        self.errors.append("".join(traceback.format_exception(error)))
        one: BaseException | None = error
        while one is not None:
            # Also what `raise … from None` hides: whoever catches the error can get at it.
            self.errors.append(f"{one!r} {one.args!r} {vars(one)!r}")
            one = one.__cause__ or one.__context__


async def look(connector: Connector, told: _Told, job: dict[str, Any]) -> None:
    """Everything that can be looked at, of everybody."""
    people: list[Person] = []
    cursor = None
    for _ in range(100):
        page = await told.of("people", connector.people(cursor, 50))
        if page is None:
            break
        people += page.people
        cursor = page.cursor
        if cursor is None:
            break
    await told.of("check", connector.check())
    await told.of("find", connector.find("smith", 20))
    for person_id in [*job["ids"], "no-such-person"]:
        await told.of("view", connector.view(person_id))
        await told.of("plan_removal", connector.plan_removal(person_id))
        await told.of("devices", connector.devices(person_id))
        for kind in SecretKind:
            await told.of("secret_rules", connector.secret_rules(person_id, kind))
    for words in job["diag"]:
        await told.of("diag", _output(connector, DiagCommand(tuple(words["words"]), words["name"])))
    for words in job.get("acts", ()):
        await told.of("act", _output(connector, DiagCommand(tuple(words["words"]), words["name"], True)))
    if isinstance(connector, ReadsLogins):
        await told.of("own_login", connector.own_login())
        await told.of("logins", connector.logins(0))


async def _output(connector: Connector, command: DiagCommand) -> bytes:
    return b"".join([data async for data in connector.diag(command)])


async def write(connector: Connector, told: _Told, job: dict[str, Any]) -> None:
    """Resets with the secrets given or the phone system's own, an alteration, a removal."""
    for kind, secret in job["resets"].items():
        shown = await told.of("view", connector.view(job["ids"][0]))
        if shown is not None:
            await told.of("reset", _reset(connector, shown, SecretKind(kind), secret))
    before = await told.of("view", connector.view(job["ids"][0]))
    if before is not None:
        await told.of("alter", connector.alter(before.id, Change(name="Another Name"), before))
    last = await told.of("view", connector.view(job["ids"][-1]))
    if last is not None:
        await told.of("remove", connector.remove(last.id, last))


def _one(connector: Connector, name: str, person: Person, job: dict[str, Any]) -> Awaitable[object]:
    doing: dict[str, Callable[[], Awaitable[object]]] = {
        "people": lambda: connector.people(None, 50),
        "find": lambda: connector.find("a", 20),
        "view": lambda: connector.view(person.id),
        "alter": lambda: connector.alter(person.id, Change(name="Another Name"), person),
        "remove": lambda: connector.remove(person.id, person),
        "reset": lambda: _reset(connector, person, SecretKind(job["kind"]), job["secret"]),
    }
    return doing[name]()


def _reset(connector: Connector, person: Person, kind: SecretKind, secret: str | None) -> Awaitable[object]:
    """With this secret, or by the phone system's own."""
    if secret is not None:
        return connector.reset(person.id, kind, Secret(secret))
    if not isinstance(connector, MakesSecrets):
        raise TypeError("the connector says that its phone system makes passwords, and has no way to ask for one")
    return connector.renew(person.id, kind, person.email or "")


async def each(connect: Connect, told: _Told, job: dict[str, Any]) -> None:
    """One operation after the other, each on a connection of its own: when it stands, the other side is told so, and
    says when the phone system has become an enemy."""
    for name, raw in job["each"]:
        connector = await told.of("connect", connect())
        person = Person(**raw | {"ddis": None if raw["ddis"] is None else tuple(raw["ddis"])})
        print("connected", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        if connector is not None:
            before = _peak()
            await told.of(name, _one(connector, name, person, job))
            told.outcomes[-1]["grown"] = _peak() - before
            await told.of("close", connector.close())
        print("did", flush=True)


async def page(connector: Connector, told: _Told, job: dict[str, Any]) -> None:
    """Everyone, page by page, and by how much memory grew after the first few pages."""
    count, total, cursor, pages, calm, largest = 0, 0, None, 0, 0, 0
    while True:
        got = await connector.people(cursor, job["limit"])
        count, pages, cursor = count + len(got.people), pages + 1, got.cursor
        largest = max(largest, len(got.people))
        # A sum of ids does not grow with the directory, and differs if one came twice and another never.
        total = (total + sum(int.from_bytes(person.id.encode(), "big") for person in got.people)) % (1 << 512)
        if pages == _CALM_PAGES:
            calm = _peak()
        if cursor is None:
            break
    grown = _peak() - calm if calm else 0
    told.results.append(None)
    told.outcomes.append({"count": count, "sum": str(total), "largest": largest, "grown": grown, "pages": pages})


async def output(connector: Connector, told: _Told, job: dict[str, Any]) -> None:
    """The whole of a long output, and by how much memory grew while it came."""
    size, before = 0, 0
    async for data in connector.diag(DiagCommand(tuple(job["words"]), job["name"])):
        size += len(data)
        before = before or _peak()
    told.results.append(None)
    told.outcomes.append({"bytes": size, "grown": _peak() - before})


def _peak() -> int:
    """The most bytes that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


_DOING: Final[dict[str, Callable[[Connector, _Told, dict[str, Any]], Awaitable[None]]]] = {
    "look": look, "write": write, "page": page, "output": output,
}  # fmt: skip


def family(reference: str) -> Family:
    """The family that `module:object` names; a class is called."""
    module, _, name = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    made: Family = found() if isinstance(found, type) else found
    return made


def _held_by(start: object) -> str:
    """Text and bytes of everything that can be reached from an object, but for code, classes, modules, and the event
    loop, from which one comes to everything else."""
    seen: set[int] = set()
    waiting: list[object] = [start]
    texts: list[str] = []
    skipped = (
        type, types.ModuleType, types.FunctionType, types.CodeType, types.FrameType, types.BuiltinFunctionType,
        asyncio.AbstractEventLoop, logging.Logger, logging.Handler,
    )  # fmt: skip
    while waiting and len(seen) < 500_000:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, skipped):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes | bytearray | memoryview | int):
            texts.append(str(one) if isinstance(one, str | int) else bytes(one).decode("latin-1"))
        waiting += gc.get_referents(one)
    return "\n".join(texts)


_KEEPERS: Final = (str, bytes, bytearray, list, dict, set, collections.deque)


def _kept_by(kind: Family) -> list[object]:
    """What the family's modules and their classes hold besides a connection: whatever is kept there outlives it."""
    top = type(kind).__module__.partition(".")[0]
    kept: list[object] = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in (top, "connectors") and not name.startswith("connectors.conformance"):
            classes = [made for made in vars(module).values() if isinstance(made, type) and made.__module__ == name]
            for held in (module, *classes):
                kept += [one for word, one in vars(held).items() if isinstance(one, _KEEPERS) and word[:2] != "__"]
    return kept


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Connect, do it, search."""
    kind, told, search = family(job["family"]), _Told(), Search(job["needles"])
    settings = kind.settings_model.model_validate(job["settings"])
    target = Target(settings=settings, **job["target"])

    async def unseal() -> Credential:
        return Credential(**job["credential"])

    async def connect() -> Connector:
        return await kind.connect(target, unseal)

    connector: Connector | None = None
    if job["do"] == "each":
        await each(connect, told, job)
    elif connector := await told.of("connect", connect()):
        await _DOING[job["do"]](connector, told, job)
    found = {
        "results": search.of("".join(map(repr, told.results)).encode()),
        "errors": search.of("\n".join(told.errors).encode()),
        "logs": search.of(_logged.getvalue().encode()),
        "objects": search.of(_held_by([connector, told.results, *_kept_by(kind)]).encode()),
        "memory": search.memory() if job.get("memory") else set(),
    }
    if connector is not None:
        await told.of("close", connector.close())
    return {
        "outcomes": told.outcomes, "found": {place: sorted(names) for place, names in found.items() if names},
        "errors": told.errors,
    }  # fmt: skip


_logged = io.StringIO()


def main() -> None:
    """One job. What goes wrong in the kit itself is told on the real standard error."""
    aloud = sys.stderr
    logging.basicConfig(stream=_logged, level=logging.DEBUG, force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("always")
    sys.stderr = _logged
    job = json.loads(sys.stdin.readline())
    try:
        print(json.dumps(asyncio.run(run(job))), flush=True)
    except Exception:
        sys.stderr = aloud
        raise


if __name__ == "__main__":
    main()
