"""Our web servers: uvicorn inside our own loop and task group."""

from __future__ import annotations

import asyncio

import uvicorn
from starlette.applications import Starlette

from gateway.errors import UnavailableError


class Web(uvicorn.Server):
    """One listener; signals are ours, and so is its log (gateway/wiring/telling.py)."""

    @property
    def bound(self) -> int:
        """The port it got."""
        return int(self.servers[0].sockets[0].getsockname()[1])


def web(app: Starlette, host: str, port: int) -> Web:
    """A server that does not listen yet. What strangers send is read by h11, whatever else is installed: it is Python,
    and bounds a head."""
    config = uvicorn.Config(
        app, host=host, port=port, http="h11", log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    return Web(config)


async def start(group: asyncio.TaskGroup, server: Web) -> int:
    """Listen, and serve in the group until cancelled; the port. UnavailableError when the address cannot be had."""
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    try:
        await server.startup()
    except SystemExit as error:  # how uvicorn says that it could not bind
        raise UnavailableError(
            f"cannot listen on {server.config.host} port {server.config.port}",
            next_step="Something else listens there, or the address is not this machine's.",
        ) from error
    group.create_task(_keep_serving(server))
    return server.bound


async def _keep_serving(server: Web) -> None:
    try:
        await server.main_loop()
    finally:
        await server.shutdown()
