"""Whether Asterisk takes a new SIP password: one REGISTER that asks and registers nothing.

Without a Contact a REGISTER only asks which telephones are registered (RFC 3261 section 10.2.3), and is answered to
whoever proves the password (RFC 7616). The password is not sent, and neither is what it is answered looked at but for
its number.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from typing import Any, Final

_WAIT_S: Final = 3.0
_FIELD: Final = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^",\s]+))')
_HASHES: Final = {"MD5": "md5", "SHA-256": "sha256"}


class _Asked(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue(16)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.answers.full():
            self.answers.put_nowait(data[:4096])


def _authorization(challenge: str, user: str, password: str, uri: str) -> str | None:
    """RFC 7616 section 3.4 for one challenge; None for one that it does not know."""
    given = {key.lower(): quoted or bare for key, quoted, bare in _FIELD.findall(challenge)}
    algorithm = given.get("algorithm", "MD5").upper()
    if algorithm not in _HASHES or any('"' in given.get(key, "") for key in ("realm", "nonce", "opaque")):
        return None

    def hashed(text: str) -> str:
        return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

    nonce, own = given.get("nonce", ""), secrets.token_hex(8)
    first, second = hashed(f"{user}:{given.get('realm', '')}:{password}"), hashed(f"REGISTER:{uri}")
    counted = "auth" in given.get("qop", "").split(",")
    response = hashed(f"{first}:{nonce}:00000001:{own}:auth:{second}" if counted else f"{first}:{nonce}:{second}")
    made = f'Digest username="{user}", realm="{given.get("realm", "")}", nonce="{nonce}", uri="{uri}", '
    made += f'response="{response}", algorithm={algorithm}'
    made += f', qop=auth, nc=00000001, cnonce="{own}"' if counted else ""
    return made + (f', opaque="{given["opaque"]}"' if "opaque" in given else "")


async def status(host: str, port: int, user: str, password: str) -> int:
    """The final number of the answer: 200 for a right password, 401 or 403 for a wrong one. OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    transport, asked = await loop.create_datagram_endpoint(_Asked, remote_addr=(host, port))
    where, call = f"[{host}]" if ":" in host else host, secrets.token_hex(12)
    uri = f"sip:{where}"

    async def ask(number: int, more: str) -> tuple[int, str]:
        transport.sendto(
            f"REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {where};branch=z9hG4bK{secrets.token_hex(8)};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@{where}>;tag={call[:8]}\r\nTo: <sip:{user}@{where}>\r\n"
            f"Call-ID: {call}\r\nCSeq: {number} REGISTER\r\n{more}Content-Length: 0\r\n\r\n".encode()
        )
        while True:
            data = (await asked.answers.get()).decode("utf-8", "replace")
            found = re.match(r"SIP/2\.0 ([2-6][0-9]{2}) ", data)
            if found and re.search(rf"^CSeq:\s*{number} REGISTER\s*$", data, re.M | re.I):
                return int(found[1]), data

    try:
        async with asyncio.timeout(_WAIT_S):
            number, told = await ask(1, "")
            if number != 401:
                return number
            for challenge in re.findall(r"^WWW-Authenticate:\s*(Digest .*?)\r?$", told, re.M | re.I):
                if (made := _authorization(challenge, user, password, uri)) is not None:
                    return (await ask(2, f"Authorization: {made}\r\n"))[0]
            return number
    finally:
        transport.close()


async def proven(host: str, port: int, user: str, password: str) -> str:
    """What to say of a reset after trying it."""
    if not re.fullmatch(r"[\w.+-]+", user, re.ASCII):
        return "not tried with a REGISTER: the account's name cannot be one in SIP"
    try:
        number = await status(host, port, user, password)
    except (OSError, TimeoutError):
        return "not proven: its SIP port did not answer a REGISTER"
    if number == 200:
        return "proven: the phone system takes the new password (REGISTER answered 200)"
    return (
        f"NOT PROVEN: a REGISTER as {user} with the new password was answered {number}; the account's SIP user name "
        "may be another, or its password section may inherit a digest from a template"
    )
