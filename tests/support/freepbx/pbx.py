"""One FreePBX as the helper sees it: FreePBX's tables, voicemail.conf, fwconsole, and the stand-in for its PHP.

What telephones and mailboxes go by is what was applied last: a change that is in the database alone opens nothing.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from connectors.freepbx.connector import HELPER
from tests.support.freepbx.mariadb import MariaDb
from tests.support.need import need_php

PHP = Path(__file__).with_name("php")
NOISE = "CANARY-manager-4711 CANARY-database-4711"
# As the modules core, userman and framework of FreePBX 17 make them (module.xml), named columns alone.
_TABLES = """
CREATE TABLE users (extension varchar(20) NOT NULL DEFAULT '', password varchar(20), name varchar(50),
  voicemail varchar(50), ringtimer int, noanswer varchar(100), recording varchar(50), outboundcid varchar(50),
  sipname varchar(50), mohclass varchar(80) DEFAULT 'default', KEY extension (extension));
CREATE TABLE devices (id varchar(20) NOT NULL DEFAULT '', tech varchar(10) NOT NULL DEFAULT '',
  dial varchar(255) NOT NULL DEFAULT '', devicetype varchar(5) NOT NULL DEFAULT '', user varchar(50),
  description varchar(50), emergency_cid varchar(100), hint_override varchar(100), KEY id (id), KEY tech (tech));
CREATE TABLE sip (id varchar(20) NOT NULL DEFAULT '-1', keyword varchar(30) NOT NULL DEFAULT '',
  data varchar(8100) NOT NULL, flags int NOT NULL DEFAULT 0, PRIMARY KEY (id, keyword));
CREATE TABLE incoming (cidnum varchar(50), extension varchar(50) NOT NULL, destination varchar(50),
  privacyman tinyint(1), alertinfo varchar(255), ringing varchar(20), fanswer varchar(20),
  mohclass varchar(80) NOT NULL DEFAULT 'default', description varchar(80), grppre varchar(80), delay_answer int,
  pricid varchar(20), pmmaxretries varchar(2), pmminlength varchar(2), reversal varchar(10),
  rvolume varchar(2) DEFAULT '', indication_zone varchar(20) DEFAULT 'default');
CREATE TABLE userman_users (id int AUTO_INCREMENT PRIMARY KEY, auth varchar(150) DEFAULT 'freepbx',
  authid varchar(750), username varchar(150), description varchar(255), password varchar(255),
  default_extension varchar(45) NOT NULL DEFAULT 'none', primary_group int, permissions blob, fname varchar(100),
  lname varchar(100), displayname varchar(200), title varchar(100), email text, cell varchar(100), work varchar(100),
  home varchar(100), UNIQUE KEY username_UNIQUE (username, auth));
CREATE TABLE userman_directories (id int AUTO_INCREMENT PRIMARY KEY, name varchar(250),
  driver varchar(150) NOT NULL DEFAULT '', locked tinyint(1) NOT NULL DEFAULT 0);
CREATE TABLE admin (variable varchar(20) PRIMARY KEY, value varchar(80) NOT NULL);
CREATE TABLE standin_astdb (name varchar(255) PRIMARY KEY, value varchar(255));
INSERT INTO admin VALUES ('version', '17.0.19.17'), ('need_reload', 'false');
INSERT INTO userman_directories (name, driver) VALUES ('PBX Internal Directory', 'Freepbx'), ('AD', 'Msad2');
"""
_FWCONSOLE = """#!/bin/sh
umask 027
echo "$*" >> {standin}/applied
echo "{noise}"
case "$*" in
"ma list") printf '%s\\n' '+-----------+---------+' '| Module    | Version |' '+-----------+---------+'
  printf '%s\\n' '| framework | 17.0.19 |' '| core      | 17.0.18 |' '+-----------+---------+'; exit 0 ;;
"notifications --list") printf '%s\\n' '| Module | ID | Text |' '| core | AMPMGRPASS | Default Password Used |'
  echo 'Usage: fwconsole notifications [--list]'; exit 0 ;;
esac
if [ -p {standin}/slow-reload ]; then read -r waited < {standin}/slow-reload; fi
[ ! -e {standin}/refuse-reload ] || exit 1
cp {etc}/voicemail.conf {etc}/voicemail.running
{client} {name} -N -B -e "UPDATE admin SET value = 'false' WHERE variable = 'need_reload';
SELECT id, keyword, data FROM sip WHERE keyword IN ('secret', 'md5_cred')" > {etc}/auth.new
mv {etc}/auth.new {etc}/pjsip.auth.conf
"""
# Says what `asterisk -rx` says (transcript 80), and of every telephone that was applied; of what is not to be asked it
# tells the passwords.
_ASTERISK = r"""#!/bin/sh
[ "$1" = -rx ] || exit 64
echo "$2" >> {standin}/typed
[ ! -e {standin}/asterisk-is-down ] || exit 1
case "$2" in
"core show version") echo "Asterisk 21.5.0 built by root @ pbx on a x86_64 running Linux" ;;
"pjsip show endpoints")
  [ -p {standin}/alive ] && exec 9> {standin}/alive
  [ -e {standin}/many ] && exec cat {standin}/many
  [ -e {standin}/endless ] && exec yes "a line of many"
  awk -F '\t' '$2 == "secret" {{ print " Endpoint:  " $1 "/" $1 "          Unavailable   0 of inf" }}' \
    {etc}/pjsip.auth.conf ;;
