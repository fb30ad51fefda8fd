"""A terminal in the customer's browser: live while a visit goes on, and played back after it.

Both are read-only and sanitised, each look is logged before anything is shown, and both stand behind the same check as
every page; a live one ends when its sign-in does. Only these two pages may compile WebAssembly, and only on them one
Trusted Types policy exists: it passes inert markup alone (static/terminal.js).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from typing import Any, Final

from starlette.responses import Response, StreamingResponse

from audit.log import AuditLog
from audit.recording.frames import RecordingError
from audit.recording.live import LiveView
from audit.recording.player import Player
from audit.sealing import FileKeyStore, MasterKeyAway, SealingError
from audit.storage import Objects
from gateway import notify
from gateway.access.looking import erased_in, looked
from gateway.access.told import prepared_in
from gateway.errors import NotFoundError, NotPermittedError, UnavailableError
from gateway.identity.sign_ins import SignedIn
from gateway.lifecycle import SessionState
from gateway.notify import letters
from gateway.portal.page import Asked, Page, Who
from gateway.portal.site import COOKIE, HEADERS
from gateway.portal.visits import Live, LiveVisits, has_player, visit_of
from gateway.store.engine import Store

_POLICY: Final = "Content-Security-Policy"
RELAXED: Final = HEADERS | {
    _POLICY: HEADERS[_POLICY]
    .replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
    .replace("trusted-types 'none'", "trusted-types default")
}
"""What a page with a terminal is sent with: the player interprets the terminal in WebAssembly, and makes its own
controls from markup."""
_LOOK_S: Final = 0.5
_CONFIRM_EVERY_S: Final = 2.0
"""How often whoever watches is asked for again: a sign-in that has ended watches no more."""
_WATCHERS_A_CUSTOMER: Final = 8
_PIECES: Final = 500
_LINES: Final = 50
"""Of what was done that stand beside a live terminal; the newest."""
_SIZE: Final = re.compile(r"(\d{1,6})x(\d{1,6})")
_BROKEN: Final = "the rest of this recording does not hold: have the log verified"
_COLUMNS, _ROWS = (10, 300), (2, 120)
"""A terminal may claim any size; what a browser has to draw is kept within these."""


def sized(text: str) -> tuple[int, int]:
    """Columns and rows that a browser can draw, of a size as it was recorded."""
    found = _SIZE.fullmatch(text)
    columns, rows = (int(found[1]), int(found[2])) if found else (80, 24)
    return min(max(columns, _COLUMNS[0]), _COLUMNS[1]), min(max(rows, _ROWS[0]), _ROWS[1])


def _lines(text: str) -> str:
    """Every line begins at the left, also where a command without a terminal ended it with a line feed alone."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _event(message: Any, name: str = "message") -> str:
    """One event of a stream (HTML, server-sent events); JSON never holds a line's end."""
    return f"event: {name}\ndata: {json.dumps(message)}\n\n"


