"""`clicktrace links`: a client of the links API of a running monitor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import links_audit, links_check, links_explain, links_sign, links_transfer
from app.cli.api_client import ApiClient, Key, Url
from app.cli.links_fields import Values, read_fields, with_fields
from app.cli.links_names import Domain, Slug, link_path
from app.cli.output import Json, print_json, print_table
from core.clock import to_rfc3339

app = typer.Typer(help="The short links that campaigns use.", no_args_is_help=True)

Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only links with this tag; several: with all of them.")]
Search = Annotated[str, typer.Option(help="Part of slug, destination, campaign, note or a tag.")]
Client = Annotated[str | None, typer.Option(help="Only links of this client.")]
Fields = Annotated[
    Path | None, typer.Option("--from", help="JSON or YAML file with fields of the link; - = standard input.")
]
Version = Annotated[
    int | None, typer.Option("--version", help="The last version as you know it; refused when there is a newer one.")
]


@app.command()
@with_fields
def add(
    slug: Annotated[str, typer.Argument(help="The short path, e.g. spring.")],
    destination: Annotated[str, typer.Argument(help="Where it leads; must be in redirect.allowed_destinations.")],
    values: Values,
    domain: Domain = "",
    fields: Fields = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Create a link; with a platform and its account, print the tracking template to paste there."""
    body = {**read_fields(fields), **values, **_given(slug=slug, destination=destination, domain=domain)}
    with ApiClient(url=url, key=key) as api:
        _print_link(api.call("POST", "/links", json=body), json=json)


