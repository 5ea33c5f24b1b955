"""`clicktrace links sign`: an address with a signed destination, or with signed campaign parameters."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from app.cli.api_client import ApiClient, Key, Url
from app.cli.links_names import Domain, Slug, link_path
from app.cli.output import Json, print_json

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"([1-9][0-9]{0,8})([smhd])")


def sign(
    slug: Slug,
    to: Annotated[str, typer.Option("--to", help="Destination to sign, for a link with sign: destination.")] = "",
    expires: Annotated[str, typer.Option(help="How long it works: 30m, 12h, 7d.")] = "7d",
    parameter: Annotated[
        list[str] | None, typer.Option(help="utm_source=mail, for a link with sign: campaign; repeat for several.")
    ] = None,
    domain: Domain = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Sign what a link's query may say, and print the address."""
    if bool(to) == bool(parameter):
        raise typer.BadParameter("give --to or --parameter, and not both")
    body: dict[str, Any] = (
        {"destination": to, "expires_in_s": seconds(expires)} if to else {"parameters": _pairs(parameter)}
    )
    with ApiClient(url=url, key=key) as api:
        params = {"domain": domain} if domain else {}
        answer = api.call("POST", f"{link_path(slug)}/sign", json=body, params=params)
    if json:
        print_json(answer)
    else:
        typer.echo(answer["url"])


def seconds(span: str) -> int:
    """``7d`` as seconds."""
    found = _SPAN.fullmatch(span)
    if found is None:
        raise typer.BadParameter(f"{span!r}: write a number and s, m, h or d, such as 7d")
    return int(found[1]) * _UNITS_S[found[2]]


def _pairs(given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r}: write name=value")
        pairs[name] = value
    return pairs