class TerminalPages:
    """Watching and playing. `who` gives whose cookie it is, as the site itself asks."""

    def __init__(
        self, store: Store, audit: AuditLog, objects: Objects, live: LiveVisits,
        who: Callable[[str], Awaitable[SignedIn | None]],
    ) -> None:  # fmt: skip
        self._store, self._audit, self._objects, self._live, self._who = store, audit, objects, live, who
        self._keys: FileKeyStore = audit.keys
        self._watching: dict[str, int] = {}

    def pages(self) -> list[Page]:
        """All of them."""
        there = Who.SIGNED_IN
        return [
            Page("GET", "/visits/{session}/watch", there, self.watch),
            Page("GET", "/visits/{session}/live", there, self.stream),
            Page("GET", "/visits/{session}/play", there, self.play),
            Page("GET", "/visits/{session}/cast", there, self.cast),
        ]

    # --- live ---

    async def watch(self, asked: Asked) -> Response:
        """The page around a live terminal; whoever comes after the end finds the visit as it was."""
        row, names, _ = await self._visit(asked)
        if row.state != SessionState.OPEN:
            return asked.go(f"/visits/{row.id}")
        return self._show(asked, "watch.html", id=row.id, names=names, here=self._live.find(row.id) is not None)

    async def stream(self, asked: Asked) -> Response:
        """What the terminal shows, as server-sent events. NotFoundError when it is not served by this process."""
        row, _, _ = await self._visit(asked)
        live = self._live.find(row.id)
        if live is None:
            raise NotFoundError("That visit is not going on here.", next_step="Open the visit's own page.")
        if self._watching.get(row.customer_id, 0) >= _WATCHERS_A_CUSTOMER:
            raise UnavailableError("Too many of you watch at once.", next_step="Close a window, and try again.")
        await self._log(asked, "looked.session", row.id, data={"how": "watch"})
        body = self._follow(live, row.customer_id, asked.request.cookies.get(COOKIE, ""))
        return StreamingResponse(body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _follow(self, live: Live, customer_id: str, cookie: str) -> AsyncIterator[str]:
        view, told, clock = LiveView(live.recording, live.over), 0, asyncio.get_running_loop().time
        self._watching[customer_id] = self._watching.get(customer_id, 0) + 1
        try:
            past = view.begin()
            columns, rows = sized(live.recording.size)
            yield _event({"cols": columns, "rows": rows, "past": _lines(past)})
            why, confirmed = "", clock()
            while not why:
                ended = live.ended
                for message in _shown_live(await view.take(_LOOK_S if ended is None else 0)):
                    yield _event(message)
                if len(live.lines) > told:
                    told = len(live.lines)
                    yield _event([notify.plain(line) for line in live.lines[-_LINES:]], "told")
                if ended is not None:
                    why = f"The visit has ended: {notify.plain(ended)}."
                elif view.dropped:
                    why = "You were too slow to follow; the visit goes on. Load the page again."
                elif clock() - confirmed >= _CONFIRM_EVERY_S:
                    confirmed = clock()
                    why = await self._why_no_more(cookie)
                    yield ": still here\n\n"  # and so a browser that is gone is noticed
            yield _event({"why": why}, "over")
        finally:
            view.stop()
            self._watching[customer_id] -= 1

    async def _why_no_more(self, cookie: str) -> str:
        """Why whoever watches may not go on; "" when they may."""
        try:
            return "" if await self._who(cookie) is not None else "You are signed out; the visit goes on."
        except UnavailableError:
            return "It cannot be told just now whether you may watch; the visit goes on. Load the page again."

    # --- after it ---

    async def play(self, asked: Asked) -> Response:
        """The page around a recording; the look is logged when the recording itself is asked for."""
        row, names, gone = await self._visit(asked)
        if row.state == SessionState.OPEN:
            return asked.go(f"/visits/{row.id}/watch")
        return self._show(asked, "play.html", id=row.id, names=names, gone=gone)

    async def cast(self, asked: Asked) -> Response:
        """The recording as asciicast v2, opened for this viewer. NotFoundError, NotPermittedError."""
        row, _, gone = await self._visit(asked)
        if row.state == SessionState.OPEN:
            raise NotFoundError("That visit still goes on.", next_step="Watch it live.")
        if gone:
            raise NotPermittedError(gone)
        async with self._store.look(asked.customer_id) as scope:
            prepared = await prepared_in(self._audit, scope, row.id)
        try:
            player = await asyncio.to_thread(Player, self._objects, self._keys, row.customer_id, row.id)
            lines = _shown(player, prepared)
            first = await asyncio.to_thread(next, lines, None)
        except MasterKeyAway as error:
            raise UnavailableError(
                "This recording cannot be opened just now.", next_step="Try again in a while, or ask your maintainer."
            ) from error
        except (SealingError, RecordingError) as error:
            raise NotFoundError(
                "This recording cannot be opened any more.", next_step="Its period may be over: ask your maintainer."
            ) from error
        if first is None:
            raise NotFoundError("There is no recording of this visit.")
        await self._log(asked, "looked.recording", row.id)
        return StreamingResponse(_in_pieces(first, lines), media_type="application/x-asciicast")

    # --- both ---

    async def _visit(self, asked: Asked) -> tuple[Any, letters.Names, str]:
        """The visit, the names on it, and why its recording may not be shown."""
        async with self._store.look(asked.customer_id) as scope:
            row = await visit_of(scope, asked.path("session"))
            names = await letters.names_of(scope, row.engineer_id, row.system_id)
            erased = (await scope.execute(erased_in(row.customer_id, row.id).limit(1))).first() is not None
        return row, names, "It shows somebody who was erased, and is shown to nobody any more." if erased else ""

    async def _log(self, asked: Asked, kind: str, session: str, **rest: Any) -> None:
        async with self._store.scope(asked.customer_id) as scope:
            await looked(self._audit, scope, kind, asked.who.approver_id, session=session, **rest)

    @staticmethod
    def _show(asked: Asked, template: str, **values: Any) -> Response:
        response = asked.show(template, player=has_player(), **values)
        response.headers.update(RELAXED)
        return response


def _shown_live(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The messages of what came: text that follows text is one."""
    for is_text, several in itertools.groupby(rows, lambda row: "text" in row):
        if is_text:
            yield {"text": _lines("".join(row["text"] for row in several))}
            continue
        for row in several:
            columns, lines = sized(row["size"])
            yield {"cols": columns, "rows": lines}


def _shown(player: Player, prepared: Collection[str]) -> Iterator[str]:
    """The recording's lines with sizes that can be drawn, and markers in plain words instead of names and ids.

    `prepared`: operations that only looked, to show what a change would do.

    From a piece on that does not hold nothing is shown, and that it was so is said at that place.
    """
    at: float | None = None
    try:
        for line in player.asciicast("visit"):
            told = json.loads(line)
            if isinstance(told, dict):
                told["width"], told["height"] = sized(f"{told['width']}x{told['height']}")
                at = 0.0
            else:
                at = told[0]
                told[2] = _in_words(told[1], told[2], prepared)
            yield json.dumps(told) + "\n"
    except (SealingError, RecordingError):
        if at is None:
            raise
        yield json.dumps([at, "m", _BROKEN]) + "\n" + json.dumps([at, "o", f"\r\n[{_BROKEN}]\r\n"]) + "\n"


def _in_words(kind: str, text: str, prepared: Collection[str]) -> str:
    if kind == "r":
        return "{}x{}".format(*sized(text))
    if kind != "m":
        return _lines(text)
    name, _, operation = text.partition(" ")
    words = notify.WORDS.get(name, "something was done")
    return f"prepare to {words}" if operation in prepared else words


async def _in_pieces(first: str, lines: Iterator[str]) -> AsyncIterator[str]:
    # Read and opened in a thread, a piece at a time: visits go on meanwhile, and memory stays flat.
    yield first
    while piece := await asyncio.to_thread(lambda: "".join(itertools.islice(lines, _PIECES))):
        yield piece
