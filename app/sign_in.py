"""Signing people in to the console: a plain page that asks for a key, links that work once, and the guard in front of every page.

The page is server-rendered under a strict Content-Security-Policy: a secret is typed into it, so no script may run on it.
"""

from __future__ import annotations

from html import escape
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth import KeyRing
from app.sessions import COOKIE, Sessions
from core.principal import Principal

SIGN_IN_PATH = "/sign-in"
#: Everything else under the monitor's port is the console and needs a session; these check keys themselves or hold no secret.
OPEN_PREFIXES = (
    "/api/",
    "/v1/",
    "/approve/",
    "/_nicegui/",
    "/metrics",
    "/healthz",
    "/readyz",
    "/docs",
    "/openapi.json",
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · Clicktrace</title>
<style>
  body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f4f5f7; color: #1c2330;
         font: 16px/1.5 system-ui, sans-serif; }}
  main {{ width: min(24rem, calc(100vw - 3rem)); background: #fff; border: 1px solid #dfe3ea; border-radius: 12px; padding: 2rem; }}
  h1 {{ margin: 0 0 .25rem; font-size: 1.25rem; }}
  p {{ margin: 0 0 1.25rem; color: #566072; font-size: .9rem; }}
  label {{ display: block; font-size: .85rem; font-weight: 600; margin-bottom: .35rem; }}
  input {{ width: 100%; box-sizing: border-box; font: inherit; padding: .6rem .7rem; border: 1px solid #b9c1ce; border-radius: 8px; }}
  button {{ margin-top: 1rem; width: 100%; font: inherit; font-weight: 600; padding: .65rem; border: 0; border-radius: 8px;
            background: #1f4fd8; color: #fff; cursor: pointer; }}
  .problem {{ color: #b3261e; margin: 0 0 1rem; }}
  code {{ background: #eef0f4; padding: .1rem .3rem; border-radius: 4px; }}
</style></head><body><main>
<h1>Clicktrace</h1>
<p>Sign in with an API key. The first start wrote the admin key to <code>admin.key</code> in the data directory.</p>
{problem}
<form method="post" action="/sign-in">
<input type="hidden" name="next" value="{next}">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button type="submit">Sign in</button>
</form></main></body></html>"""


def build_router(keys: KeyRing, sessions: Sessions, *, secure: bool) -> APIRouter:
    """The sign-in page, one-time links, and sign-out. `secure` marks the cookie for TLS only."""
    router = APIRouter(include_in_schema=False)

    def signed_in(name: str, *, target: str) -> Response:
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            COOKIE, sessions.issue(name), max_age=sessions.lifetime_s, httponly=True, samesite="lax", secure=secure
        )
        return answer

    @router.get(SIGN_IN_PATH)
    def ask(token: str = "", next: str = "/") -> Response:
        if not token:
            return _page(next_path=next)
        principal = sessions.redeem(token)
        if principal is None:
            return _page(
                next_path=next, problem="This link was used already or has expired. Sign in with a key.", status=401
            )
        return signed_in(principal.name, target=local_path(next))

    @router.post(SIGN_IN_PATH)
    def sign_in(key: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:
        principal = keys.check(key.strip())
        if principal is None:
            return _page(next_path=next, problem="This key is unknown or revoked.", status=401)
        if not may_look(principal):
            return _page(next_path=next, problem="This key lacks the scope read.", status=403)
        return signed_in(principal.name, target=local_path(next))

    @router.get("/sign-out")
    def sign_out() -> Response:
        answer = RedirectResponse(SIGN_IN_PATH, status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


class ConsoleGuard:
    """Lets a request for the console through only with a valid session; the principal travels in `request.state.principal`."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        # In a thread: the control database may be a server that does not answer, and the event loop must not wait for it.
        principal = await run_in_threadpool(self._sessions.check, _cookie(scope))
        if principal is not None and may_look(principal):
            scope.setdefault("state", {})["principal"] = principal
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        else:
            target = f"{SIGN_IN_PATH}?next={quote(scope['path'])}" if scope["path"] != "/" else SIGN_IN_PATH
            await RedirectResponse(target, status_code=303)(scope, receive, send)


def may_look(principal: Principal) -> bool:
    """True for keys of people: a key that only sends data in must not open the console."""
    return bool({"read", "admin"} & principal.scopes)


def local_path(target: str) -> str:
    """`target` when it is a path of this server, else the start page: a sign-in must not send people elsewhere."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"


def _is_open(path: str) -> bool:
    return path.startswith(OPEN_PREFIXES) or path in (SIGN_IN_PATH, "/sign-out", "/favicon.ico")


def _cookie(scope: Scope) -> str:
    connection = Request({**scope, "type": "http", "method": "GET"})
    return connection.cookies.get(COOKIE, "")


def _page(*, next_path: str, problem: str = "", status: int = 200) -> HTMLResponse:
    shown = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    html = _PAGE.format(problem=shown, next=escape(local_path(next_path), quote=True))
    headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    return HTMLResponse(html, status_code=status, headers=headers)
