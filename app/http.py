"""The HTTP applications: everything on the monitor's port, OTLP alone on 4318, and the few routes of the public listener."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app import docs_page, problems
from app.body_limit import BodyLimit
from app.problems import problem
from app.sessions import Sessions
from app.sign_in import ConsoleGuard
from core.version import VERSION

#: All that the public listener exposes; the rest of the API stays on the monitor's own address.
PUBLIC_PATHS = ("/api/v1/postback", "/api/v1/postback/", "/api/v1/hooks/", "/approve/")
DESCRIPTION = "Watches advertising money the way an observability stack watches servers."


def build_app(routers: Sequence[APIRouter], *, max_body_bytes: int, sessions: Sessions | None = None) -> FastAPI:
    """The application of the monitor's port. With `sessions`, every path that is not an API route needs a signed-in person."""
    app = FastAPI(
        title="Clicktrace",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    problems.install(app)
    for router in routers:
        app.include_router(router)
    docs_page.install(app)
    if sessions is not None:
        app.add_middleware(ConsoleGuard, sessions=sessions)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    return app


def build_otlp_app(router: APIRouter, *, max_body_bytes: int) -> FastAPI:
    """The OTLP receiver alone, for the port where exporters expect it."""
    app = FastAPI(title="Clicktrace OTLP", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.include_router(router)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    return app


class PublicOnly:
    """The part of an application that may face the Internet (ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_public(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await problem(404, "not_found", "there is nothing here")(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4404})


def is_public(path: str) -> bool:
    """True for the few paths of the public listener; a path with `..` or `//` is none of them."""
    if ".." in path or "//" in path:
        return False
    return any(path == allowed or (allowed.endswith("/") and path.startswith(allowed)) for allowed in PUBLIC_PATHS)
