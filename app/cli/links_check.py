"""`clicktrace links check`: what the destination watch saw, a look now, and accepting what is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from app.cli.api_client import ApiClient, Key, Url
from app.cli.exit_codes import FAILED
from app.cli.links_names import quoted
from app.cli.output import Json, print_json, print_table

#: A look at every destination of the link, each confirmed by a second one.
CHECK_TIMEOUT_S = 120.0


def check(
    slug: Annotated[str, typer.Argument(help="Slug or link ID; without one: what is known of all destinations.")] = "",
    domain: Annotated[str, typer.Option(help="Domain of the link, when it has one.")] = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="What is there now is meant so: expect it from now on.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Past checks of the link; looks at nothing.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Look at where a link leads, now. The exit code is 1 when a destination does not work."""
    if not slug and (accept or history):
        raise typer.BadParameter("--accept and --history are about one link: name it")
    with ApiClient(url=url, key=key) as api:
        answer = _ask(api, slug, domain=domain, accept=accept, history=history)
    if json:
        print_json(answer)
    elif history:
        _print_history(answer["history"])
    else:
        _print(answer["destinations"], named=bool(slug))
    if any(each["state"] == "failing" for each in answer["destinations"]):
        raise typer.Exit(FAILED)


def _ask(api: ApiClient, slug: str, *, domain: str, accept: bool, history: bool) -> dict[str, Any]:
    if not slug:
        return api.call("GET", "/destinations")
    path = f"/links/{quoted(slug)}/checks"
    params = {"domain": domain} if domain else {}
    if history:
        return api.call("GET", path, params={**params, "history": 100})
    answer = api.call("POST", path, params=params, timeout=CHECK_TIMEOUT_S)
    return api.call("POST", f"{path}/accept", params=params) if accept else answer


def _print(destinations: list[dict[str, Any]], *, named: bool) -> None:
    """A block a destination: addresses are too long for a table."""
    if not destinations:
        typer.echo(
            "It leads nowhere now: the link is switched off or over." if named else "No link leads anywhere yet."
        )
    for each in destinations:
        typer.echo(f"{each['state'] or 'not looked at yet'}: {each['url']}")
        for line in _told(each):
            typer.echo(f"    {line}")


def _told(each: dict[str, Any]) -> Iterator[str]:
    for finding in each["findings"]:
        yield f"{finding['finding']}: {finding['text']}"
    if each["statuses"]:
        statuses = " ".join(str(status) for status in each["statuses"])
        yield f"status {statuses}, first byte after {each['ttfb_ms']} ms, ct_click {'kept' if each['click_id_survived'] else 'lost'}"
    if each["hops"]:
        yield f"ends at {each['final_url']}"
    if each["certificate_expires"]:
        yield f"certificate until {each['certificate_expires'][:10]}"
    if each["baseline"] and each["baseline"]["accepted_by"]:
        yield f"accepted by {each['baseline']['accepted_by']} at {each['baseline']['at']}"
    if each["links"]:
        yield f"links: {', '.join(each['links'])}"


def _print_history(checks: list[dict[str, Any]]) -> None:
    several = len({each["url"] for each in checks}) > 1
    rows = [(each["at"][:19], _happened(each), *([each["url"]] if several else [])) for each in checks]
    columns = ["when (UTC)", "found", *(["destination"] if several else [])]
    print_table(columns, rows, empty="Nobody looked yet.")


def _happened(check: dict[str, Any]) -> str:
    if check["accepted_by"]:
        return f"accepted by {check['accepted_by']}"
    return ", ".join(check["findings"]) or str(check["state"])
