"""One invented site: local people, people from a directory, somebody without anything."""

from __future__ import annotations

from tests.support.cucm.axl import Cucm, Mailbox, User

LOGIN = "frameroom"
PASSWORD = "CANARY-axl: account"
MODEL = {
    "password": "CANARY-password", "pin": "CANARY-pin", "digestCredentials": "CANARY-digest",
    "mlppPassword": "CANARY-mlpp", "attendeesAccessCode": "CANARY-attendees",
}  # fmt: skip


def site(release: str = "14.0.1.13900-155", speaks: tuple[str, ...] | None = None) -> Cucm:
    """A cluster with five people; every field that is a secret holds one."""
    made = Cucm(
        [
            User("gokonkwo", "Grace", "Okonkwo", "grace@customer.example", "2001", "+442079460001", "Grace Okonkwo",
                 devices=("SEP001122334455", "CSFGOKONKWO")),
            User("zoe.devries", "Zoë", "de Vries", "zoe@customer.example", "2002", "020 7946 0002"),
            User("xiaolong", "", "李小龍", "", "\\+442079460003"),
            User("m.lopez", "Maria", "Lopez", "maria@customer.example", "2004", "+442079460004",
                 directory="customer AD"),
            User("bare", "", "Lobby"),
        ],
        accounts={LOGIN: PASSWORD}, release=release,
    )  # fmt: skip
    if speaks is not None:
        made.speaks = speaks
    for one in made.users:
        one.secrets.update(MODEL)
    made.mailboxes = [Mailbox(one.userid, "CANARY-mailbox") for one in made.users[:4]]
    return made


def large(count: int) -> Cucm:
    """Only people, each with an address and a number."""
    people = (
        User(f"{n:06d}", "Person", f"{n}", f"person{n}@customer.example", f"{n:06d}", f"+4420{n:08d}", uuid=_uuid(n))
        for n in range(count)
    )
    return Cucm(list(people), accounts={LOGIN: PASSWORD})


def _uuid(number: int) -> str:
    return f"{{00000000-0000-4000-8000-{number:012X}}}"