"core show channels") cat {standin}/channels 2>/dev/null || true ;;
"pjsip show endpoint 9009") cat {standin}/telephone ;;
"dialplan reload") echo "Dialplan reloaded."; [ ! -e {standin}/cut ] || kill -9 $$ ;;
"pjsip show auth"*|"dialplan show"*|"database show"*) cat {etc}/pjsip.auth.conf {etc}/voicemail.conf ;;
*) sed -n "/^##### $2\$/,/^#####/p" {said} | sed '/^#####/d' ;;
esac
"""
_CAPTURED = Path(__file__).parents[2] / "vectors" / "asterisk" / "80-cli.txt"
_MOST_ROWS = 1000


@dataclass
class One:
    """One person as planted."""

    extension: str
    name: str
    email: str | None = None
    ddis: tuple[str, ...] = ()
    pin: str | None = "CANARY-pin"
    """None: no mailbox."""
    sip: str = "CANARY-sip"
    md5: str = ""
    portal: str | None = "CANARY-portal"
    """The hash that stands in the table; None: no portal user."""
    box_email: str | None = None
    """Another address in the mailbox."""
    more: dict[str, str] = field(default_factory=dict)


class FreePbx:
    """`folder/standin` holds files by which a test changes how the stand-in behaves."""

    def __init__(self, server: MariaDb, folder: Path, name: str) -> None:
        self.server, self.folder, self.name = server, folder, name
        self.etc, self.standin = folder / "etc", folder / "standin"
        self.conf, self.php = folder / "helper.json", need_php()
        self._behind: subprocess.Popen[bytes] | None = None

    def make(self, people: Sequence[One], hashed: bool = False) -> Self:
        """Write everything, and apply it. `hashed`: what people have as portal password is to be hashed."""
        for one in (self.etc, self.standin):
            one.mkdir(parents=True)
        self.server.run(f"CREATE DATABASE {self.name}; USE {self.name}; {_TABLES}")
        fwconsole = self.folder / "fwconsole"
        fwconsole.write_text(_FWCONSOLE.format(
            standin=self.standin, etc=self.etc, noise=NOISE, client=" ".join(self.server.client), name=self.name
        ))  # fmt: skip
        fwconsole.chmod(0o755)
        asterisk = self.folder / "asterisk"
        asterisk.write_text(_ASTERISK.format(standin=self.standin, etc=self.etc, said=_CAPTURED))
        asterisk.chmod(0o755)
        self.started()
        self.configure()
        self._fill([replace(one, portal=one.portal and self.hash(one.portal)) for one in people] if hashed else people)
        subprocess.run([str(fwconsole), "reload"], check=True, capture_output=True)
        (self.standin / "applied").unlink()
        return self

    def started(self, **changes: Any) -> None:
        """Write /etc/freepbx.conf, which FreePBX's own start-up reads."""
        usual = {
            "AMPDBSOCK": self.server.socket, "AMPDBNAME": self.name, "AMPDBUSER": "root", "AMPDBPASS": "",
            "AMPMGRPASS": "CANARY-manager-4711", "ASTETCDIR": str(self.etc), "STANDIN": str(self.standin),
            "NOISE": NOISE, "DISABLED": [], "SHORTEST": 8,
        }  # fmt: skip
        text = json.dumps(json.dumps(usual | changes)).replace("$", "\\$")
        (self.folder / "freepbx.conf").write_text(
            f"<?php\n$amp_conf = json_decode({text}, true);\nrequire '{PHP}/bootstrap.php';\n"
        )
        (self.folder / "freepbx.conf").chmod(0o640)

    def configure(self, **changes: Any) -> None:
        """Write the helper's configuration."""
        usual = {
            "bootstrap": f"{self.folder}/freepbx.conf", "fwconsole": [f"{self.folder}/fwconsole"],
            "asterisk": [f"{self.folder}/asterisk"],
        }  # fmt: skip
        self.conf.write_text(json.dumps(usual | changes))
        self.conf.chmod(0o644)

    def _fill(self, people: Sequence[One]) -> None:
        ends = [(one, f"{one.name} <{one.extension}>") for one in people]
        self.insert("users", ("extension", "password", "name", "voicemail"), (
            (p.extension, p.more.get("recording_pin", "")[:20], p.name, "novm" if p.pin is None else "default")
            for p in people
        ))  # fmt: skip
        self.insert("devices", ("id", "tech", "dial", "devicetype", "user", "description"), (
            (p.extension, "pjsip", f"PJSIP/{p.extension}", "fixed", p.extension, p.name) for p in people
        ))  # fmt: skip
        self.insert("sip", ("id", "keyword", "data"), (
            (p.extension, key, value) for p, callerid in ends
            for key, value in (("secret", p.sip), ("md5_cred", p.md5), ("callerid", callerid), ("dtmfmode", "rfc4733"))
        ))  # fmt: skip
        self.insert("incoming", ("extension", "cidnum", "destination", "mohclass"), (
            (number, "", f"from-did-direct,{p.extension},1", "jazz") for p in people for number in p.ddis
        ))  # fmt: skip
        columns = ("auth", "username", "password", "default_extension", "displayname", "email", "fname")
        self.insert("userman_users", columns, (
            ("1", p.extension, p.portal, p.extension, p.name, p.email, p.name.split()[0])
            for p in people if p.portal is not None
        ))  # fmt: skip
        self.insert("standin_astdb", ("name", "value"), (
            (f"/AMPUSER/{p.extension}/cidname", p.name) for p in people
        ))  # fmt: skip
        boxes = "".join(
            f"{p.extension}={p.pin},{p.name},{p.email if p.box_email is None else p.box_email},,"
            f"attach=yes|saycid=no{''.join(f'|{k}={v}' for k, v in p.more.items() if k == 'imappassword')}\n".replace(
                ",None,", ",,"
            )
            for p in people if p.pin is not None
        )  # fmt: skip
        self.write(f"[general]\nformat=wav49\nserveremail=vm@customer.example\n\n[default]\n{boxes}\n")

    def write(self, text: str) -> None:
        """voicemail.conf, as somebody else would."""
        (self.etc / "voicemail.conf").write_text(text, encoding="utf-8")
        (self.etc / "voicemail.conf").chmod(0o640)

    def text(self) -> str:
        """voicemail.conf."""
        return (self.etc / "voicemail.conf").read_text(encoding="utf-8")

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Many rows."""
        every = list(rows)
        marks = f"({', '.join('?' * len(columns))})"
        for start in range(0, len(every), _MOST_ROWS):
            some = every[start : start + _MOST_ROWS]
            self.sql(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([marks] * len(some))}",  # noqa: S608
                *(value for row in some for value in row),
            )

    def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """From behind. ValueError for what the database cannot hold."""
        if self._behind is None:
            self._behind = subprocess.Popen(
                [self.php, str(PHP / "behind.php"), self.server.socket, self.name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self._behind.stdin is not None
        assert self._behind.stdout is not None
        self._behind.stdin.write(json.dumps([statement, values]).encode() + b"\n")
        self._behind.stdin.flush()
        told = json.loads(self._behind.stdout.readline())
        if isinstance(told, str) and statement != "hash":
            raise ValueError(told)
        return told if isinstance(told, list) else [{"told": told}]

    def row(self, table: str, key: str, value: str) -> dict[str, Any]:
        """The one row."""
        (found,) = self.sql(f"SELECT * FROM {table} WHERE `{key}` = ?", value)  # noqa: S608
        return found

    def hash(self, password: str) -> str:
        """As the portal keeps it."""
        return str(self.sql("hash", password)[0]["told"])

    # -- what opens what, by what was applied

    def pin(self, mailbox: str) -> str | None:
        """As Asterisk has it."""
        for line in (self.etc / "voicemail.running").read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition("=")
            if name == mailbox:
                return rest.split(",")[0]
        return None

    def sip_opens(self, device: str, password: str) -> bool:
        """As Asterisk has it: a digest, where there is one, is what counts."""
        held = {}
        for line in (self.etc / "pjsip.auth.conf").read_text(encoding="utf-8").splitlines():
            name, key, value = [*line.split("\t"), "", ""][:3]
            if name == device:
                held[key] = value
        return not held.get("md5_cred") and held.get("secret") == password

    def portal_opens(self, extension: str, password: str) -> bool:
        """As User Manager would."""
        for row in self.sql("SELECT password FROM userman_users WHERE default_extension = ?", extension):
            return self.sql("verify", password, row["password"])[0]["told"] is True
        return False

    def applied(self) -> list[str]:
        """What fwconsole was asked."""
        file = self.standin / "applied"
        return file.read_text().splitlines() if file.exists() else []

    def typed(self) -> list[str]:
        """What Asterisk's prompt was asked."""
        file = self.standin / "typed"
        return file.read_text().splitlines() if file.exists() else []

    # -- the helper

    def command(self) -> list[str]:
        """The helper, started by hand."""
        return [self.php, str(HELPER), "--serve", "--config", str(self.conf)]

    def talk(self, *requests: Any) -> list[dict[str, Any]]:
        """Its answers to some requests, each a line; raw bytes are sent as they are."""
        lines = [
            one if isinstance(one, bytes) else json.dumps({"n": at} | one).encode() + b"\n"
            for at, one in enumerate(requests, 1)
        ]
        done = subprocess.run(self.command(), input=b"".join(lines), capture_output=True, check=False)
        assert done.stderr == b"", "nothing is ever said but answers"
        assert b"CANARY" not in done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]

    def close(self) -> None:
        """Let go of the database."""
        if self._behind is not None:
            self._behind.kill()
            self._behind.communicate()
        self.server.run(f"DROP DATABASE {self.name}")
