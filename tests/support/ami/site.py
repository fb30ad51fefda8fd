"""One invented site: every style of account that a live one had, and a canary for every secret."""

from __future__ import annotations

import hashlib

from tests.support.ami.server import Account, Asterisk

LOGIN, SECRET = "frameroom", "CANARY-ami-account-5e1"
RIGHTS = frozenset({"config", "reporting"})


def _ha1(user: str) -> str:
    return hashlib.md5(f"{user}:asterisk:CANARY-sip-{user}".encode(), usedforsecurity=False).hexdigest()


_HEAD = """
[global]
type=global
default_realm=asterisk

[phone](!)
type=endpoint
transport=transport-udp
context=internal
disallow=all
allow=ulaw,alaw
direct_media=no

[login](!)
type=auth
auth_type=userpass

[place](!)
type=aor
max_contacts=2

[carrier]
type=endpoint
context=from-trunk
outbound_auth=carrier-auth
aors=carrier

[carrier-auth]
type=auth
auth_type=userpass
username=acct1
password=CANARY-trunk-carrier

[carrier]
type=aor
contact=sip:192.0.2.9:5060

; people
"""
_OTHERS = {
    "2001": ("Grace Okafor", ""), "2002": ("Tomás Álvarez", ""), "2003": ("Priya Rao", ""),
    "2005": ("Jürgen Weiß", "-auth"), "2011": ("李 小明", ""), "2012": ("ליאת כהן", ""),
}  # fmt: skip


def account(user: str, callerid: str, box: str, secret: str | None = None, auth: str = "") -> str:
    """The three sections of one telephone; `secret` the lines of its password section."""
    lines = f"password=CANARY-sip-{user}" if secret is None else secret
    return (
        f"[{user}](phone)\nauth={user}{auth}\naors={user}\ncallerid={callerid}\nmailboxes={box}\n\n"
        f"[{user}{auth}](login)\nusername={user}\n{lines}\n\n[{user}](place)\n\n"
    )


def _pjsip() -> str:
    made = _HEAD
    for user, (name, auth) in _OTHERS.items():
        made += account(user, f'"{name}" <{user}>', f"{user}@default", auth=auth)
    made += account("2007", '"Martha Lind" <2007>', "2007@default",
                    f"auth_type=md5\nrealm=asterisk\nmd5_cred={_ha1('2007')} ; CANARY-sip-2007")  # fmt: skip
    made += account("2008", '"Dmitri Orlov" <2008>', "2008@default",
                    f"auth_type=digest\nrealm=asterisk\npassword_digest=MD5:{_ha1('2008')}")  # fmt: skip
    made += account("alice.wong", '"Alice Wong" <2019>', "2019@default")
    made += account("2020", '"Bob Fletcher" <2020>', "2020@default")
    made += account("2020-mobile", '"Bob Fletcher" <2020>', "2020@default")
    return made + "#include pjsip_more.conf\n"


_VOICEMAIL = """
[general]
format=wav
serveremail=pbx@example.test
attach=yes
maxlogins=3

[zonemessages]
uk=Europe/London|'vm-received' Q 'digits/at' R

[default]
2001 => 9182001,Grace Okafor,grace@example.test
2002 => 9182002,Tomás Álvarez,tomas@example.test
2003 => 9182003,Priya Rao,priya@example.test,,attach=no|tz=uk|delete=yes
2005 => 9182005,Jürgen Weiß,juergen@example.test,pager@example.test
2007 => 9182007,Martha Lind,martha@example.test
2008 => 9182008,Dmitri Orlov,dmitri@example.test
2011 => 9182011,李 小明,li@example.test
2012 => 9182012,ליאת כהן,liat@example.test
2013 => 9182013,John Smith,john@example.test
2014 => 9182014,John Smith,john2@example.test
2019 => 9182019,Alice Wong,alice@example.test
2020 => 9182020,Bob Fletcher,bob@example.test
"""
_WIZARD = """
[wizard-phone](!)
type=wizard
accepts_auth=yes

[2017](wizard-phone)
inbound_auth/username=2017
inbound_auth/password=CANARY-sip-2017
endpoint/callerid=Carlos Mendes <2017>
"""
_DIALPLAN = """
[globals]
DISA_PIN=CANARY-disa-pin

[from-trunk]
exten => +442079460101,1,NoOp(direct)
 same => n,Goto(internal,2001,1)
"""
_MANAGER = """
[general]
enabled=yes

[frameroom]
secret=CANARY-ami-account-5e1
write=config,reporting
"""


def files() -> dict[str, str]:
    """Its configuration."""
    more = "".join(account(user, f'"John Smith" <{user}>', f"{user}@default") for user in ("2013", "2014"))
    return {
        "pjsip.conf": _pjsip(), "pjsip_more.conf": f"; people in a file of their own\n{more}",
        "voicemail.conf": _VOICEMAIL, "pjsip_wizard.conf": _WIZARD, "extensions.conf": _DIALPLAN,
        "manager.conf": _MANAGER,
    }  # fmt: skip


def asterisk(**more: frozenset[str]) -> Asterisk:
    """It, with our account; `write`: other rights than documented."""
    return Asterisk(files(), {LOGIN: Account(SECRET, more.get("write", RIGHTS))})
