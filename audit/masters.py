"""The master keys of a deployment: which one wraps, and which earlier ones still open what they wrapped.

`masters.json`, beside the key files, names them: {"format", "keys": [{"id", "kind", "state", "made_ms", …}]}. It holds
no key. It is replaced as a whole, and read again when it has changed: another process may have done that. `check` is a
known text that the key wrapped, so that a key of the same name that is another one is found out at once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, Final, Literal

from audit.storage import replace
from audit.wrapping import FileMasterKey, MasterKey, MasterKeyAway, SealingError

NAME: Final = "masters.json"
FIRST: Final = "master.key"
_FORMAT: Final = "frameroom-master-keys-v1"
_CHECK: Final = b"check"
_KNOWN: Final = b"Frameroom wraps its keys under this one."


@dataclass(frozen=True, slots=True)
class Named:
    """A master key as the list has it. `state`: "next" is being made, "current" wraps, "old" only opens.

    `file` is a name beside the list; `token` and `key` are labels. `moving`: what an earlier key wrapped may not all
    have come over to this one yet.
    """

    id: str
    kind: Literal["file", "pkcs11"]
    state: Literal["next", "current", "old"]
    made_ms: int
    check: str
    file: str = ""
    token: str = ""
    key: str = ""
    moving: bool = False

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"file {self.file}" if self.kind == "file" else f"token {self.token}, key {self.key}"


Open = Callable[[Named], MasterKey]
"""Reaches a key that is named. SealingError, MasterKeyAway."""


def name_key(master: MasterKey, **where: Any) -> Named:
    """A line of the list for a key, whose check it wraps. MasterKeyAway."""
    check = master.wrap(_CHECK, _KNOWN).hex()
    return Named(id=master.id.hex(), state="next", made_ms=int(time.time() * 1000), check=check, **where)


def opens(key: MasterKey, named: Named) -> None:
    """Nothing when it is the key that the list means; MasterKeyAway otherwise, or when it does not answer.

    Away, and not a sealed value that is damaged: with the right key everything opens again.
    """
    try:
        right = key.id.hex() == named.id and key.unwrap(_CHECK, bytes.fromhex(named.check)) == _KNOWN
    except (SealingError, ValueError):
        right = False
    if not right:
        raise MasterKeyAway(f"what is there ({named.place}) is not the master key {named.id}")


def create(folder: Path, first: Named) -> None:
    """The list of a new deployment, whose key is there already."""
    _write(folder, (changed(first, state="current"),))


def create_file(folder: Path) -> Named:
    """The first master key, in a file, and the list. FileExistsError when there is one."""
    named = name_key(FileMasterKey.create(folder / FIRST), kind="file", file=FIRST)
    create(folder, named)
    return named


def _write(folder: Path, keys: tuple[Named, ...]) -> None:
    text = json.dumps({"format": _FORMAT, "keys": [asdict(key) for key in keys]}, indent=1)
    replace(folder / NAME, text.encode() + b"\n")


def _read(folder: Path) -> tuple[Named, ...]:
    path = folder / NAME
    try:
        held = json.loads(path.read_bytes())
        keys = tuple(Named(**key) for key in held["keys"])
        if held["format"] != _FORMAT or [key.state for key in keys].count("current") != 1:
            raise ValueError("it is of another kind")
    except FileNotFoundError as error:
        raise SealingError(f"{path} is missing: put it back from the newest backup of the keys") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SealingError(f"{path} is not a list of master keys") from error
    return keys


class MasterKeys:
    """The master keys of one folder, as one: wraps under the current, opens what any of them wrapped.

    An old one is reached only when it is needed; where it is gone, what it wrapped says so.
    """

    def __init__(self, folder: Path, reach: Open) -> None:
        """Reach the current one. SealingError, MasterKeyAway."""
        self.folder = folder
        self.reach = reach
        self._reaching = threading.Lock()
        self._known: tuple[tuple[int, int, int], tuple[Named, ...]] | None = None
        self._open: dict[bytes, MasterKey] = {}
        self._key(self.id)

    def _look(self) -> tuple[Named, ...]:
        """The list as it is now: one stat when nothing has changed."""
        try:
            found = (self.folder / NAME).stat()
        except FileNotFoundError:
            return _read(self.folder)
        seen = found.st_ino, found.st_mtime_ns, found.st_size
        known = self._known
        if known is None or known[0] != seen:
            self._known = known = seen, _read(self.folder)
        return known[1]

    @property
    def listed(self) -> tuple[Named, ...]:
        """All of them."""
        return self._look()

    @property
    def current(self) -> Named:
        """The one that wraps."""
        return next(named for named in self._look() if named.state == "current")

    @property
    def id(self) -> bytes:
        """The current one's."""
        return bytes.fromhex(self.current.id)

    @property
    def slow(self) -> bool:
        """As MasterKey has it: while one of them is."""
        return any(named.kind == "pkcs11" for named in self._look())

    def _key(self, key_id: bytes) -> MasterKey:
        if (known := self._open.get(key_id)) is not None:
            return known
        with self._reaching:
            if (known := self._open.get(key_id)) is not None:
                return known
            named = next((named for named in self._look() if named.id == key_id.hex()), None)
            if named is None:
                raise SealingError(f"a key is wrapped under the master key {key_id.hex()}, which is none of those here")
            key = self.reach(named)
            opens(key, named)
            self._open[key_id] = key
            return key

    def wrap(self, context: bytes, plain: bytes) -> bytes:
        """Under the current one."""
        return self._key(self.id).wrap(context, plain)

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Under whichever it was wrapped."""
        return self._key(wrapped[: len(self.id)]).unwrap(context, wrapped)

    def probe(self) -> None:
        """Have the current one open its check. Blocks. MasterKeyAway, SealingError."""
        current = self.current
        opens(self._key(bytes.fromhex(current.id)), current)

    # --- changing them: one process at a time (audit/rewrap.py) ---

    def add(self, named: Named) -> None:
        """A key that is about to be made or used."""
        _write(self.folder, (*self._look(), named))

    def drop(self, key_id: str) -> None:
        """Forget one: what it wrapped opens no more."""
        _write(self.folder, tuple(named for named in self._look() if named.id != key_id))
        self._open.pop(bytes.fromhex(key_id), None)

    def make_current(self, key_id: str) -> None:
        """Wrap under this one from now on; the one before becomes an old one. It is reached and checked first."""
        self._key(bytes.fromhex(key_id))
        keys = []
        for named in self._look():
            if named.id == key_id:
                keys.append(changed(named, state="current", moving=True))
            elif named.state == "current":
                keys.append(changed(named, state="old", moving=False))
            else:
                keys.append(named)
        _write(self.folder, tuple(keys))

    def settled(self) -> None:
        """Everything is under the current one."""
        _write(self.folder, tuple(changed(named, moving=False) for named in self._look()))
