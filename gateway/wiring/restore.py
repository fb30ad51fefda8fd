"""`frameroom restore`: a deployment out of a backup, on a machine that has none; whole or not at all.

Steps: 1 everything is read into a folder beside its place and an empty database, each file checked on the way,
2 the configuration is made to point there, 3 the folder gets its name. A mark is left for the first `serve`:
what was decided after the backup is not known, so it ends the permissions and links that stood in it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audit.masters import NAME
from audit.storage import write_new
from config import load as loading
from gateway.errors import ConflictError, InvalidError, UnavailableError
from gateway.store.rows import Loader
from gateway.wiring.archive import CONFIG, FOLDERS, HEAD, Head, identities_of, reading

MARK: Final = "restored"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore: backups (one, or one without keys and one of the keys), the identity file, where, and into
    which database (the owner's URL of an empty one; None: a file in the folder)."""

    files: tuple[Path, ...]
    identity: Path
    folder: Path
    database: str | None


@dataclass(slots=True)
class Restored:
    """How far it is: the head of the backup that holds the database, files and bytes put in place."""

    head: Head | None = None
    files: int = 0
    size: int = 0


def restore(wanted: Wanted, done: Restored) -> None:
    """Do it, and keep `done` up to date. Blocks. Whatever it raises, nothing is left behind.

    ConflictError when the folder holds something of a deployment already; InvalidError when a backup cannot be
    opened, is damaged, or lacks a part; UnavailableError when disk or database say no.
    """
    folder = wanted.folder
    for taken in ("data", CONFIG):
        if (folder / taken).exists():
            raise ConflictError(f"{folder} holds a deployment already ({taken}); nothing was changed")
    identities = identities_of(wanted.identity)
    fresh = not folder.exists()
    staging = folder / f".restoring-{secrets.token_hex(4)}"
    try:
        (staging / "data").mkdir(parents=True, mode=0o700)
        with ExitStack() as loading_rows:
            _read_all(wanted, identities, staging, loading_rows, done)
            _complete(done, staging)
            os.sync()
            _configure(wanted, staging)
            os.rename(staging / "data", folder / "data")
            os.rename(staging / CONFIG, folder / CONFIG)
    except OSError as error:
        raise UnavailableError(f"{folder} could not be written ({error.strerror})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if fresh and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def _read_all(wanted: Wanted, identities: list[Any], staging: Path, stack: ExitStack, done: Restored) -> None:
    deployments = set()
    for file in wanted.files:
        with reading(file, identities) as files:
            loader: Loader | None = None
            head: Head | None = None
            for name, data in files:
                if head is None:
                    if name != HEAD:
                        raise InvalidError(f"{file} does not begin as a backup does")
                    head = Head.decode(data)
                    deployments.add(head.deployment)
                    if "database" in head.parts:
                        loader = _loader(wanted, head, staging, stack, done)
                    continue
                _place(name, data, staging, loader, done)
            if loader is not None:
                loader.finish()
    if len(deployments) > 1:
        raise InvalidError(f"these backups are of different deployments: {', '.join(sorted(deployments))}")


def _loader(wanted: Wanted, head: Head, staging: Path, stack: ExitStack, done: Restored) -> Loader:
    if done.head is not None:
        raise InvalidError("both files hold a database; give one, and one of the keys alone")
    if head.database == "postgresql" and wanted.database is None:
        raise InvalidError(
            "the backup was made of a PostgreSQL database",
            next_step="Name an empty one by its owner's URL: --database postgresql://…; "
            "or --database sqlite to have it in a file.",
        )
    done.head = head
    url = wanted.database
    if url in {None, "sqlite"}:
        url = f"sqlite:///{staging / 'data' / 'frameroom.db'}"
    return stack.enter_context(Loader(str(url), head.revision, head.tables))


def _place(name: str, data: bytes, staging: Path, loader: Loader | None, done: Restored) -> None:
    folder, _, rest = name.partition("/")
    done.files += 1
    done.size += len(data)
    if folder == "database" and loader is not None:
        loader.take(rest.partition("-")[2].removesuffix(".jsonl"), data)
        return
    parts = rest.split("/")
    if name == CONFIG:
        # Of two backups the one that holds the database says how the deployment is set up.
        if loader is not None or not (staging / CONFIG).exists():
            (staging / CONFIG).write_bytes(data)
        return
    if folder not in FOLDERS or not all(_NAME.fullmatch(part) for part in parts):
        raise InvalidError(f"the backup holds what no backup does: {name!r:.80}")
    path = staging / "data" / folder / Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _complete(done: Restored, staging: Path) -> None:
    if done.head is None:
        raise InvalidError("the backup holds keys and no database", next_step="Give the other one, and this as --keys.")
    if not (staging / "data" / "keys" / NAME).exists():
        raise InvalidError(
            "the backup was made without keys, and nothing opens without them",
            next_step="Give the backup of the keys too: --keys FILE.",
        )
    write_new(staging / "data" / MARK, str(done.head.made_ms).encode())


def _configure(wanted: Wanted, staging: Path) -> None:
    """Point the configuration at what was restored: never, by an old path or URL, at a deployment that lives on."""
    file = staging / CONFIG
    text = file.read_text(encoding="utf-8")
    into = None if wanted.database == "sqlite" else wanted.database
    for key, value in (("storage.data_dir", "data"), ("storage.database_url", into), ("storage.owner_url", into)):
        text = loading.with_value(text, key, value)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
