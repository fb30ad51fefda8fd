"""The form of a backup: a tar of small files, compressed (zstd), sealed to age recipients, all as a stream.

`age -d -i IDENTITY FILE | zstd -d | tar x` opens it without Frameroom. In it: `frameroom.json` (what it is and the
tables' columns), `frameroom.toml`, `database/NUMBER-TABLE.jsonl`, `keys/…`, `keyring/…`, `objects/…`, and last
`end.json`: how many files there are and a digest over their digests, so that a part that is missing shows. Each
file carries its SHA-256 in its own header. age itself refuses a byte that was changed and an end that was cut off,
but anybody can seal to a public recipient: what is read is treated as hostile.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import pyrage
import zstandard
from pydantic import BaseModel, ConfigDict

from gateway.errors import InvalidError, UnavailableError

FORMAT: Final = 1
HEAD, END, CONFIG = "frameroom.json", "end.json", "frameroom.toml"
FOLDERS: Final = ("database", "keys", "keyring", "objects")
_SHA256: Final = "FRAMEROOM.sha256"
_LARGEST: Final = 256 << 20
_READ: Final = 1 << 20


def recipients_of(words: tuple[str, ...]) -> list[Any]:
    """Age recipients (`age1…`). InvalidError, without showing what was given, when one is none."""
    found = []
    for word in words:
        if word.upper().startswith("AGE-SECRET-KEY"):
            raise InvalidError(
                "that is a private identity, and it must never be on this machine",
                next_step="Give the recipient that belongs to it (age1…), and treat this identity as known to others.",
            )
        try:
            found.append(pyrage.x25519.Recipient.from_str(word))
        except pyrage.RecipientError as error:
            raise InvalidError(
                "that is not an age recipient (age1…)",
                next_step="`age-keygen -o identity.txt`, on another machine, makes one and shows its recipient.",
            ) from error
    if not found:
        raise InvalidError("a backup is sealed to somebody", next_step="Name a recipient: --to age1…")
    return found


def identities_of(path: Path) -> list[Any]:
    """What an age identity file holds. InvalidError, without showing any of it, when that is nothing."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"the identity file {path} cannot be read") from error
    found = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            try:
                found.append(pyrage.x25519.Identity.from_str(line.strip()))
            except pyrage.IdentityError as error:
                raise InvalidError(f"{path} is not an age identity file (AGE-SECRET-KEY-1…)") from error
    if not found:
        raise InvalidError(f"{path} holds no age identity (AGE-SECRET-KEY-1…)")
    return found


