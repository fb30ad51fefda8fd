"""The one place that touches what asyncssh keeps to itself (asyncssh 2.24.1, pinned exactly).

asyncssh has no public way to ask for two factors, to see every request a client makes, or to bound what a stranger
may send. Each private name used stands in `RELIES_ON` with its reason; tests/session/door/test_seam_contract.py fails
when one goes. A connection decides nothing itself: it asks its `DoorPolicy`. asyncssh_channel.py (channels and their
line editor), asyncssh_cipher.py and door_keys.py (keys under a signature) are parts of this seam; nothing else touches
private names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Protocol

import asyncssh
from asyncssh.auth import Auth
from asyncssh.channel import SSHServerChannel
from asyncssh.editor import SSHLineEditor
from asyncssh.packet import SSHPacket

from gateway.session import asyncssh_cipher
from gateway.session.asyncssh_channel import EDITED, MAX_PACKET, TappedChannel, wire_name
from gateway.session.door_keys import Proof, key_kind_taken, read_proof
from gateway.session.long_packets import LONGEST, LongPackets

RELIES_ON: Final[Sequence[tuple[type, str, str]]] = (
    (asyncssh.SSHServerConnection, "_auth", "a newer attempt must not inherit the success of an older one"),
    (asyncssh.SSHServerConnection, "_auth_in_progress", "asyncssh takes authentication before its service"),
    (asyncssh.SSHServerConnection, "_auth_complete", "limits before sign-in are lifted after it"),
    (asyncssh.SSHServerConnection, "_next_service", "paramiko asks for the service again between the factors"),
    (asyncssh.SSHServerConnection, "_key_options", "wiped by every further request …"),
    (asyncssh.SSHServerConnection, "_cert_options", "… and a certificate's force-command with them: restored"),
    (asyncssh.SSHServerConnection, "_session_id", "what a signature covers"),
    (asyncssh.SSHServerConnection, "_username", "whose success it is"),
    (asyncssh.SSHServerConnection, "_peer_addr", "the address that a balancer tells"),
    (asyncssh.SSHServerConnection, "_peer_port", "the same"),
    (asyncssh.SSHServerConnection, "_connection_made", "hook after asyncssh read the socket's own address"),
    (asyncssh.SSHServerConnection, "_inpbuf", "bytes not taken apart yet: bounded"),
    (asyncssh.SSHServerConnection, "_transport", "pause reading; cut a peer that does not read"),
    (asyncssh.SSHServerConnection, "_pktlen", "lengths under the minimum are not checked"),
    (asyncssh.SSHServerConnection, "_recv_pkthdr", "where that length is read"),
    (asyncssh.SSHServerConnection, "_recv_macsize", "how much of a long packet is still to come"),
    (asyncssh.SSHServerConnection, "_recv_blocksize", "the same"),
    (asyncssh.SSHServerConnection, "_finish_recv_packet", "where reading may go on"),
    (asyncssh.SSHServerConnection, "_max_recv_pktlen", "35,000 bytes are enough (RFC 4253 section 6.1)"),
    (asyncssh.SSHServerConnection, "_kex_algs", "our first choice, for the rule on a guessed packet"),
    (asyncssh.SSHServerConnection, "_server_host_key_algs", "the same"),
    (asyncssh.SSHServerConnection, "_ignore_first_kex", "judged by the algorithm agreed on, not by RFC 4253 section 7"),
    (asyncssh.SSHServerConnection, "_send_encryption", "the empty IGNORE before each packet guards CBC, which is off"),
    (asyncssh.SSHServerConnection, "_send", "one call to the kernel for all that a turn of the loop sends"),
    (asyncssh.SSHServerConnection, "_send_disconnect", "say why, then close"),
    (asyncssh.SSHServerConnection, "_force_close", "close without waiting for a peer that does not read"),
    (asyncssh.SSHServerConnection, "_global_request_queue", "where an answer is reported from"),
    (asyncssh.SSHServerConnection, "_process_hostkeys_prove_00_at_openssh_dot_com_global_request", "signatures"),
    (asyncssh.SSHServerConnection, "_channels", "how many are open"),
    (asyncssh.SSHServerConnection, "_loop", "to make our own channel"),
    (asyncssh.SSHServerConnection, "_window", "the same"),
    (asyncssh.SSHServerConnection, "_max_pktsize", "the same"),
    (asyncssh.SSHServerConnection, "_line_history", "the same"),
    (asyncssh.SSHServerConnection, "_max_line_length", "the same"),
    (SSHServerChannel, "_encoder", "lets bytes pass: a long answer is not decoded to be encoded twice"),
    (SSHServerChannel, "_line_echo", "what our line editor is made with"),
    (SSHServerChannel, "_wrap_session", "puts our line editor in front"),
    (SSHServerChannel, "_process_env_request", "env is on a short list"),
    (SSHServerChannel, "_process_exec_request", "a command that is no UTF-8 gets an answer in words"),
    (SSHServerChannel, "_start_session", "as exec does"),
    (SSHServerChannel, "_discard_recv", "a close counts at once, whatever input nobody has read yet"),
    (SSHLineEditor, "_build_printable", "8 ms each time it is built; the same for the same keys"),
    (SSHLineEditor, "_keymap", "those keys"),
    (SSHLineEditor, "_printable", "what is built"),
    *((SSHLineEditor, name, "whether anything is being typed") for name in EDITED),
    (asyncssh.SSHServerConnection, "_next_recv_encryption", "a new key's contexts, made to last; and _send_encryption"),
    *asyncssh_cipher.RELIES_ON,
)

_MIN_PACKET, _SLICE, _MAX_BACKLOG, _MAX_UNREAD = 5, 16_384, 65_536, 8 << 20
_KEXINIT, _SERVICE_REQUEST, _IGNORE, _USERAUTH_REQUEST, _INFO_RESPONSE = 20, 5, 2, 50, 61
_GLOBAL_REQUEST, _OPEN, _CHANNEL_REQUEST = 80, 90, 98
_MAX_OFFERS, _MAX_SIGNATURES, _MAX_CODES, _MAX_REQUESTS, _MAX_BYTES = 40, 10, 3, 80, 262_144
_MAX_REKEYS_IN_HAND: Final = 20


class DoorPolicy(Protocol):
    """What the door decides about a connection."""

    address: str
    user_ca_keys: frozenset[bytes]

    async def key_known(self, login: str, fingerprint: str) -> bool:
        """True when this enabled engineer has this key. Asked only for a key that signed."""

    async def certificate_known(self, login: str) -> bool:
        """True when the login, named in a certificate of a configured authority, is an enabled engineer's."""

    async def key_proven(self, login: str, fingerprint: str, verified_fido: bool) -> None:
        """A signature of a known key was verified; raises DisconnectError over the engineer's limit."""

    async def code_right(self, login: str, code: str) -> bool:
        """Check and use up a one-time code."""

    async def sign_in(self) -> None:
        """Both steps are done: log it. An exception refuses."""

    def opens_session(self) -> bool:
        """True while one more channel is within the limits."""

    def refused(self, what: str) -> None:
        """Something that is not allowed was asked for."""


