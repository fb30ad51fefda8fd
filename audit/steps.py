"""Named moments of a visit at which a test may stop the process. In service nothing happens at any of them.

What happens there is an object that the wiring is given (`parts`, `App`, `serve_until`); no setting, environment
variable or request can bring another one in. tests/faults kills the process at each of them and starts it again.
"""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Moments between two things that must not come apart, in the order in which a visit meets them."""

    OPENED = "opened"
    """session.opened is durable, the phone system was not dialled."""
    INTENDED = "intended"
    """operation.intended is durable, the phone system was not touched."""
    TOUCHED = "touched"
    """The phone system answered, the operation's outcome is not written."""
    DECIDED = "decided"
    """The outcome is durable, the engineer was not told."""
    JOURNALLED = "journalled"
    """Frames are durable in the journal and in no segment."""
    STORED = "stored"
    """A segment is in the object store, the log does not name it."""
    UNRECORDED = "unrecorded"
    """The recording is closed, session.closed is not written."""
    SIGNED = "signed"
    """Entries are numbered and their checkpoint is signed, but not published."""
    TILED = "tiled"
    """Tiles and bundles of a checkpoint are durable, the checkpoint is not published."""
    PUBLISHED = "published"
    """The checkpoint is published, partial tiles of the one before it are still there."""
    MASTER_NAMED = "master-named"
    """A new master key is made and named, and nothing is wrapped under it."""
    MASTER_SWITCHED = "master-switched"
    """New keys are wrapped under the new master key, what was there is not."""
    MASTER_MOVING = "master-moving"
    """One more key is wrapped under the new master key; others are not."""
    MASTER_MOVED = "master-moved"
    """Nothing is wrapped under the old master key any more, the log does not say so."""


class Steps:
    """Does nothing."""

    async def reached(self, step: Step) -> None:
        """A moment has come; whoever waits for this goes on when it returns."""
