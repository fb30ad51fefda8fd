"""How a process that serves ends: what went wrong in one line each, never a traceback."""

from __future__ import annotations

import structlog

from audit.publisher import LogForked
from audit.sealing import MasterKeyAway, SealingError
from audit.sequencer import LogBehind
from audit.storage import StorageError
from connectors.errors import ConnectorError
from gateway.errors import FrameroomError

log = structlog.get_logger()


def leaves(error: BaseException) -> list[BaseException]:
    """The errors themselves, out of however many groups they travel in."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]


def in_words(error: BaseException) -> list[str]:
    """What a person is told of an error that ended the process: each thing once, with what to do where it is known."""
    # Of what nobody expected the type alone: a message could carry what must not be shown. The log has its place.
    told = [_known(leaf) or f"something went wrong on our side ({type(leaf).__name__})" for leaf in leaves(error)]
    return list(dict.fromkeys(told))


def log_unexpected(error: BaseException) -> None:
    """In the process's own log: type and place of every error that has no words for a person."""
    for leaf in leaves(error):
        if isinstance(leaf, Exception) and _known(leaf) is None:
            log.error("ended by what nobody expected", exc_info=leaf)


def _known(leaf: BaseException) -> str | None:
    if isinstance(leaf, FrameroomError):
        return f"{leaf.message}. {leaf.next_step}".rstrip() if leaf.next_step else leaf.message
    if isinstance(leaf, ConnectorError):
        return leaf.message
    if isinstance(leaf, LogBehind | LogForked | MasterKeyAway | SealingError | StorageError):
        return str(leaf)
    if isinstance(leaf, OSError):
        return f"{leaf.strerror or type(leaf).__name__}" + (f": {leaf.filename}" if leaf.filename else "")
    return None
