"""The master key of a deployment, reached where `[keys]` says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit import rewrap
from audit.keystore import FileKeyStore
from audit.masters import NAME, MasterKeys, Named, Open, create, create_file
from audit.rewrap import Wanted
from audit.token_key import Token, TokenMasterKey
from audit.wrapping import FileMasterKey, MasterKey, MasterKeyAway, SealingError
from config.settings import Keys
from gateway.errors import UnavailableError

AWAY: Final = (
    "Put it right, and do it again: [keys] in frameroom.toml says how the master key is reached; "
    "`frameroom config check` tries it."
)


def reaching(folder: Path, keys: Keys) -> Open:
    """How a key that is named in the folder's list is reached by these settings."""

    def reach(named: Named) -> MasterKey:
        if named.kind == "file":
            try:
                return FileMasterKey.load(folder / named.file)
            except FileNotFoundError as error:
                raise MasterKeyAway(f"the master key {folder / named.file} is missing") from error
        if keys.pkcs11_module is None or keys.pkcs11_token is None or keys.pkcs11_pin is None:
            raise MasterKeyAway(
                f"the master key is in a token ({named.place}), and [keys] does not say how that is reached"
            )
        if keys.pkcs11_token != named.token:
            raise MasterKeyAway(
                f"the master key is in the token {named.token}, and keys.pkcs11_token is {keys.pkcs11_token}"
            )
        token = Token(str(keys.pkcs11_module), named.token, keys.pkcs11_pin, keys.pkcs11_timeout_s)
        return TokenMasterKey(bytes.fromhex(named.id), token, named.key)

    return reach


def wanted_by(keys: Keys) -> Wanted:
    """Where `[keys]` wants the master key to be."""
    if keys.master == "file":
        return Wanted("file")
    return Wanted("pkcs11", keys.pkcs11_token or "", keys.pkcs11_key)


def make_master(folder: Path, keys: Keys) -> None:
    """The first master key of a new deployment, and its folder: a file, or the key that was made in a token.

    FileExistsError when there is one; UnavailableError when the token's cannot be used.
    """
    tried = None if keys.master == "file" else in_token(folder, keys)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # whose database no other account here may read
    folder.mkdir(mode=0o700)
    if tried is None:
        create_file(folder)
    else:
        create(folder, tried)


def in_token(folder: Path, keys: Keys) -> Named:
    """The key that `[keys]` names in a token, tried and given an id. UnavailableError."""
    try:
        return rewrap.draft_in_token(reaching(folder, keys), wanted_by(keys))
    except (SealingError, MasterKeyAway) as error:
        raise UnavailableError(str(error), next_step=AWAY) from error


def check(folder: Path, keys: Keys) -> list[str]:
    """Try what `[keys]` says, for `config check`: what a person should know besides. Blocks. UnavailableError."""
    told = []
    if keys.pkcs11_module is not None and keys.pkcs11_token is not None and keys.pkcs11_pin is not None:
        in_token(folder, keys.model_copy(update={"master": "pkcs11"}))
    if (folder / NAME).exists():
        masters = open_masters(folder, keys)
        told = remarks(masters, keys)
    return told


def open_masters(folder: Path, keys: Keys) -> MasterKeys:
    """Those of a deployment's folder of keys. Blocks. UnavailableError when the current one cannot be used."""
    if not folder.exists():
        raise UnavailableError(
            f"No such file: {folder}; {folder.parent} holds no deployment",
            next_step="`frameroom init` makes one; storage.data_dir in frameroom.toml says where it is.",
        )
    try:
        return MasterKeys(folder, reaching(folder, keys))
    except (SealingError, MasterKeyAway) as error:
        raise UnavailableError(str(error), next_step=AWAY) from error


def remarks(masters: MasterKeys, keys: Keys) -> list[str]:
    """What is not as `[keys]` wants it, or was left in the middle."""
    current = masters.current
    if current.moving:
        return ["a change of the master key was cut short: `frameroom keys rewrap` finishes it"]
    if not wanted_by(keys).is_at(current):
        return [f"[keys] wants another master key than is used ({current.place}): `frameroom keys rewrap` moves to it"]
    return []


async def ready(masters: MasterKeys, keys: FileKeyStore) -> str:
    """Why no key could be wrapped or opened now; "" when the master key answers."""
    try:
        await keys.off_the_loop(masters.probe)
    except (SealingError, MasterKeyAway) as error:
        return f"master key: {error}"
    return ""
