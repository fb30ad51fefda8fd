"""What the process says of itself on stderr: for people on a terminal, JSON lines for machines; times in UTC.

Everything goes one way, other libraries' words too. Of an error only its type and place are told: its message, and
what stands in a traceback's frames, may be a secret or what somebody typed where a name belongs.
"""

from __future__ import annotations

import logging
import sys
from traceback import walk_tb
from typing import Any, Final

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# asyncssh tells user names below this, uvicorn and alembic what nobody needs.
_AT_LEAST: Final = {
    "asyncssh": logging.WARNING, "uvicorn": logging.WARNING, "alembic": logging.WARNING, "aiosqlite": logging.WARNING,
    "sqlalchemy": logging.WARNING, "asyncio": logging.WARNING, "httpx": logging.WARNING, "mail.log": logging.ERROR,
    "psycopg": logging.ERROR,
}  # fmt: skip
_LONGEST: Final = 500
_OURS: Final = frozenset({"gateway", "audit", "connectors", "config"})
_CALLERS: Final = 5


def configure(level: str = "info", form: str = "auto") -> None:
    """Set it up for this process. `level`: debug, info, warning, error; `form`: "text", "json", or "auto", which is
    text on a terminal."""
    text = sys.stderr.isatty() if form == "auto" else form == "text"
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _no_traceback,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="time")
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared, _one_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _AT_LEAST.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def _no_traceback(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Type and place of an error instead of its message and frames."""
    info: Any = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        places = [f"{frame.f_globals.get('__name__', '?')}:{line}" for frame, line in walk_tb(error.__traceback__)]
        if places:
            event["at"] = places[-1]
            # How we came there: the innermost place alone is often a library's, or our own of every statement.
            event["by"] = [place for place in places[:-1] if place.partition(".")[0] in _OURS][-_CALLERS:]
    return event


def _one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Of others' words the first line: what follows are objects as text (asyncio), and errors with their messages."""
    words = str(event.get("event", "")).partition("\n")[0]
    event["event"] = words[:_LONGEST]
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        # The formatter would add the traceback after us.
        record.exc_info = record.exc_text = record.stack_info = None
    return event
