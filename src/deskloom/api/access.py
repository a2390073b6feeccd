"""Who is calling and how far the caller's role reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection

from deskloom.errors import Forbidden, Unauthenticated


class Role(IntEnum):
    """Each role may do what those before it may."""

    VIEWER = 1
    """Public text and search."""
    AGENT = 2
    """And private notes and internal texts."""
    OPERATOR = 3
    """And runs and failures."""
    ADMIN = 4
    """Everything."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request. `name` is what runs are said to be requested by."""

    name: str
    role: Role

    @property
    def internal(self) -> bool:
        """May read private notes and internal texts."""
        return self.role >= Role.AGENT


class Authority(Protocol):
    """Tells who presents a credential (None: nothing was presented). Raises `Unauthenticated`."""

    async def identify(self, credential: str | None) -> Caller: ...


@dataclass(slots=True)
class LocalAuthority:
    """While no keys are configured: whoever reaches the loopback address is admin; a credential has to be the owner's.

    `token` is what the owner of the data folder announced there; only those who may read the folder know it.
    """

    token: str | None = None

    async def identify(self, credential: str | None) -> Caller:
        if credential is None:
            return Caller("local", Role.ADMIN)
        if self.token is not None and compare_digest(credential.encode(), self.token.encode()):
            return Caller("cli", Role.ADMIN)
        raise Unauthenticated(
            "The key is not known here. Without keys configured, leave the Authorization header out on this machine."
        )


async def identify(connection: HTTPConnection) -> Caller:
    """The caller of a request or WebSocket, by `Authorization: Bearer …` or `X-API-Key`."""
    authority: Authority = connection.app.state.authority
    header = connection.headers.get("authorization")
    if header is None:
        return await authority.identify(connection.headers.get("x-api-key"))
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise Unauthenticated("The Authorization header must read: Bearer <key>")
    return await authority.identify(credential.strip())


def _at_least(role: Role) -> Callable[..., Caller]:
    def require(caller: Annotated[Caller, Depends(identify)]) -> Caller:
        if caller.role < role:
            raise Forbidden(
                f"This needs the role {role.name.lower()}; yours is {caller.role.name.lower()}.",
                role=role.name.lower(),
            )
        return caller

    return require


Viewer = Annotated[Caller, Depends(_at_least(Role.VIEWER))]
Agent = Annotated[Caller, Depends(_at_least(Role.AGENT))]
Operator = Annotated[Caller, Depends(_at_least(Role.OPERATOR))]
Admin = Annotated[Caller, Depends(_at_least(Role.ADMIN))]
