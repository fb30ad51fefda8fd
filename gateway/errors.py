"""Errors that a person sees: whose fault it was, what to do next, and a code that never changes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """Who can put it right."""

    ENGINEER = "engineer"
    CUSTOMER = "customer"
    CUSTOMER_SYSTEM = "customer's system"
    OPERATOR = "operator"
    FRAMEROOM = "frameroom"


EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_PERMITTED: Final = 3
EXIT_REFUSED: Final = 4
EXIT_UNKNOWN: Final = 5


class FrameroomError(Exception):
    """Base of everything Frameroom itself raises at a person. `exit_code` is what a command ends with."""

    code = "frameroom"
    fault = Fault.FRAMEROOM
    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(FrameroomError):
    """The words of a command are off."""

    code = "usage"
    fault = Fault.ENGINEER
    exit_code = EXIT_USAGE


class NotFoundError(FrameroomError):
    """No such thing, or none that this person may know of (the two are answered alike)."""

    code = "not-found"
    fault = Fault.ENGINEER
    exit_code = EXIT_USAGE


class AmbiguousError(FrameroomError):
    """Several things match; `matches` lists them."""

    code = "ambiguous"
    fault = Fault.ENGINEER
    exit_code = EXIT_USAGE

    def __init__(self, message: str, matches: tuple[str, ...], *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.matches = matches


class NotPermittedError(FrameroomError):
    """Policy said no; the message is policy's own explanation."""

    code = "not-permitted"
    fault = Fault.CUSTOMER
    exit_code = EXIT_NOT_PERMITTED


class ConflictError(FrameroomError):
    """Somebody else was first, or a thing is already there."""

    code = "conflict"
    fault = Fault.ENGINEER


class StateError(FrameroomError):
    """The thing is not in a state that allows this (lifecycle.py)."""

    code = "state"
    fault = Fault.ENGINEER


class InvalidError(FrameroomError):
    """A value that cannot be taken; nothing was written."""

    code = "invalid"
    fault = Fault.ENGINEER
    exit_code = EXIT_USAGE


class UnavailableError(FrameroomError):
    """Something Frameroom needs (database, disk, key) is not there. Nothing was done."""

    code = "unavailable"
    fault = Fault.OPERATOR
