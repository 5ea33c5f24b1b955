"""/docs: the HTTP API as one plain page made from the OpenAPI document. No script and nothing from elsewhere: it works offline."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_STYLE = """
body{font:15px/1.55 system-ui,sans-serif;color:#182033;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem;border-bottom:1px solid #e1e5ec;padding-bottom:.3rem}
details{border:1px solid #e1e5ec;border-radius:8px;margin:.5rem 0;padding:.5rem .8rem}summary{cursor:pointer}
code,pre{font:13px ui-monospace,monospace}pre{background:#f4f6f9;padding:.6rem;border-radius:6px;overflow-x:auto}
b{display:inline-block;min-width:4.2em;color:#1f4fd8}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
small{color:#5a6478}
"""


def install(app: FastAPI) -> None:
    """Add /docs to an app that serves /openapi.json."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    def docs() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()), headers={"Content-Security-Policy": _POLICY})

    app.include_router(router)


def render(document: dict[str, Any]) -> str:
    """The page: operations by tag, each with its parameters, body and answers."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(items)}" for tag, items in by_tag.items())
    info = document.get("info", {})
    title = f"{escape(str(info.get('title', '')))} {escape(str(info.get('version', '')))}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><p>{escape(str(info.get('description', '')))}</p>"
        f'<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>{sections}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    head = f"<summary><b>{escape(method.upper())}</b><code>{escape(path)}</code> {escape(operation.get('summary', ''))}</summary>"
    text = escape(operation.get("description", ""))
    answers = ", ".join(
        f"{escape(status)} {escape(answer.get('description', ''))}"
        for status, answer in operation.get("responses", {}).items()
    )
    parts = [
        f"<p>{text}</p>" if text else "",
        _parameters(operation),
        _body(operation),
        f"<p><small>Answers: {answers}</small></p>",
    ]
    return f"<details>{head}{''.join(parts)}</details>"


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}{', required' if one.get('required') else ''}</td>"
        f"<td>{escape(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", [])
    )
    return f"<table>{rows}</table>" if rows else ""


def _body(operation: dict[str, Any]) -> str:
    kinds = operation.get("requestBody", {}).get("content", {})
    return "".join(
        f"<p><small>Body: {escape(kind)} {escape(_reference(one))}</small></p>" for kind, one in kinds.items()
    )


def _reference(media: dict[str, Any]) -> str:
    return str(media.get("schema", {}).get("$ref", "")).rpartition("/")[2]
