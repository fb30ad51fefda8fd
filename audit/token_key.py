"""A master key that lives in a PKCS#11 token (v2.40, CKM_AES_GCM) and never leaves it.

Each module's calls go through one thread of their own: a module may hang, and is not asked by two at once. What is
lost (a session, the token for a while) is opened anew once before it counts as away. A wrong PIN is tried once: tokens
lock themselves after a few.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol, cast

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, exceptions

from audit.wrapping import ID_BYTES, MasterKeyAway, SealingError

_NONCE: Final = 12
_KNOWN: Final = b"Is anybody there?"


@dataclass(frozen=True, slots=True)
class Token:
    """Where a key is: the module's path, the token's label, its user PIN, and how many seconds a call may take."""

    module: str
    label: str
    pin: str = field(repr=False)
    timeout_s: float = 10


_REFUSED: Final[dict[Token, str]] = {}
"""Where a PIN was wrong, and the words for it: a token locks itself after a few tries, whoever makes them."""


class _Key(Protocol):
    def encrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: GCMParams) -> bytes: ...
    def decrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: GCMParams) -> bytes: ...


class _Thread:
    """Does one thing after another. A daemon: a module that never answers must not keep a process from ending."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._jobs: queue.SimpleQueue[tuple[Future[bytes], Callable[[], bytes]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="pkcs11", daemon=True).start()

    def _run(self) -> None:
        while True:
            future, work = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            self._since = time.monotonic()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            finally:
                self._since = None

    def do(self, work: Callable[[], bytes], timeout_s: float) -> bytes:
        since = self._since
        if since is not None and time.monotonic() - since > timeout_s:
            raise TimeoutError  # it hangs: whoever comes now need not find that out by waiting too
        future: Future[bytes] = Future()
        self._jobs.put((future, work))
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise


@lru_cache
def _thread_of(module: str) -> _Thread:
    return _Thread()


