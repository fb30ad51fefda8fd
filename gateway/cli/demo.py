"""`frameroom demo`: everything on loopback, on real parts, ready to be tried; or a story that plays by itself."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import click
import pyotp
from aiosmtpd.smtp import SMTP, Envelope, Session

from audit.steps import Steps
from config import load as loading
from config.settings import Settings
from connectors.contract import Operation
from connectors.lab import server as lab_server
from gateway.cli import story, story_record, story_yes
from gateway.errors import UsageError
from gateway.model import Request
from gateway.wiring.app import App
from gateway.wiring.asking import ask
from gateway.wiring.parts import make_keys, migrate
from gateway.wiring.serve import serve_until

CUSTOMER, SYSTEM, LOGIN = "Brook & Sons", "Head office", "ana"


@dataclass  # no slots: Python up to 3.11.2 leaves a __weakref__ that aiosmtpd's look at its handler trips over
class Mails:
    """A local mail catcher."""

    caught: list[dict[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    folder: Path | None = None
    """Where each mail is written too, and said to have been: for whoever tries the demo by hand."""
    early: list[str] | None = field(default_factory=list)
    """What is said once that is asked for; None: it is said at once."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook: keep the message."""
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        message = email.message_from_bytes(raw, policy=email.policy.default)
        mail = {"to": ", ".join(envelope.rcpt_tos), "text": str(message.get_content())}
        self.caught.append(mail)
        if self.folder is not None:
            self._write(self.folder, str(message["subject"]), mail)
        self.arrived.set()
        return "250 kept"

    def _write(self, folder: Path, subject: str, mail: dict[str, str]) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / f"{len(self.caught):04}.txt"
        file.touch(0o600)
        file.write_text(f"To: {mail['to']}\nSubject: {subject}\n\n{mail['text']}", encoding="utf-8")
        line = f"Mail to {mail['to']}: {subject}\n  {file}"
        if self.early is None:
            click.echo(line)
        else:
            self.early.append(line)

    def tell(self) -> None:
        """Say what has come, and from now on what comes."""
        for line in self.early or ():
            click.echo(line)
        self.early = None

    async def wait_for(self, words: str, count: int = 1) -> str:
        """The text of the first message that holds `words`, once `count` of them have come."""
        while True:
            self.arrived.clear()
            found = [mail["text"] for mail in self.caught if words in mail["text"]]
            if len(found) >= count:
                return found[0]
            await self.arrived.wait()


