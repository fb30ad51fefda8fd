"""The family of phone systems that Frameroom does not reach: it has no address, no pin and no credential of them."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from connectors.base import NoSettings
from connectors.contract import NO_CONNECTOR, Capabilities, Connector, Target, Unseal
from connectors.errors import Fault, NotSupported

_ALONE: Final = "Frameroom does not reach this phone system"
_NEXT: Final = 'Ask for a visit, which is not recorded here: request SYSTEM --ops visit --for 2h --reason "…"'


class NoConnectorFamily:
    """As the registry knows it: what is honest to say of a phone system that is only visited."""

    name = NO_CONNECTOR
    settings_model: type[BaseModel] = NoSettings
    default_port = 0

    def capabilities(self) -> Capabilities:
        """No operation: a visit is permitted whatever the connector, and done without one."""
        return Capabilities(
            title="any phone system, without a connector: visits only",
            operations=frozenset(),
            secrecy={},
            secrecy_why="Frameroom has no credential, and sends and records nothing; what an engineer sees there with "
            "the phone system's own programs is between them and the customer",
            proven=(),
            credential={},
            proven_how="there is nothing to prove",
            cannot={
                "operations": "none: what may be permitted is `visit`, which is not recorded here",
                "logins": "Frameroom has no login there",
            },
        )

    async def connect(self, target: Target, unseal: Unseal) -> Connector:
        """NotSupported, always; nothing is unsealed."""
        fault = NotSupported(_ALONE, next_step=_NEXT)
        fault.fault = Fault.ENGINEER
        raise fault
