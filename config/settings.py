"""Every setting, with its default, bounds and unit. reference.toml documents each."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Deployment(_Section):
    """Whose Frameroom this is."""

    name: str = Field(
        "frameroom.example", pattern=r"^[a-z0-9.-]+$", description="origin of the logs, a DNS name of yours"
    )
    company: str = Field("The maintenance company", description="as customers read it")
    company_domains: tuple[str, ...] = Field((), description="your own mail domains: they cannot approve")
    region: Literal["uk", "eu"] = Field("uk", description="where data stays")
    ring: str = Field("Ring your telephone maintainer.", description="whom a user rings, in words")


class Storage(_Section):
    """Where things lie."""

    data_dir: Path = Field(Path("data"), description="database, recordings and keys of one deployment")
    database_url: str | None = Field(
        None,
        repr=False,
        description='postgresql://… or "file:PATH" of a file that holds it; without it a SQLite file in data_dir',
        examples=["file:keys/database-url"],
    )
    owner_url: str | None = Field(
        None,
        repr=False,
        description="the same database as the role that owns its tables, for `db upgrade`; without it database_url",
        examples=["file:keys/owner-url"],
    )

    @model_validator(mode="after")
    def _of_a_kind_that_is_known(self) -> Self:
        """Two kinds of database are."""
        for name in ("database_url", "owner_url"):
            if not (getattr(self, name) or "sqlite:").startswith(("postgresql:", "sqlite:")):
                raise ValueError(f"storage.{name} begins with postgresql://")
        return self


class Keys(_Section):
    """The master key, under which every other key is wrapped. `frameroom keys rewrap` moves to what is written here."""

    master: Literal["file", "pkcs11"] = Field("file", description='"file" in data_dir/keys, or a key in a token')
    pkcs11_module: Path | None = Field(
        None, description="the token's module", examples=["/usr/lib/softhsm/libsofthsm2.so"]
    )
    pkcs11_token: str | None = Field(None, description="label of the token", examples=["frameroom"])
    pkcs11_key: str = Field("frameroom-master", min_length=1, description="label of the AES-256 key in it")
    pkcs11_pin: str | None = Field(
        None, repr=False, description='secret: "file:PATH", the user\'s PIN', examples=["file:keys/pkcs11-pin"]
    )
    pkcs11_timeout_s: int = Field(10, ge=1, le=120, description="seconds that the token may take for one answer")

    @model_validator(mode="after")
    def _reaches_its_token(self) -> Self:
        """A token wants all three."""
        missing = [n for n in ("pkcs11_module", "pkcs11_token", "pkcs11_pin") if not getattr(self, n)]
        if self.master == "pkcs11" and missing:
            raise ValueError(f'keys.master = "pkcs11" wants {", ".join(f"keys.{name}" for name in missing)} too')
        return self


class Bucket(_Section):
    """An S3-compatible bucket for recordings and the log's tiles, instead of a folder."""

    name: str | None = Field(None, description="without it objects lie in data_dir", examples=["frameroom-records"])
    prefix: str = Field("", pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$", description="folder in the bucket")
    region: str = Field("eu-west-2", description="where it is, as the store names it")
    endpoint: str | None = Field(
        None, description="address of the store; without it Amazon's", examples=["https://s3.company.example"]
    )
    access_key: str | None = Field(None, description="id of the key", examples=["AKIA0123456789ABCDEF"])
    secret_key: str | None = Field(
        None, repr=False, description='secret: "file:PATH"', examples=["file:keys/bucket-secret"]
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        """A bucket wants a key of its own: none is taken from the environment or the machine."""
        if self.name is not None and (not self.access_key or not self.secret_key):
            raise ValueError("a bucket wants bucket.access_key and bucket.secret_key")
        if self.endpoint is not None and not self.endpoint.startswith("https://") and not _is_here(self.endpoint):
            raise ValueError("bucket.endpoint is https, or an http address of this machine")
        return self


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


class Ssh(_Section):
    """The SSH door."""

    host: str = Field("0.0.0.0", description="address to listen on; :: is every address, IPv6 and IPv4")  # noqa: S104 - a door is for others to reach
    port: int = Field(2222, ge=0, le=65535, description="TCP port; 0 takes a free one")
    login_grace_s: int = Field(20, ge=5, le=120, description="seconds to the first valid signature")
    factor_grace_s: int = Field(90, ge=10, le=600, description="seconds from there to the second factor")
    max_connection_hours: int = Field(8, ge=1, le=24, description="hours a connection may last")
    user_ca_keys: tuple[str, ...] = Field((), description="public key lines of plain CAs whose user certificates count")
    proxy_from: tuple[str, ...] = Field((), description="networks of balancers that send PROXY v2, and must")
    max_channels: int = Field(10, ge=1, le=100, description="channels a connection")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """What the door would not open with is said before."""
        _known_networks("ssh.proxy_from", self.proxy_from)
        return self


def _known_networks(key: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise ValueError(f"{key}: {network} is no network; one looks like 10.1.2.0/24") from error


class Portal(_Section):
    """The customer's pages, and the one-time pages."""

    host: str = Field("127.0.0.1", description="address to listen on, behind a TLS proxy")
    port: int = Field(8443, ge=0, le=65535, description="TCP port; 0 takes a free one")
    url: str | None = Field(
        None, description="the public https address that mails carry", examples=["https://frameroom.company.example"]
    )
    sign_in_hours: int = Field(12, ge=1, le=168, description="hours after which an approver signs in again")
    invitation_hours: int = Field(72, ge=1, le=336, description="hours that an invitation holds")
    provider_networks: tuple[str, ...] = Field(
        (), description="networks that are not public in which a customer's own OpenID provider may be, as 10.1.2.0/24"
    )
    provider_ca_file: Path | None = Field(
        None, description="certificate authority of such providers, beside the public ones",
        examples=["provider-ca.pem"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """What a sign-in would fail on is said at the start."""
        _known_networks("portal.provider_networks", self.provider_networks)
        if self.url is not None and not self.url.startswith("https://") and not _is_here(self.url):
            raise ValueError("portal.url is https, or an http address of this machine")
        return self


class Ops(_Section):
    """Health and metrics."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(9465, ge=0, le=65535, description="TCP port; 0 takes a free one")


class Mail(_Section):
    """How mail leaves."""

    host: str = Field("localhost", description="SMTP server")
    port: int = Field(587, ge=1, le=65535, description="its port")
    tls: Literal["starttls", "tls", "none"] = Field("starttls", description='"none" is for this machine only')
    sender: str = Field("frameroom@localhost", pattern=r"^[^@\s<>]+@[^@\s<>]+$", description="From address")
    username: str | None = Field(None, description="login, where the server wants one", examples=["frameroom"])
    password: str | None = Field(
        None, repr=False, description='secret: "file:PATH"', examples=["file:keys/smtp-password"]
    )
    ca_file: Path | None = Field(
        None, description="certificate authority, where it is not a public one", examples=["mail-ca.pem"]
    )

    @model_validator(mode="after")
    def _in_the_clear_stays_here(self) -> Self:
        """Mail carries links that give permission: without TLS it never leaves this machine."""
        if self.tls == "none" and self.host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError('mail.tls = "none" is for a server on this machine; write "starttls" or "tls"')
        return self


class Telling(_Section):
    """How people are told and asked beside mail, and asked again."""

    remind_minutes: int = Field(15, ge=1, le=1440, description="minutes without an answer until a reminder")
    next_minutes: int = Field(15, ge=1, le=1440, description="minutes from there until the next person is asked")
    deputy_minutes: int = Field(15, ge=1, le=1440, description="minutes from there until the deputies are asked")
    schemes: tuple[str, ...] = Field(
        (
            "slack", "workflow", "workflows", "gchat", "webex", "wxteams", "twilio", "vonage", "nexmo", "msgbird",
            "clicksend", "sinch", "plivo", "bulksms", "46elks", "elks", "infobip", "seven", "jsons",
        ),
        description="kinds of apprise addresses that people may give; jsons is a webhook over https",
    )  # fmt: skip
    networks: tuple[str, ...] = Field(
        (), description="networks that are not public and are reached all the same, as 10.1.2.0/24"
    )
    text_url: str | None = Field(
        None, repr=False,
        description='your gateway for texts, secret: "file:PATH" of an apprise address with {number} in it',
        examples=["file:keys/text-url"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _usable(self) -> Self:
        """What a message would fail on is said at the start."""
        _known_networks("telling.networks", self.networks)
        if self.text_url is not None and "{number}" not in self.text_url:
            raise ValueError("telling.text_url has {number} where the telephone number goes")
        return self


class Recording(_Section):
    """No recording, no session."""

    batch_ms: int = Field(50, ge=5, le=500, description="milliseconds between fdatasyncs")
    max_lag_ms: int = Field(
        1000, ge=200, le=1000,
        description="milliseconds that output may be ahead of the disk; up to 2 s in which the process stood still do "
        "not count",
    )  # fmt: skip
    session_quota_mb: int = Field(512, ge=1, le=65536, description="megabytes a session")
    warn_free_percent: int = Field(20, ge=1, le=90, description="free disk, per cent, below which the log warns")
    refuse_free_percent: int = Field(5, ge=1, le=50, description="free disk, per cent, below which none is opened")


class Reconcile(_Section):
    """The phone systems' own records of logins, compared with what we did."""

    every_s: int = Field(60, ge=0, le=3600, description="seconds between two looks at a phone system; 0 never looks")
    at_once: int = Field(8, ge=1, le=64, description="phone systems that are looked at at once")


class Receiver(_Section):
    """A receiver of the log outside: syslog (RFC 5424) over TLS (RFC 5425)."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="what metrics and the process's log call it",
        examples=["siem"],
    )
    host: str = Field(min_length=1, description="where it listens", examples=["siem.company.example"])
    port: int = Field(6514, ge=1, le=65535, description="its port")
    ca_file: Path | None = Field(
        None, description="certificate authority, where it is not a public one", examples=["keys/siem-ca.pem"]
    )
    pin: str | None = Field(
        None, pattern=r"^sha-256(:[0-9A-Fa-f]{2}){32}$",
        description="fingerprint of its very certificate; without a ca_file it alone counts",
        examples=["sha-256:" + ":".join(["AB"] * 32)],
    )  # fmt: skip
    server_name: str | None = Field(
        None, description="name in its certificate, where that is not the host", examples=["siem.company.example"]
    )
    certificate: Path | None = Field(None, description="our certificate, if it asks", examples=["keys/siem-us.pem"])
    key: Path | None = Field(None, description="the key of it, readable by us alone", examples=["keys/siem-us.key"])
    customers: tuple[str, ...] = Field((), description="whose logs, by name or id; none named: everybody's")
    operator: bool = Field(True, description="the operator's own log too")
    kinds: tuple[str, ...] = Field((), description='kinds of event, like "session.*"; none named: all')
    form: Literal["json", "ocsf"] = Field("json", description='message body: the entry as it was hashed, or "ocsf"')
    facility: int = Field(13, ge=0, le=23, description="syslog facility; 13 is log audit")
    closes: bool = Field(
        True, description="false for one that never closes a connection that we end: what it took counts as read then"
    )
    history: bool = Field(False, description="true also sends what was logged before it was first named here")

    @model_validator(mode="after")
    def _both_halves(self) -> Self:
        """A certificate is of no use without its key."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class Streams(_Section):
    """The log, streamed to receivers outside as it grows."""

    confirm_s: int = Field(300, ge=5, le=3600, description="seconds after which a receiver must have read what it got")
    overlap_s: int = Field(30, ge=0, le=600, description="seconds of the log sent once more when a connection was lost")
    enterprise_number: int = Field(
        32473, ge=1, le=2**32 - 1, description="your IANA enterprise number; 32473 is the one for examples"
    )
    receivers: tuple[Receiver, ...] = Field((), description="who gets it")

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        """How far each got is kept by its name."""
        if len({receiver.name for receiver in self.receivers}) != len(self.receivers):
            raise ValueError("two receivers bear the same name")
        return self


class Log(_Section):
    """What the process says of itself on stderr; the audit log is another thing."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is told")
    form: Literal["auto", "text", "json"] = Field("auto", description='"auto" is text on a terminal, else JSON lines')


class Process(_Section):
    """The process that serves."""

    drain_limit_minutes: int = Field(480, ge=1, le=1440, description="minutes that a drain waits for open visits")
    clock_behind_limit_s: int = Field(
        300, ge=10, le=31_536_000, description="seconds that the clock may be behind the log's last entry at start"
    )
    dumpable: bool = Field(False, description="true leaves core dumps on and the memory readable: for tests alone")


class Connectors(_Section):
    """Kinds of phone system besides Frameroom's own."""

    also: tuple[str, ...] = Field(
        (),
        description="connectors of other distributions, by the names of their entry points; what is not named here is "
        "never loaded",
    )


class Settings(_Section):
    """The whole file."""

    deployment: Deployment = Deployment()
    storage: Storage = Storage()
    keys: Keys = Keys()
    bucket: Bucket = Bucket()
    ssh: Ssh = Ssh()
    portal: Portal = Portal()
    ops: Ops = Ops()
    mail: Mail = Mail()
    telling: Telling = Telling()
    recording: Recording = Recording()
    reconcile: Reconcile = Reconcile()
    streams: Streams = Streams()
    connectors: Connectors = Connectors()
    log: Log = Log()
    process: Process = Process()


SECRET_KEYS = frozenset({"mail.password", "bucket.secret_key", "keys.pkcs11_pin", "telling.text_url"})
"""Always in a file of their own."""
FILE_KEYS = SECRET_KEYS | {"storage.database_url", "storage.owner_url"}
"""May be in a file of their own; a URL may hold a password."""