@dataclass(slots=True)
class Demo:
    """What a running demo is made of."""

    folder: Path
    settings: Settings
    app: App
    lab: lab_server.Lab
    mails: Mails
    totp: str

    async def admin(self, name: str, /, **given: Any) -> Any:
        """A command of the operator's, over the control socket. RuntimeError with its words when it is refused."""
        answer = await ask(self.settings.storage.data_dir / "control.sock", name, given) or {"error": "not running"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    @property
    def key(self) -> Path:
        """The engineer's private key."""
        return self.folder / "ana_key"

    def ssh(self, *more: str) -> list[str]:
        """The exact ssh command."""
        return [
            "ssh", "-p", str(self.app.door.port), "-i", str(self.key), "-o",
            f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "IdentitiesOnly=yes", *more,
            f"{LOGIN}@127.0.0.1",
        ]  # fmt: skip


def _settings(folder: Path, mail_port: int, database: tuple[str, str] | None) -> Settings:
    file = folder / "frameroom.toml"
    file.write_text(
        '[deployment]\nname = "demo.frameroom.example"\ncompany = "Line & Wire Ltd"\n'
        'company_domains = ["company.example"]\n'
        '[ssh]\nhost = "127.0.0.1"\nport = 0\n[portal]\nport = 0\n[ops]\nport = 0\n'
        f'[mail]\nhost = "127.0.0.1"\nport = {mail_port}\ntls = "none"\nsender = "frameroom@company.example"\n'
        + (f'[storage]\nowner_url = "{database[0]}"\ndatabase_url = "{database[1]}"\n' if database else ""),
        encoding="utf-8",
    )
    return loading.load(file, {})


@asynccontextmanager
async def started(
    folder: Path, people: int = 40, *, database: tuple[str, str] | None = None, steps: Steps | None = None
) -> AsyncIterator[Demo]:
    """A demo with a customer, an engineer and a phone system, but no permission yet.

    `database`: the owner's and the application's URL of an empty PostgreSQL database, where it is not SQLite.
    """
    loop = asyncio.get_running_loop()
    mails = Mails()
    catcher = await loop.create_server(lambda: SMTP(mails, hostname="localhost"), "127.0.0.1", 0)
    settings = _settings(folder, catcher.sockets[0].getsockname()[1], database)
    make_keys(settings.storage.data_dir / "keys")
    # Alembic drives its own synchronous connection.
    await asyncio.to_thread(migrate, settings)
    stop, ready = asyncio.Event(), asyncio.Event()
    apps: list[App] = []

    def on_ready(app: App) -> None:
        apps.append(app)
        ready.set()

    async with lab_server.start(folder / "lab", people=people) as lab, asyncio.TaskGroup() as group:
        serving = group.create_task(serve_until(settings, stop, on_ready, steps))
        waiting = group.create_task(ready.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if apps:
            try:
                demo = Demo(folder, settings, apps[0], lab, mails, "")
                await _furnish(demo)
                yield demo
            finally:
                stop.set()
                await serving
                catcher.close()


async def _furnish(demo: Demo) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519", "ana@laptop")
    key.write_private_key(str(demo.key))
    demo.key.chmod(0o600)
    await demo.admin("engineer add", login=LOGIN, name="Ana Silva", email="ana@company.example", roles=[])
    await demo.admin("engineer key add", login=LOGIN, key=key.export_public_key().decode())
    demo.totp = (await demo.admin("engineer totp", login=LOGIN))["secret"]
    await demo.admin("customer add", name=CUSTOMER)
    await demo.admin("customer engineer", customer=CUSTOMER, login=LOGIN, veto=False)
    for name in ("Kate Brook", "Omar Aziz"):
        email = f"{name.split()[0].lower()}@customer.example"
        await demo.admin("approver add", customer=CUSTOMER, name=name, email=email, phone="+442079460900")
    await demo.admin(
        "contact add", customer=CUSTOMER, name="Kate Brook", email="kate@customer.example", position="Office manager",
        phone="+442079460900", notices="each",
    )  # fmt: skip
    terms = {
        "operations": [
            "find",
            "view",
            "alter",
            "remove",
            "reset-voicemail",
            "reset-sip",
            "diag",
            "console-look",
            "console-act",
            "visit",
        ],
        "mail_domains": ["customer.example"],
        "consent_by_phone": True,
    }
    await demo.admin("agreement set", customer=CUSTOMER, terms=terms)
    await demo.admin("agreement confirm", customer=CUSTOMER, by="Kate Brook", how="the demo's own set-up")
    await demo.admin(
        "system add", customer=CUSTOMER, name=SYSTEM, connector="lab", host="127.0.0.1", port=demo.lab.ssh_port,
        pin=demo.lab.host_key, login="frameroom", password=None, private_key=demo.lab.client_key, settings="{}",
        site="Leeds", asset="", untried=True,
    )  # fmt: skip
    host_key = (demo.settings.storage.data_dir / "keys" / "ssh_host_ed25519").read_bytes()
    public = asyncssh.import_private_key(host_key).export_public_key().decode()
    (demo.folder / "known_hosts").write_text(f"[127.0.0.1]:{demo.app.door.port} {public}", encoding="utf-8")


async def ask_for(demo: Demo, operations: str, reason: str, minutes: int = 120, system: str = SYSTEM) -> Request:
    """Ask as the engineer."""
    commands = demo.app.commands
    engineer = next(e for e in await demo.app.parts.engineers.all() if e.login == LOGIN)
    place = next(s for _, s in await commands.places.systems_for(engineer.id) if s.name == system)
    wanted = frozenset(Operation(word) for word in operations.split(","))
    return await demo.app.parts.permission.submit(engineer.id, place, wanted, minutes, "T-1", reason)


async def permit(demo: Demo, operations: str, minutes: int = 120, system: str = SYSTEM) -> str:
    """Ask as the engineer and enter a yes by telephone, as both happen for real; the grant's id."""
    request = await ask_for(demo, operations, "The demo", minutes, system)
    consent = await demo.admin(
        "request record-consent", request=request.id, by="Omar Aziz", recorded_by="the demo", at_ms=None, words="yes"
    )
    return str(consent["grant"])


async def _opening(demo: Demo) -> str:
    """What the customer finds: a request that waits, and the link of an invitation that really enrols."""
    await ask_for(demo, "view,reset-voicemail", "Grace is locked out of her voicemail")
    await demo.admin("approver invite", customer=CUSTOMER, approver="Kate Brook")
    mail = await demo.mails.wait_for("/invitation/")
    return next(word for word in mail.split() if "/invitation/" in word)


def _write_state(demo: Demo, path: Path, invitation: str) -> None:
    state = {
        "folder": str(demo.folder), "config": str(demo.folder / "frameroom.toml"), "ssh_port": demo.app.door.port,
        "mails": str(demo.folder / "mails"),
        "portal": demo.app.portal_url(), "invitation": invitation,
        "ops_port": demo.app.ops_port, "login": LOGIN, "key": str(demo.key),
        "totp": demo.totp, "ssh": demo.ssh(), "lab": {"ssh_port": demo.lab.ssh_port, "sip_port": demo.lab.sip_port},
        "customer": CUSTOMER, "system": SYSTEM,
    }  # fmt: skip
    path.write_text(json.dumps(state, indent=2), encoding="utf-8")


async def run(name: str | None, folder: Path | None, state_file: Path | None) -> int:
    """The command: 0 when all went well."""
    if folder is not None and (folder / "data").exists():
        raise UsageError(f"{folder} holds a demo already.", next_step="Name another folder, or take that one away.")
    # Secrets are in it, and whoever waits for it reads it whole: it gets its name when it is written.
    draft = None if state_file is None else state_file.with_name(f".{state_file.name}.new")
    if draft is not None:
        draft.touch(0o600)
    place = folder or Path(tempfile.mkdtemp(prefix="frameroom-demo-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        async with started(place) as demo:
            if name is not None:
                if name == "3":
                    return await story_record.play(demo, await permit(demo, "view,alter"))
                if name == "2":
                    return await story_yes.play(demo)
                return await story.play(demo)
            demo.mails.folder = place / "mails"
            await permit(demo, "find,view,alter,remove,reset-voicemail,reset-sip,diag,console-look,console-act")
            link = await _opening(demo)
            if state_file is not None and draft is not None:
                _write_state(demo, draft, link)
                draft.replace(state_file)
            _instructions(demo, link, kept=folder is not None)
            demo.mails.tell()
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await stop.wait()
            return 0
    finally:
        if folder is None:
            shutil.rmtree(place)
        if draft is not None:
            draft.unlink(missing_ok=True)


def _instructions(demo: Demo, invitation: str, *, kept: bool) -> None:
    frameroom = f"{Path(sys.prefix) / 'bin' / 'frameroom'} -c {demo.folder / 'frameroom.toml'}"
    click.echo(
        f"Frameroom is running, with a training phone system of 40 people ({CUSTOMER}, {SYSTEM}).\n\n"
        f"Come in as the engineer Ana:\n  {' '.join(demo.ssh())}\n"
        f"When asked for the one-time code: {pyotp.TOTP(demo.totp).now()} (later: `oathtool -b --totp {demo.totp}`)\n"
        'Then try: find grace · show 2001 · set 2001 name="Grace Bell" · reset 2001 voicemail · diag · console\n\n'
        "A new password leaves in a mail as a link that shows it once, in a browser. Mails are written to\n"
        f"  {demo.mails.folder}\nand named here as they come.\n\n"
        "As the customer's Kate, in a browser on this machine: make a passkey, then answer what waits:\n"
        f"  {invitation}\n\n"
        f"As the operator, in another terminal:\n  {frameroom} grant list\n  {frameroom} audit verify\n\n"
        f"Files: {demo.folder} ({'kept' if kept else 'gone'} at the end). Ctrl-C ends it.\n"
    )
