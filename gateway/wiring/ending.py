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
    told: list[str] = []
    for leaf in leaves(error):
        if isinstance(leaf, FrameroomError):
            words = f"{leaf.message}. {leaf.next_step}".rstrip() if leaf.next_step else leaf.message
        elif isinstance(leaf, ConnectorError):
            words = leaf.message
        elif isinstance(leaf, LogBehind | LogForked | MasterKeyAway | SealingError | StorageError):
            words = str(leaf)
        elif isinstance(leaf, OSError):
            words = f"{leaf.strerror or type(leaf).__name__}" + (f": {leaf.filename}" if leaf.filename else "")
        else:
            # The type alone: a message could carry what must not be shown.
            words = f"something went wrong on our side ({type(leaf).__name__})"
        told.append(words)
    return list(dict.fromkeys(told))