_KNOWN_GLOBALS = frozenset({"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com",
                            "cancel-streamlocal-forward@openssh.com"})  # fmt: skip
_KNOWN_OPENS = frozenset({"direct-tcpip", "forwarded-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com",
                          "x11", "auth-agent@openssh.com"})  # fmt: skip


class DoorConnection(asyncssh.SSHServerConnection):
    """A server connection that wants a signature first and a one-time code second, of one and the same engineer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: Any, peer: tuple[str, int] | None = None) -> None:
        super().__init__(loop, options)
        self.policy: DoorPolicy | None = None
        self.on_first_step: Any = None
        self._peer = peer
        self._max_recv_pktlen = MAX_PACKET
        self._stage = 0
        self._proven: Proof | None = None
        self._complete = self._sealed_sessions = False
        self._questions = self._answers = 0
        self._offers = self._signatures = self._codes_tried = self._requests = self._bytes = self._rekeys = 0
        self._full_backlog = self._stalled = self._paused = False
        self._outgoing: list[bytes] = []
        self._long = LongPackets(self.refuse)

    @property
    def peer_address(self) -> str:
        """Who really knocked."""
        return self._peer_addr

    @property
    def channels_open(self) -> int:
        """How many channels are open or opening."""
        return len(self._channels)

    # --- reading and writing, bounded ---

    def _connection_made(self) -> None:
        if self._peer is not None:
            self._peer_addr, self._peer_port = self._peer

    def data_received(self, data: bytes, datatype: Any = None) -> None:
        """In slices (asyncssh copies its whole backlog for each packet), and no more than is taken apart."""
        if not self._auth_complete:
            self._bytes += len(data)
            if self._bytes > _MAX_BYTES:
                self.refuse("Too much before authentication")
                return
        for start in range(0, len(data), _SLICE):
            if self._transport is None:
                return
            if piece := self._long.add(data[start : start + _SLICE]):
                super().data_received(piece, datatype)
        if len(self._inpbuf) > _MAX_BACKLOG:
            self._full_backlog = True
            self._gate()

    def _finish_recv_packet(self, pkttype: int, seq: int, _task: Any = None, is_async: bool = False) -> None:
        if self._pktlen > MAX_PACKET and pkttype != _CHANNEL_REQUEST:
            raise asyncssh.ProtocolError("Packet too long")
        if pkttype == _INFO_RESPONSE:
            # Counted as it comes: asyncssh drops an answer that it has not begun to check for the one behind it.
            self._answers += 1
            if self._answers > self._questions:
                raise asyncssh.ProtocolError("An answer that nobody asked for")
        super()._finish_recv_packet(pkttype, seq, _task, is_async)
        if self._full_backlog and len(self._inpbuf) <= _MAX_BACKLOG // 2:
            self._full_backlog = False
            self._gate()

    def _recv_pkthdr(self) -> bool:
        self._max_recv_pktlen = LONGEST if self._auth_complete else MAX_PACKET
        ready = super()._recv_pkthdr()
        if ready and self._pktlen < _MIN_PACKET:
            raise asyncssh.ProtocolError("Packet too short")
        if ready and self._pktlen > MAX_PACKET:
            # Kept apart until it is whole: asyncssh would copy all that it has for each piece that comes.
            self._long.begin(4 + self._pktlen + self._recv_macsize - self._recv_blocksize - len(self._inpbuf))
        return ready

    def pause_writing(self) -> None:
        """The peer does not read: take nothing from it either, so that our answers cannot pile up."""
        self._stalled = True
        self._gate()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stalled = False
        self._gate()

    def _gate(self) -> None:
        stop = self._full_backlog or self._stalled
        if stop == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = stop
        if stop:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _send(self, data: bytes) -> None:
        # All that one turn of the loop sends goes in one call to the kernel, which costs more than the encryption.
        if self._transport is None:
            return
        if not self._outgoing:
            self._loop.call_soon(self._send_out, self._transport)
        self._outgoing.append(data)

    def _send_out(self, transport: Any) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        if data:
            transport.write(data)

    def _force_close(self, exc: Exception | None) -> None:
        self._long.over()
        # The last words first: closing takes away whatever is still to be sent.
        if self._transport is not None:
            self._send_out(self._transport)
        super()._force_close(exc)

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Without the empty IGNORE before each packet; a peer that lets megabytes wait is cut."""
        if pkttype == _IGNORE and self._send_encryption and args == (b"\0\0\0\0",):
            return
        super().send_packet(pkttype, *args, handler=handler)
        if self._stalled and self._transport and self._transport.get_write_buffer_size() > _MAX_UNREAD:
            self._force_close(None)

    def refuse(self, reason: str) -> None:
        """Say why and close."""
        self._send_disconnect(asyncssh.DISC_PROTOCOL_ERROR, reason, "en")
        self._force_close(asyncssh.ProtocolError(reason))

    def log_sent_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing, as in TappedChannel."""

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing, as in TappedChannel."""

    # --- every packet that asks for something ---

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """See every request before asyncssh does."""
        if pkttype == _OPEN and self._screen_open(packet):
            return True
        if pkttype == _GLOBAL_REQUEST:
            return self._answer_global(packet)
        if pkttype == _KEXINIT:
            return self._kexinit(pkttype, pktid, packet)
        if pkttype in (_USERAUTH_REQUEST, _SERVICE_REQUEST) and not self._auth_complete:
            self._requests += 1
            if self._requests > _MAX_REQUESTS:
                raise asyncssh.ProtocolError("Too many requests before authentication")
            if pkttype == _USERAUTH_REQUEST:
                self._screen_auth(packet)
            elif self._auth_in_progress:
                # paramiko repeats the request before its second step; while signing in that changes nothing.
                self._next_service = b"ssh-userauth"
        return super().process_packet(pkttype, pktid, packet)

    def _screen_auth(self, packet: SSHPacket) -> None:
        if not self._auth_in_progress:
            raise asyncssh.ProtocolError("Authentication before its service was requested")
        user = SSHPacket(packet.get_remaining_payload()).get_string()
        if self._proven is not None and user != self._proven.login.encode():
            raise asyncssh.ProtocolError("The user changed between two steps")

    async def _kexinit(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """RFC 4253 section 7: a guess is wrong unless both sides' first kex and first host key are the same."""
        self._rekeys += 1
        if self._rekeys > (_MAX_REKEYS_IN_HAND if self._auth_complete else 1):
            raise asyncssh.ProtocolError("Too many key exchanges")
        if self._auth_complete:
            self._loop.call_later(30, self._forget_rekey)
        lists = SSHPacket(packet.get_remaining_payload())
        lists.get_bytes(16)
        names = [lists.get_namelist() for _ in range(10)]
        guessed = lists.get_boolean()
        ours = [self._kex_algs[0]], list(self._server_host_key_algs or ())[:1]
        result = super().process_packet(pkttype, pktid, packet)
        if not isinstance(result, bool):
            await result
        self._ignore_first_kex = guessed and (list(names[0][:1]), list(names[1][:1])) != ours

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """The new keys; their ciphers are set up once and not for each packet."""
        super().send_newkeys(k, h)
        asyncssh_cipher.reuse(self._send_encryption)
        asyncssh_cipher.reuse(self._next_recv_encryption)

    def _forget_rekey(self) -> None:
        self._rekeys -= 1

    def _screen_open(self, packet: SSHPacket) -> bool:
        fields = SSHPacket(packet.get_remaining_payload())
        kind, number = wire_name(fields.get_string()), fields.get_uint32()
        session = kind == "session"
        if self.policy is None:
            return False
        if session and not self._sealed_sessions and self.policy.opens_session():
            return False
        what = "channel over the limit" if session else kind
        self.policy.refused(what if session or kind in _KNOWN_OPENS else "channel open")
        code = asyncssh.OPEN_RESOURCE_SHORTAGE if session else asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        self.send_channel_open_failure(number, code, "Not through this door", "en")
        return True

    def _answer_global(self, packet: SSHPacket) -> bool:
        fields = SSHPacket(packet.get_remaining_payload())
        name, wants_reply = wire_name(fields.get_string()), fields.get_boolean()
        if name == "hostkeys-prove-00@openssh.com" and len(fields.get_remaining_payload()) <= 8192:
            self._global_request_queue.append((None, packet, wants_reply))
            self._process_hostkeys_prove_00_at_openssh_dot_com_global_request(fields)
            return True
        done = name in ("keepalive@openssh.com", "no-more-sessions@openssh.com")
        if name == "no-more-sessions@openssh.com":
            self._sealed_sessions = True
        elif not done and self.policy is not None:
            self.policy.refused(name if name in _KNOWN_GLOBALS else "global request")
        if wants_reply:
            self.send_packet(81 if done else 82)
        return True

    # --- two steps ---

    async def reload_config(self) -> None:
        """Nothing: the options are everybody's, and building them again costs more than a key exchange."""

    def public_key_auth_supported(self) -> bool:
        """Only as the first step."""
        return self._stage == 0

    def kbdint_auth_supported(self) -> bool:
        """Only as the second step."""
        return self._stage == 1

    def password_auth_supported(self) -> bool:
        """Never."""
        return False

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """A key merely offered is judged by its kind alone, so that nobody learns whose it is; a signature counts."""
        if self.policy is None or self._stage != 0:
            return False
        if not msg:
            self._offers += 1
            if self._offers > _MAX_OFFERS:
                raise asyncssh.PermissionDenied("Too many keys")
            return key_kind_taken(key_data)
        self._signatures += 1
        if self._signatures > _MAX_SIGNATURES:
            raise asyncssh.PermissionDenied("Too many keys; name the right one (ssh -o IdentitiesOnly=yes -i KEY)")
        proof = read_proof(username, key_data, self._session_id, msg, signature, self.policy)
        if proof is None:
            return False
        if proof.certified:
            known = await self.policy.certificate_known(username)
        else:
            known = await self.policy.key_known(username, proof.fingerprint)
        if not known:
            return False
        await self.policy.key_proven(username, proof.name, proof.user_verified)
        self._proven, self._complete = proof, proof.user_verified
        return True

    async def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Ask for the code, of the engineer whose key signed and of nobody else."""
        if self._stage != 1 or self._proven is None or username != self._proven.login:
            return False
        if self._codes_tried >= _MAX_CODES:
            return False
        self._questions += 1
        return "", "", "", [("One-time code (or backup code): ", False)]

    async def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        """One answer for each question (`_finish_recv_packet` sees to it); the third wrong one ends it."""
        self._codes_tried += 1
        if self.policy is None or self._proven is None or username != self._proven.login or len(responses) != 1:
            return False
        right = await self.policy.code_right(username, responses[0][:64])
        self._complete = right
        if not right and self._codes_tried >= _MAX_CODES:
            raise asyncssh.PermissionDenied("Too many wrong codes")
        return right

    async def send_userauth_success(self) -> None:
        """The one gate: both steps, one engineer. Anything else is a failure or a partial success."""
        attempt: Auth | None = self._auth
        proof = self._proven
        if attempt is None or self.policy is None or proof is None or self._username != proof.login:
            self.send_userauth_failure(False)
        elif self._complete:
            await self.policy.sign_in()
            if self._auth is attempt and self._transport is not None:
                self._key_options, self._cert_options = {}, proof.certificate_options
                await super().send_userauth_success()
        elif self._stage == 0:
            self._stage = 1
            if self.on_first_step is not None:
                self.on_first_step()
            self.send_userauth_failure(True)
        else:
            self.send_userauth_failure(False)

    def create_server_channel(
        self, encoding: str | None = "", errors: str = "", window: int = 0, max_pktsize: int = 0
    ) -> Any:
        """Our channel instead of the library's."""
        channel = TappedChannel(
            self, self._loop, True, True, True, self._line_history, self._max_line_length, "utf-8", "replace",
            window or self._window, max_pktsize or self._max_pktsize,
        )  # fmt: skip
        channel.policy = self.policy
        return channel


def connection(
    loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions, peer: tuple[str, int] | None = None
) -> DoorConnection:
    """A connection for `loop.create_server`; `asyncssh.listen` takes no subclass. `peer`: what a balancer told."""
    return DoorConnection(loop, options, peer)