class Digesting(io.BufferedIOBase):
    """A file that age writes into: digest (SHA-256) and size of what went through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """Write all of it."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """As a file does."""
        self._file.flush()

    def hexdigest(self) -> str:
        """Of everything so far."""
        return self._digest.hexdigest()


class Writer:
    """Writes files into a pipe that `seal` reads. Its methods block, and may be called from any thread."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._pressed = zstandard.ZstdCompressor(level=3).stream_writer(pipe, closefd=False)
        self._tar = tarfile.open(fileobj=self._pressed, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._digests = hashlib.sha256()
        self._lock = threading.Lock()
        self._open = True
        self.files = 0

    def add(self, name: str, data: bytes) -> None:
        """Add a file. BrokenPipeError when nobody reads any more, ValueError after the end."""
        with self._lock:
            if not self._open:
                raise ValueError("the archive is closed")
            self._put(name, data)
            self.files += 1

    def _put(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        digest = hashlib.sha256(data)
        info.size, info.mode, info.pax_headers = len(data), 0o600, {_SHA256: digest.hexdigest()}
        self._digests.update(digest.digest())
        self._tar.addfile(info, io.BytesIO(data))

    def finish(self) -> None:
        """Write the end."""
        with self._lock:
            end = {"files": self.files, "digest": self._digests.hexdigest()}
            self._put(END, json.dumps(end).encode())
            self._tar.close()
            self._pressed.flush(zstandard.FLUSH_FRAME)

    def close(self) -> None:
        """Let go of the pipe; without `finish` what was written has no end, and no reader takes it for whole."""
        with self._lock:
            self._open = False
            with suppress(BrokenPipeError):  # nobody reads: there is nothing to be said to anybody
                self._pipe.close()


@contextmanager
def reading(file: Path, identities: list[Any]) -> Iterator[Iterator[tuple[str, bytes]]]:
    """The files of a backup as (name, bytes), each checked against its digest; whole only when it was read to its end.

    InvalidError when the identity does not open it, or it is damaged, cut short or no backup.
    """
    read_end, write_end = os.pipe()
    failed: list[BaseException] = []

    def opener() -> None:
        try:
            with os.fdopen(write_end, "wb") as pipe, file.open("rb") as sealed:
                pyrage.decrypt_io(sealed, pipe, identities)
        except (OSError, pyrage.DecryptError) as error:
            failed.append(error)

    thread = threading.Thread(target=opener, name="age")
    thread.start()
    with os.fdopen(read_end, "rb") as pipe:
        try:
            yield _files(pipe, file)
        except (InvalidError, tarfile.TarError, zstandard.ZstdError, EOFError) as error:
            pipe.close()
            thread.join()
            # What the opening found comes first: the rest is its consequence.
            if causes := _causes(failed):
                raise _in_words(file, causes[0]) from error
            if isinstance(error, InvalidError):
                raise
            raise InvalidError(f"{file} is damaged, or not a backup of Frameroom") from error
        finally:
            pipe.close()
            thread.join()
        if causes := _causes(failed):
            raise _in_words(file, causes[0])


def _causes(failed: list[BaseException]) -> list[BaseException]:
    # A reader that went away first is what broke the pipe.
    return [error for error in failed if getattr(error, "errno", None) != errno.EPIPE]


def _in_words(file: Path, error: BaseException) -> Exception:
    if isinstance(error, pyrage.DecryptError) and "No matching keys" in str(error):
        return InvalidError(
            f"this identity does not open {file}: it was sealed to another recipient",
            next_step="Give the identity of the recipient that the backup was made to.",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return UnavailableError(f"{file} could not be read ({error.strerror})")
    return InvalidError(f"{file} is damaged, cut short, or not a backup", next_step="Nothing was restored.")


def _files(pipe: IO[bytes], file: Path) -> Iterator[tuple[str, bytes]]:
    digests, count = hashlib.sha256(), 0
    plain = zstandard.ZstdDecompressor().stream_reader(pipe, closefd=False)
    with tarfile.open(fileobj=plain, mode="r|") as tar:
        for info in tar:
            source = tar.extractfile(info) if info.isfile() and info.size <= _LARGEST else None
            if source is None:
                raise InvalidError(f"{file} holds what no backup does: {info.name!r:.80}")
            data = source.read()
            digest = hashlib.sha256(data)
            if len(data) != info.size or info.pax_headers.get(_SHA256) != digest.hexdigest():
                raise InvalidError(f"{file}: {info.name!r:.80} is not what was backed up")
            if info.name == END:
                if json.loads(data) != {"files": count, "digest": digests.hexdigest()}:
                    raise InvalidError(f"{file}: a part of it is missing")
                # To its very end: only there does age say that nothing was cut off.
                while plain.read(_READ):
                    continue
                while pipe.read(_READ):
                    continue
                return
            digests.update(digest.digest())
            count += 1
            yield info.name, data
    raise InvalidError(f"{file} was cut short")


class Head(BaseModel):
    """What a backup says of itself. `tables` is rows.Shape; empty, with `revision`, when it holds no database."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int = FORMAT
    deployment: str
    made_ms: int
    parts: list[str]
    database: str
    revision: str
    tables: dict[str, dict[str, list[str]]]

    @classmethod
    def decode(cls, data: bytes) -> Head:
        """Read it. InvalidError when it is of a kind that this program does not know."""
        try:
            told = json.loads(data)
            if isinstance(told, dict) and told.get("format") != FORMAT:
                raise InvalidError("the backup was made by a newer Frameroom", next_step="Install that version.")
            return cls.model_validate(told)
        except ValueError as error:
            raise InvalidError("the backup does not say what it is") from error