@app.command("list")
def list_links(
    tag: Tags = None,
    search: Search = "",
    client: Client = None,
    limit: Annotated[int, typer.Option(help="At most this many; 0 = all.")] = 0,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """All links, by slug."""
    with ApiClient(url=url, key=key) as api:
        query = _given(tag=tag, search=search, client=client, limit=min(limit or 1000, 1000))
        found = list(zip(_every(api, "/links", "links", query), range(limit or 10**9), strict=False))
    links = [link for link, _ in found]
    if json:
        print_json(links)
        return
    rows = [(link["short_url"], link["destination"], link["campaign"], _state(link)) for link in links]
    print_table(
        ["link", "destination", "campaign", "state"], rows, empty="There are no links yet: clicktrace links add"
    )


@app.command()
def tags(client: Client = None, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Tags in use, with how many links have each."""
    with ApiClient(url=url, key=key) as api:
        found = list(_every(api, "/links/tags", "tags", _given(client=client, limit=1000)))
    if json:
        print_json(found)
    else:
        print_table(["tag", "links"], [(each["tag"], each["links"]) for each in found], empty="No link has a tag.")


@app.command()
def show(
    slug: Slug,
    domain: Domain = "",
    history: Annotated[bool, typer.Option("--history", help="Every change with its author.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """One link, or its history."""
    with ApiClient(url=url, key=key) as api:
        if history:
            _print_history(api, slug, domain, json=json)
        else:
            _print_link(api.call("GET", link_path(slug), params=_given(domain=domain)), json=json)


@app.command()
def history(slug: Slug, domain: Domain = "", url: Url = "", key: Key = "", json: Json = False) -> None:
    """Every change of a link: when, by whom, what was before and after."""
    with ApiClient(url=url, key=key) as api:
        _print_history(api, slug, domain, json=json)


@app.command()
@with_fields
def edit(
    slug: Slug,
    values: Values,
    destination: Annotated[str | None, typer.Option(help="Where it leads.")] = None,
    domain: Domain = "",
    fields: Fields = None,
    version: Version = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Change a link; what is not named stays. Slug and domain never change."""
    body = {**read_fields(fields), **values, **_given(destination=destination, version=version)}
    _change("PATCH", link_path(slug), domain, body, url=url, key=key, json=json)


@app.command()
def disable(
    slug: Slug,
    domain: Domain = "",
    undo: Annotated[bool, typer.Option("--undo", help="Switch it on again, like enable.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Switch a link off: it answers 410, and its hits are lost clicks."""
    _change("PATCH", link_path(slug), domain, {"disabled": not undo}, url=url, key=key, json=json)


@app.command()
def enable(slug: Slug, domain: Domain = "", url: Url = "", key: Key = "", json: Json = False) -> None:
    """Switch a disabled link on again."""
    _change("PATCH", link_path(slug), domain, {"disabled": False}, url=url, key=key, json=json)


@app.command()
def undo(
    slug: Slug,
    domain: Domain = "",
    to: Annotated[int | None, typer.Option(help="The version to bring back; else the one before the last.")] = None,
    version: Version = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Take the last change back; undoing an undo brings it again."""
    _change("POST", link_path(slug) + "/undo", domain, _given(to=to, version=version), url=url, key=key, json=json)


app.command("explain")(links_explain.explain)
app.command("check")(links_check.check)
app.command("audit")(links_audit.audit)
app.command("sign")(links_sign.sign)
app.command("audit")(links_audit.audit)
app.command("sign")(links_sign.sign)
app.command("import")(links_transfer.import_links)
app.command("export")(links_transfer.export)
app.command("qr")(links_transfer.qr)


def _change(method: str, path: str, domain: str, body: dict[str, Any], *, url: str, key: str, json: bool) -> None:
    with ApiClient(url=url, key=key) as api:
        _print_link(api.call(method, path, params=_given(domain=domain), json=body), json=json)


def _every(api: ApiClient, path: str, items: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The items of all pages."""
    cursor: str | None = ""
    while cursor is not None:
        page = api.call("GET", path, params=query | _given(cursor=cursor))
        yield from page[items]
        cursor = page["next"]


def _given(**values: object) -> dict[str, Any]:
    """Only what was said."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _state(link: dict[str, Any]) -> str:
    if link["disabled"]:
        return "disabled"
    return "active" if link["answer"] == "redirect" else "unavailable"


def _print_history(api: ApiClient, slug: str, domain: str, *, json: bool) -> None:
    path = link_path(slug) + "/history"
    changes = list(_every(api, path, "changes", _given(domain=domain, limit=1000)))
    if json:
        print_json({"changes": changes})
        return
    rows = [
        (change["version"], to_rfc3339(change["changed_at"]), change["author"], _what_changed(change))
        for change in changes
    ]
    print_table(["version", "changed", "by", "what"], rows, empty="No change was recorded.")


def _what_changed(change: dict[str, Any]) -> str:
    if change["version"] == 1:
        return f"created, to {change['definition']['destination']}"
    lines = (
        f"{field}: {_short(each['before'])} -> {_short(each['after'])}" for field, each in change["changed"].items()
    )
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return (text if len(text) <= 60 else text[:59] + "…") or "nothing"


def _print_link(link: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(link)
        return
    hidden = ("link_id", "updated_at", "tracking_template", "slug", "domain", "disabled", "answer", "parallel_tracking")
    rows: list[tuple[str, object]] = [("short url", link["short_url"])]
    rows += [
        (name.replace("_", " "), _cell(name, value))
        for name, value in link.items()
        if value and name not in (*hidden, "short_url")
    ]
    rows += [("state", _state(link)), ("parallel tracking", "yes" if link["parallel_tracking"] else "no")]
    print_table(["", ""], rows, empty="")
    if link["tracking_template"]:
        typer.echo(f"\nTracking template to paste into {link['platform']}:\n{link['tracking_template']}")
        if link["tracking_template"].startswith("http:"):
            typer.echo(
                "Ad platforms need HTTPS: give the link a --domain, or set redirect.public_url to an https address."
            )


def _cell(name: str, value: Any) -> str:
    if name in ("rules", "variants"):
        return "\n".join(f"{each['name']} -> {each.get('destination') or 'variants'}" for each in value)
    return ", ".join(value) if isinstance(value, list) else str(value)
