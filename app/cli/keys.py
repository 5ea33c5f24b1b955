"""`clicktrace keys`: API keys, and one-time links that sign in to the console."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from app.auth import KeyInfo, KeyRing
from app.cli.output import Json, print_json, print_table
from app.run_state import running
from app.sessions import Sessions
from app.settings import load_settings
from core.clock import to_rfc3339
from core.control.engine import open_control
from core.errors import NotFound

app = typer.Typer(help="API keys, and links that sign in to the console.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who will hold it, e.g. shop-backend.")],
    scope: Annotated[
        list[str], typer.Option(help="ingest, read, links, approve, postback or admin; repeat for several.")
    ],
    client: Annotated[
        list[str] | None, typer.Option(help="Only these clients; repeat for several. Default: all.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key. It is printed once and cannot be shown again."""
    key = _key_ring().add(name, scopes=scope, clients=client or [])
    if json:
        print_json({"name": name, "key": key, "scopes": sorted(set(scope)), "clients": sorted(set(client or []))})
    else:
        typer.echo(key)
        Console(stderr=True).print("Keep it now: only its hash is stored.")


@app.command("list")
def list_keys(json: Json = False) -> None:
    """All keys with their scopes; the keys themselves are not stored."""
    keys = _key_ring().list()
    if json:
        print_json(keys)
    else:
        print_table(
            ["name", "scopes", "clients", "made", "state"], [_row(key) for key in keys], empty="There are no keys yet."
        )


@app.command()
def revoke(name: str, json: Json = False) -> None:
    """End a key; running processes notice within five seconds."""
    _key_ring().revoke(name)
    if json:
        print_json({"name": name, "revoked": True})
    else:
        typer.echo(f"{name}: revoked")


@app.command()
def link(
    name: Annotated[str, typer.Argument(help="The key to sign in as.")] = "admin",
    json: Json = False,
) -> None:
    """Print a link that signs in to the console once, within fifteen minutes."""
    settings = load_settings()
    engine = open_control(settings.control.url, settings.data_dir)
    keys = KeyRing(engine)
    if keys.principal(name) is None:
        raise NotFound("unknown_key", f"there is no active key named {name!r}: clicktrace keys list")
    state = running(settings.data_dir)
    base = settings.public_url or (state.console if state else "") or f"http://localhost:{settings.monitor.port}"
    url = f"{base}/sign-in?token={Sessions(engine, keys).one_time_token(name)}"
    if json:
        print_json({"url": url, "name": name})
    else:
        typer.echo(url)


def _key_ring() -> KeyRing:
    settings = load_settings()
    return KeyRing(open_control(settings.control.url, settings.data_dir))


def _row(key: KeyInfo) -> list[str]:
    state = "active" if key.revoked_at is None else f"revoked {to_rfc3339(key.revoked_at)}"
    return [key.name, " ".join(key.scopes), " ".join(key.clients) or "all", to_rfc3339(key.created_at), state]
