"""Signing in to read, without a passkey: with the customer's own provider, or a one-time code behind a mailed link."""

from __future__ import annotations

from typing import Final

from starlette.background import BackgroundTask
from starlette.responses import RedirectResponse, Response

from gateway.errors import NotFoundError, NotPermittedError, UnavailableError
from gateway.identity.codes import Codes
from gateway.identity.oidc import BEGUN_MS, AccountSignIn
from gateway.identity.providers import Provider, Providers
from gateway.portal.guesses import Guesses
from gateway.portal.page import Asked, Page, Who, known_customer, own_path
from gateway.portal.site import COOKIE

BEGUN: Final = "__Host-frameroom-begun"
"""What this browser began at a provider. Lax, as it has to come along when the provider sends the browser back."""


def client_of(asked: Asked) -> str:
    """The address that a request came from."""
    return asked.request.client.host if asked.request.client is not None else ""


class ReadingPages:
    """The pages of whoever is not signed in yet. `ring` says whom to ring."""

    def __init__(
        self, providers: Providers, accounts: AccountSignIn, codes: Codes, guesses: Guesses, ring: str
    ) -> None:
        self._providers, self._accounts, self._codes = providers, accounts, codes
        self._guesses, self._ring = guesses, ring

    def pages(self) -> list[Page]:
        """All of them."""
        link = "/sign-in/code/{customer}/{secret}"
        return [
            Page("GET", "/sign-in/at/{customer}", Who.PUBLIC, self.at_customer),
            Page("POST", "/sign-in/ways", Who.PUBLIC, self.ways),
            # By GET, as a link: a form that leads to another site is what our own policy forbids. It changes nothing.
            Page("GET", "/sign-in/with/{customer}", Who.PUBLIC, self.to_provider),
            Page("GET", "/sign-in/back/{customer}", Who.PUBLIC, self.back),
            Page("GET", link, Who.PUBLIC, self.code_page),
            Page("POST", link, Who.PUBLIC, self.code),
        ]

    async def at_customer(self, asked: Asked) -> Response:
        """A customer's own sign-in page: what mails lead to. Of a customer that is not there it shows nothing else."""
        found = await self._providers.of(known_customer(asked))
        return self._sign_in(asked, [] if found is None else [found])

    def _sign_in(self, asked: Asked, ways: list[Provider]) -> Response:
        following = own_path(asked.request.query_params.get("next"))
        return asked.show("sign_in.html", ring=self._ring, ways=ways, following=following)

    async def ways(self, asked: Asked) -> Response:
        """What an address can sign in with. The page depends on what stands behind the @ alone; who has codes is
        looked up, and mailed to, after it was answered."""
        if self._guesses.too_many(client_of(asked)):
            return asked.show("trouble.html", 429, words="You asked too often.", next_step="Wait a while.")
        email, following = str(asked.sent.get("email", "")).strip()[:254], own_path(asked.sent.get("next"))
        found = await self._providers.at_domain(email)
        answer = asked.show("ways.html", ring=self._ring, ways=found, following=following)
        answer.background = BackgroundTask(self._codes.send_link, email, following)
        return answer

    async def to_provider(self, asked: Asked) -> Response:
        """On to the customer's provider. Whoever is here with a passkey stays as they are: any site can lead a browser
        to this address, and would take the greater sign-in away with the lesser one."""
        following = own_path(asked.request.query_params.get("next"))
        if asked.me is not None and asked.me.may_approve:
            return asked.go(following)
        try:
            url, begun = await self._accounts.begin(known_customer(asked), following)
        except UnavailableError:
            if (often := self._counted(asked)) is not None:
                return often
            raise
        response = RedirectResponse(url, 303)
        response.set_cookie(
            BEGUN, begun, max_age=BEGUN_MS // 1000, path="/", secure=True, httponly=True, samesite="lax"
        )
        return response

    def _counted(self, asked: Asked) -> Response | None:
        """What fails asks the provider again each time: not without end for one address."""
        if not self._guesses.too_many(client_of(asked)):
            return None
        words, next_step = "That failed too often.", "Wait a while, or use your passkey."
        return asked.show("trouble.html", 429, words=words, next_step=next_step)

    async def back(self, asked: Asked) -> Response:
        """From the provider, with an answer."""
        if asked.me is not None and asked.me.may_approve:
            return asked.go("/")
        device, given = asked.request.headers.get("user-agent", ""), asked.request.query_params
        answer = {name: given.getlist(name)[0] for name in given if len(given.getlist(name)) == 1}
        begun = asked.request.cookies.get(BEGUN, "")
        try:
            cookie, following = await self._accounts.finish(
                known_customer(asked), begun, answer, device, client_of(asked)
            )
        except (NotPermittedError, UnavailableError):
            if (often := self._counted(asked)) is not None:
                return often
            raise
        response = self._signed_in(asked, cookie, following)
        response.delete_cookie(BEGUN, path="/", secure=True, httponly=True, samesite="lax")
        return response

    @staticmethod
    def _signed_in(asked: Asked, cookie: str, following: str) -> Response:
        response = asked.go(following)
        response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def code_page(self, asked: Asked) -> Response:
        """Where the code is given; looking uses nothing up."""
        try:
            await self._codes.look_at(known_customer(asked), asked.path("secret"))
        except NotFoundError:
            if (often := self._counted(asked)) is not None:
                return often
            raise
        return asked.show("code.html", ring=self._ring, wrong=None)

    async def code(self, asked: Asked) -> Response:
        """The code."""
        device, code = asked.request.headers.get("user-agent", ""), str(asked.sent.get("code", ""))[:20]
        try:
            cookie, following = await self._codes.sign_in(
                known_customer(asked), asked.path("secret"), code, device, client_of(asked)
            )
        except NotFoundError:
            if (often := self._counted(asked)) is not None:
                return often
            raise
        except NotPermittedError as error:
            return self._counted(asked) or asked.show("code.html", 403, ring=self._ring, wrong=error)
        return self._signed_in(asked, cookie, following)
