"""Some routes of the console as those see them who have the operators' password."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from console.entrance.visitors import OPERATORS, let_in


class LetsIn:
    """ASGI middleware: whoever comes is one of the operators."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        let_in(scope, OPERATORS)
        await self._app(scope, receive, send)


def as_operators(routes: Sequence[Route]) -> Starlette:
    return Starlette(routes=list(routes), middleware=[Middleware(LetsIn)])
