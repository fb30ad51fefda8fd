"""FreePBX's own API before the same tables: tokens and scopes as its module gives them, GraphQL by a real library.

Made from FreePBX/api (Oauth, Gql/Api.php) and FreePBX/core (Api/Gql/Users.php, Extensions.php, Dids.php): an extract
of their schema, written by us, with what they do besides. It tells passwords to whoever asks for them, as they do;
`coreUser` and `totalCount` fail, as theirs call methods that are not there.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from graphql import build_schema, graphql_sync, parse, print_ast

from connectors.conformance.relay import served
from tests.support.freepbx.pbx import FreePbx
from tests.support.yeastar.server import response, server_tls

CLIENT = "c0ffee0123456789c0ffee0123456789c0ffee0123456789c0ffee0123456789"
SECRET = "CANARY-0123456789abcdef"
SCHEMA = """
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type Coreuser { id: ID! extension: String! password: String name: String voicemail: String outboundCid: String
  sipname: String extPassword: String }
type CoreuserEdge { node: Coreuser cursor: String! }
type CoreuserConnection { pageInfo: PageInfo! edges: [CoreuserEdge] totalCount: Int coreUser: [Coreuser] }
type Extension { id: ID! extensionId: ID tech: String user: Coreuser status: Boolean message: String }
type Did { id: ID! extension: String! cidnum: String description: String destinationConnection: String }
type DidConnection { pageInfo: PageInfo! inboundRoutes: [Did] }
type Query {
  allCoreUsers(after: String, first: Int, before: String, last: Int): CoreuserConnection
  coreUser(id: ID): Coreuser
  fetchExtension(extensionId: ID): Extension
  allInboundRoutes(after: String, first: Int, before: String, last: Int): DidConnection
}
"""
MUTATIONS = """
input RemoveCoreUserInput { extension: ID! clientMutationId: String }
type RemoveCoreUserPayload { deletedId: ID! clientMutationId: String }
type Mutation { removeCoreUser(input: RemoveCoreUserInput!): RemoveCoreUserPayload }
"""
_PEOPLE = "{ allCoreUsers(first: $first, after: $after) { pageInfo { hasNextPage } coreUser { extension name } } }"
_TEMPLATES = {
    print_ast(parse(f"query ($first: Int, $after: String) {_PEOPLE}")): "api-people",
    print_ast(parse("query ($id: ID) { fetchExtension(extensionId: $id) { extensionId user { name } } }")): (
        "api-person"
    ),
}
_TOKEN_PATH, _GQL_PATH = "/admin/api/api/token", "/admin/api/api/gql"
Enemy = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


class Api:
    """The module on one FreePBX. `allowed`: the client's scopes. `holds`: whether it is held to them, as by version 16;
    17.0.1 holds nobody, and looks at no secret either."""

    def __init__(self, pbx: FreePbx, allowed: str = "gql:core:read", *, holds: bool = True) -> None:
        self._pbx, self.allowed, self.holds = pbx, allowed, holds
        self.tokens: dict[str, str] = {}
        self.heard: list[str] = []
        self.enemy: Enemy | None = None
        self.names: dict[str, str] = {}
        """Names that it tells in place of its own, as another phone system's would."""

    # --- HTTP

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept as Apache keeps it."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            line, *headers = head.split("\r\n")
            named = dict(one.lower().split(": ", 1) for one in headers if ": " in one)
            body = await reader.readexactly(int(named.get("content-length", "0")))
            token = next((one.split(" ")[2] for one in headers if one.startswith("Authorization: Bearer ")), "")
            answer = self._answer(line.split(" ")[1], line.split(" ")[0], body, token)
            if self.enemy is not None:
                await self.enemy(writer, answer)
                return
            writer.write(answer)
            await writer.drain()

    def _answer(self, path: str, method: str, body: bytes, token: str) -> bytes:
        if (method, path) == ("POST", _TOKEN_PATH):
            status, told = self._token(dict(parse_qsl(body.decode())))
            return response(status, json.dumps(told).encode(), keeps=True)
        if (method, path) != ("POST", _GQL_PATH):
            self.heard.append(f"{method} {path}")
            return response("404 Not Found", b"<html>not here</html>", "text/html", keeps=True)
        if token not in self.tokens:
            # Nothing catches what the library throws: version 16 says 401, 17 is a page about the exception.
            return response("401 Unauthorized" if self.holds else "500 Internal Server Error", b"{}", keeps=True)
        asked = json.loads(body)
        self._hear(asked["query"])
        return self._queried(asked["query"], asked.get("variables") or {}, self.tokens[token])

    def _hear(self, query: str) -> None:
        try:
            self.heard.append(_TEMPLATES.get(print_ast(parse(query)), query))
        except Exception as error:
            self.heard.append(f"no GraphQL: {error}")

    # --- tokens

    def _token(self, form: dict[str, str]) -> tuple[str, dict[str, object]]:
        known = {"grant_type", "client_id", "client_secret", "scope"}
        names = {"gql:core:read": "api-token", "gql": "api-wider"}
        own = names.get(form.get("scope", ""), repr(sorted(form.items())))
        self.heard.append(own if set(form) == known else repr(sorted(form)))
        if form.get("grant_type") != "client_credentials":
            return "400 Bad Request", {"error": "unsupported_grant_type"}
        if form.get("client_id") != CLIENT or (self.holds and form.get("client_secret") != SECRET):
            return "401 Unauthorized", {"error": "invalid_client"}
        wanted = form["scope"]
        parts = wanted.split(":")
        within = {":".join(parts[: n + 1]) for n in range(len(parts))}
        if self.holds and not within & set(self.allowed.split()):
            return "400 Bad Request", {"error": "invalid_scope"}
        claims = json.dumps({"scopes": [wanted]}).encode()
        three = (b'{"typ":"JWT","alg":"RS256"}', claims, secrets.token_bytes(256))
        token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in three)
        self.tokens[token] = wanted
        return "200 OK", {"token_type": "Bearer", "expires_in": 3600, "access_token": token}

    # --- GraphQL

    def _queried(self, query: str, variables: dict[str, Any], scope: str) -> bytes:
        writes = scope in ("gql", "gql:core", "gql:core:write")
        schema = build_schema(SCHEMA + (MUTATIONS if writes else ""))
        root = {
            "allCoreUsers": lambda _, **args: self._people(**args), "coreUser": self._not_there,
            "fetchExtension": lambda _, extensionId=None: self._extension(extensionId),
            "allInboundRoutes": lambda _, **args: self._routes(**args),
            "removeCoreUser": lambda _, input: self._remove(input["extension"]),
        }  # fmt: skip
        done = graphql_sync(schema, query, root, variable_values=variables)
        if done.errors:
            body = {"errors": [{"message": done.errors[0].message, "status": False}]}
            return response("400 Bad Request", json.dumps(body).encode(), keeps=True)
        first = next(iter((done.data or {}).values()), None) or {}
        if first.get("status") is False:
            body = {"errors": [{"message": first.get("message"), "status": False}]}
            return response("400 Bad Request", json.dumps(body).encode(), keeps=True)
        return response("200 OK", json.dumps({"data": done.data}).encode(), keeps=True)

    def _not_there(self, *_: object, **__: object) -> None:
        raise RuntimeError("Call to undefined method FreePBX\\modules\\Core\\Api\\Gql\\Users::getUser()")

    def _people(self, first: int | None = None, after: str | None = None, **_: object) -> dict[str, object]:
        total = int(self._pbx.sql("SELECT COUNT(*) AS n FROM users")[0]["n"])
        start = int(base64.b64decode(after).decode().removeprefix("arrayconnection:")) + 1 if after else 0
        count = total if first is None else first
        rows = self._pbx.sql(
            f"SELECT extension, name, voicemail FROM users ORDER BY extension LIMIT {int(count)} OFFSET {int(start)}"  # noqa: S608
        )
        people = [self._user(row) for row in rows]
        return {
            "pageInfo": {"hasNextPage": first is not None and start + count < total, "hasPreviousPage": False},
            "coreUser": people, "totalCount": self._not_there,
        }  # fmt: skip

    def _user(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "id": row["extension"], "name": self.names.get(row["extension"], row["name"])}

    def _extension(self, key: str | None) -> dict[str, object]:
        """By device: one that has none is none, and a hot-desk one (`adhoc`) is nobody's."""
        devices = self._pbx.sql("SELECT id, tech, devicetype, `user` FROM devices WHERE id = ?", key)
        if not devices:
            return {"status": False, "message": "Extension does not exists", "user": {}}
        found: dict[str, object] = {
            "id": devices[0]["id"], "extensionId": devices[0]["id"], "tech": devices[0]["tech"], "status": True,
            "message": "Extension found successfully",
        }  # fmt: skip
        if devices[0]["devicetype"] != "fixed":
            return found | {"user": None}
        rows = self._pbx.sql("SELECT * FROM users WHERE extension = ?", devices[0]["user"])
        if not rows:
            return found | {"user": {}}
        secret = self._pbx.sql("SELECT data FROM sip WHERE keyword = 'secret' AND id = ?", devices[0]["id"])
        return found | {"user": self._user(rows[0]) | {"extPassword": secret[0]["data"] if secret else None}}

    def _routes(self, **_: object) -> dict[str, object]:
        """Where a route goes is told in words that are made to be read."""
        rows = self._pbx.sql(
            "SELECT extension, cidnum, description, destination FROM incoming ORDER BY extension, cidnum"
        )
        names = {row["extension"]: row["name"] for row in self._pbx.sql("SELECT extension, name FROM users")}
        told = []
        for row in rows:
            owner = str(row["destination"]).split(",")[1]
            words = f"Extensions: {owner} {names[owner]}" if owner in names else None
            told.append({**row, "id": f"{row['extension']}/{row['cidnum']}", "destinationConnection": words})
        return {"pageInfo": {"hasNextPage": False, "hasPreviousPage": False}, "inboundRoutes": told}

    def _remove(self, key: str) -> dict[str, object]:
        self._pbx.sql("DELETE FROM users WHERE extension = ?", key)
        return {"deletedId": key}


@asynccontextmanager
async def answering(api: Api, folder: Path) -> AsyncIterator[tuple[int, ssl.SSLContext, str]]:
    """On a free port: that, its TLS, its certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    tls, pem = server_tls(folder)
    async with served(api.serve, tls) as port:
        yield port, tls, pem
