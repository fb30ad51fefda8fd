"""A page of the portal, and who may see it.

To add one: write an async function from `Asked` to a Response, and put a `Page` for it into a list that
`Portal.pages` joins (gateway/portal/site.py). Every page says who may see it; tests/portal tries each one signed out,
with less than it wants, and as another customer. Open `asked.customer_id`'s scope and no other; look up whatever the
path names within that scope and raise NotFoundError when it is not there. Answer with `asked.show("name.html", …)`.
A POST has passed the Origin check, and the CSRF check where somebody is signed in, before the function runs; its
forms carry `<input type="hidden" name="csrf" value="{{ me.csrf }}">`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.errors import NotFoundError, NotPermittedError
from gateway.identity.sign_ins import SignedIn

_CUSTOMER: Final = re.compile(r"cus_[0-9a-z]{1,36}")
_OURS: Final = re.compile(r"/[A-Za-z0-9_-][A-Za-z0-9_/-]{0,200}")


def sentence(words: str) -> str:
    """Words that stand alone: with a capital, and an end."""
    begun = words[:1].upper() + words[1:]
    return begun if not begun or begun[-1] in ".!?…" else f"{begun}."


_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters["sentence"] = sentence


class Who(StrEnum):
    """Who may see a page."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    APPROVER = "approver"
    """Signed in with a passkey: whoever came in by something less reads, and does nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, checked: who asks, and what they sent (a form or a JSON object)."""

    request: Request
    me: SignedIn | None
    sent: Mapping[str, Any]

    @property
    def who(self) -> SignedIn:
        """Whoever is signed in; for pages that are not public."""
        if self.me is None:
            raise NotPermittedError("Sign in first.")
        return self.me

    @property
    def customer_id(self) -> str:
        """The only customer that the page may open a scope of."""
        return self.who.customer_id

    def path(self, name: str) -> str:
        """A part of the address, as it came."""
        return str(self.request.path_params[name])

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """The page."""
        where = self.request.url.path
        return HTMLResponse(_TEMPLATES.get_template(template).render(me=self.me, at_path=where, **values), status)

    def go(self, path: str) -> Response:
        """On to another page of ours, by GET."""
        return RedirectResponse(path, 303)


@dataclass(frozen=True, slots=True)
class Page:
    """One method of one address."""

    method: str
    path: str
    who: Who
    handle: Callable[[Asked], Awaitable[Response]]


def own_path(wanted: Any) -> str:
    """The page that somebody wanted before they signed in, if it is one of ours; otherwise the first."""
    is_ours = isinstance(wanted, str) and _OURS.fullmatch(wanted) and "//" not in wanted
    return wanted if is_ours else "/"


def known_customer(asked: Asked) -> str:
    """The customer's id that a public page's address names. NotFoundError for what cannot be one."""
    given = asked.path("customer")
    if not _CUSTOMER.fullmatch(given):
        raise NotFoundError("This link does not hold any more.", next_step="Ask for a new one.")
    return given