class TokenMasterKey:
    """Wraps inside the token. `key_id`: what stands in front of what it wraps; `label`: the key's CKA_LABEL."""

    slow = True

    def __init__(self, key_id: bytes, token: Token, label: str) -> None:
        if len(key_id) != ID_BYTES:
            raise ValueError("a master key's id has 8 bytes")
        self.id = key_id
        self._token, self._label = token, label
        self._session: pkcs11.Session | None = None
        self._key: _Key | None = None

    def wrap(self, context: bytes, plain: bytes) -> bytes:
        """id ‖ nonce ‖ AES-256-GCM. MasterKeyAway."""
        nonce = secrets.token_bytes(_NONCE)
        return self.id + nonce + self._do(True, nonce, context, plain)

    def unwrap(self, context: bytes, wrapped: bytes) -> bytes:
        """Open what `wrap` made. SealingError when it is not of this key and context; MasterKeyAway."""
        nonce, sealed = wrapped[ID_BYTES : ID_BYTES + _NONCE], wrapped[ID_BYTES + _NONCE :]
        if len(sealed) < 16:
            raise SealingError("a sealed value is cut short")
        return self._do(False, nonce, context, sealed)

    def _do(self, seal: bool, nonce: bytes, context: bytes, data: bytes) -> bytes:
        limit = self._token.timeout_s
        try:
            return _thread_of(self._token.module).do(lambda: self._tried(seal, nonce, context, data), limit)
        except TimeoutError as error:
            raise MasterKeyAway(f"the token {self._token.label} did not answer within {limit:g} s") from error

    # --- on the module's thread ---

    def _tried(self, seal: bool, nonce: bytes, context: bytes, data: bytes) -> bytes:
        with suppress(exceptions.PKCS11Error):
            return self._crypt(seal, nonce, context, data)
        self._let_go()
        self._connect()
        try:
            return self._crypt(seal, nonce, context, data)
        except exceptions.PKCS11Error as error:
            # Modules have several words for a tag that does not fit, one of which also means a broken device.
            if not seal and self._well():
                raise SealingError("a sealed value does not open with this key and context") from error
            self._let_go()
            raise MasterKeyAway(self._words(f"does not do it ({_name(error)})")) from error

    def _crypt(self, seal: bool, nonce: bytes, context: bytes, data: bytes) -> bytes:
        key = self._key or self._connect()
        use = key.encrypt if seal else key.decrypt
        return use(data, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, b"wrap\0" + context, 128))

    def _well(self) -> bool:
        nonce = secrets.token_bytes(_NONCE)
        try:
            return self._crypt(False, nonce, b"", self._crypt(True, nonce, b"", _KNOWN)) == _KNOWN
        except exceptions.PKCS11Error:
            return False

    def _words(self, what: str) -> str:
        return f"the token {self._token.label} {what}"

    def _let_go(self) -> None:
        if self._session is not None:
            with suppress(exceptions.PKCS11Error):
                self._session.close()
        self._session = self._key = None

    def _connect(self) -> _Key:
        """The key, in a session of its own. MasterKeyAway, in words for the operator."""
        if self._token in _REFUSED:
            raise MasterKeyAway(_REFUSED[self._token])
        try:
            token = self._find()
            try:
                self._session = token.open(user_pin=self._token.pin)
            except exceptions.UserAlreadyLoggedIn:  # by another key of the same token: a login is the process's
                self._session = token.open()
            self._key = self._usable(self._session)
            return self._key
        except (exceptions.PinIncorrect, exceptions.PinLocked, exceptions.PinInvalid, exceptions.PinLenRange) as error:
            words = self._words(f"refuses the PIN ({_name(error)}), which is not tried again until a restart")
            _REFUSED[self._token] = words
            raise MasterKeyAway(words) from error
        except exceptions.MultipleTokensReturned as error:
            raise MasterKeyAway(
                f"several tokens are called {self._token.label}; give each a label of its own"
            ) from error
        except exceptions.PKCS11Error as error:
            raise MasterKeyAway(self._words(f"cannot be opened ({_name(error)})")) from error
        finally:
            if self._key is None:
                self._let_go()

    def _find(self) -> pkcs11.Token:
        try:
            library = pkcs11.lib(self._token.module)
        except exceptions.PKCS11Error as error:
            why = str(error).rpartition(": ")[2] or _name(error)
            raise MasterKeyAway(f"the PKCS#11 module {self._token.module} cannot be loaded ({why})") from error
        try:
            return library.get_token(token_label=self._token.label)
        except exceptions.PKCS11Error:
            # Some modules look for tokens once; every session of this process with it is opened anew after this.
            library.reinitialize()
        try:
            return library.get_token(token_label=self._token.label)
        except exceptions.NoSuchToken as error:
            raise MasterKeyAway(f"there is no token {self._token.label} (module {self._token.module})") from error

    def _usable(self, session: pkcs11.Session) -> _Key:
        """The key, if it is one that cannot leave. MasterKeyAway."""
        named = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.AES,
            Attribute.LABEL: self._label,
        }
        found = list(session.get_objects(named))
        if not found:
            raise MasterKeyAway(self._words(f"holds no AES key {self._label}"))
        if len(found) > 1:
            raise MasterKeyAway(self._words(f"holds several keys {self._label}; give each its own label"))
        key = found[0]
        wanted = {
            Attribute.VALUE_LEN: (32, "has not 256 bits"),
            Attribute.EXTRACTABLE: (False, "can be taken out of it"),
            Attribute.SENSITIVE: (True, "can be read in the clear"),
            Attribute.ENCRYPT: (True, "is not for encrypting"),
            Attribute.DECRYPT: (True, "is not for decrypting"),
        }
        for attribute, (value, fault) in wanted.items():
            if key[attribute] != value:
                raise MasterKeyAway(f"the key {self._label} in the token {self._token.label} {fault}; make another")
        return cast(_Key, key)  # the library mixes in what a key can do when it has seen its attributes


def _name(error: Exception) -> str:
    return type(error).__name__
