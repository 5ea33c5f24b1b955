"""`clicktrace links`: a client of the links API of a running monitor."""

from __future__ import annotations

from typing import Annotated, Any, cast

import httpx
import typer

from app.cli import links_check, links_explain
from app.cli.output import Json, print_json, print_table
from app.run_state import running
from app.settings import load_settings
from core.clock import to_rfc3339
from core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Transient, Unauthorized

app = typer.Typer(help="The short links that campaigns use.", no_args_is_help=True)
app.command("explain")(links_explain.explain)
app.command("check")(links_check.check)

URL_VARIABLE = "CLICKTRACE_URL"
KEY_VARIABLE = "CLICKTRACE_KEY"
TIMEOUT_S = 15.0
_ERRORS: dict[int, type[Refusal]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict}

Url = Annotated[str, typer.Option("--url", help="Base URL of the monitor.", envvar=URL_VARIABLE)]
Key = Annotated[str, typer.Option("--key", help="API key; else <data_dir>/admin.key.", envvar=KEY_VARIABLE)]
Domain = Annotated[str, typer.Option(help="Domain of the link, when it has one.")]
Platform = Annotated[str | None, typer.Option(help="google, meta, microsoft, tiktok, x, linkedin or other.")]
Account = Annotated[str | None, typer.Option(help="The platform's account ID, for the tracking template.")]
Campaign = Annotated[str | None, typer.Option(help="Qualified: <platform>:<account>:<id>.")]
AdGroup = Annotated[str | None, typer.Option(help="Qualified ad group.")]
Creative = Annotated[str | None, typer.Option(help="Qualified creative.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Repeat for several.")]
Client = Annotated[str | None, typer.Option(help="Tenant that owns the link.")]
Note = Annotated[str | None, typer.Option(help="Anything people should know.")]
Parallel = Annotated[
    bool | None, typer.Option("--parallel/--no-parallel", help="The platform calls the redirect in the background.")
]
Personal = Annotated[
    bool | None, typer.Option("--pass-personal/--drop-personal", help="Pass email, phone, name … on; never recorded.")
]
Answer = Annotated[str | None, typer.Option(help="redirect, or unavailable (503, a lost click).")]


@app.command()
def add(
    slug: Annotated[str, typer.Argument(help="The short path, e.g. spring.")],
    destination: Annotated[str, typer.Argument(help="Where it leads; must be in redirect.allowed_destinations.")],
    domain: Domain = "",
    platform: Platform = None,
    account: Account = None,
    campaign: Campaign = None,
    ad_group: AdGroup = None,
    creative: Creative = None,
    tag: Tags = None,
    client: Client = None,
    note: Note = None,
    parallel: Parallel = None,
    pass_personal: Personal = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Create a link; with a platform and its account, print the tracking template to paste there."""
    body = _given(
        slug=slug, destination=destination, domain=domain, platform=platform, account=account, campaign=campaign,
        ad_group=ad_group, creative=creative, tags=tag, client=client, note=note, parallel_tracking=parallel,
        pass_personal=pass_personal,
    )  # fmt: skip
    with LinksClient(url=url, key=key) as links:
        _print_link(links.call("POST", "", json=body), json=json)


@app.command("list")
def list_links(
    tag: Annotated[str, typer.Option(help="Only links with this tag.")] = "",
    search: Annotated[str, typer.Option(help="Part of slug, destination, campaign or note.")] = "",
    client: Client = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """All links, by slug."""
    found: list[dict[str, Any]] = []
    with LinksClient(url=url, key=key) as links:
        cursor: str | None = ""
        while cursor is not None:
            query = _given(tag=tag, search=search, client=client, cursor=cursor, limit=1000)
            page = links.call("GET", "", params=query)
            found += page["links"]
            cursor = page["next"]
    if json:
        print_json(found)
        return
    rows = [(link["short_url"], link["destination"], link["campaign"], _state(link)) for link in found]
    print_table(
        ["link", "destination", "campaign", "state"], rows, empty="There are no links yet: clicktrace links add"
    )


@app.command()
def show(
    slug: Annotated[str, typer.Argument(help="Slug or link ID.")],
    domain: Domain = "",
    history: Annotated[bool, typer.Option("--history", help="Every change with its author.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """One link, or its history."""
    with LinksClient(url=url, key=key) as links:
        if not history:
            _print_link(links.call("GET", f"/{slug}", params=_given(domain=domain)), json=json)
            return
        answer = links.call("GET", f"/{slug}/history", params=_given(domain=domain))
    if json:
        print_json(answer)
        return
    rows = [
        (change["version"], to_rfc3339(change["changed_at"]), change["author"], change["definition"]["destination"])
        for change in answer["changes"]
    ]
    print_table(["version", "changed", "by", "destination"], rows, empty="No change was recorded.")


@app.command()
def edit(
    slug: Annotated[str, typer.Argument(help="Slug or link ID.")],
    destination: Annotated[str | None, typer.Option(help="Where it leads.")] = None,
    domain: Domain = "",
    platform: Platform = None,
    account: Account = None,
    campaign: Campaign = None,
    ad_group: AdGroup = None,
    creative: Creative = None,
    tag: Tags = None,
    client: Client = None,
    note: Note = None,
    parallel: Parallel = None,
    pass_personal: Personal = None,
    answer: Answer = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Change a link; what is not named stays. Slug and domain never change."""
    changes = _given(
        destination=destination, platform=platform, account=account, campaign=campaign, ad_group=ad_group,
        creative=creative, tags=tag, client=client, note=note, parallel_tracking=parallel, pass_personal=pass_personal,
        answer=answer,
    )  # fmt: skip
    with LinksClient(url=url, key=key) as links:
        _print_link(links.call("PATCH", f"/{slug}", params=_given(domain=domain), json=changes), json=json)


@app.command()
def disable(
    slug: Annotated[str, typer.Argument(help="Slug or link ID.")],
    domain: Domain = "",
    undo: Annotated[bool, typer.Option("--undo", help="Switch it on again.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Switch a link off: it answers 410, and its hits are lost clicks."""
    with LinksClient(url=url, key=key) as links:
        answer = links.call("PATCH", f"/{slug}", params=_given(domain=domain), json={"disabled": not undo})
        _print_link(answer, json=json)


class LinksClient:
    """Calls `/api/v1/links` of a running monitor; every failure is an error of `core.errors`."""

    def __init__(self, *, url: str = "", key: str = "") -> None:
        self._base = (url or _running_url()).rstrip("/")
        self._client = httpx.Client(
            base_url=self._base,
            headers={"Authorization": f"Bearer {key or _admin_key()}"},
            timeout=TIMEOUT_S,
        )

    def __enter__(self) -> LinksClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """One call; the answer's JSON object.

        Raises:
            Refusal: the API refused, with its reason.
            Transient: nobody answered.
        """
        try:
            response = self._client.request(method, f"/api/v1/links{path}", **request)
        except httpx.HTTPError as error:
            raise Transient(
                self._base, f"{error}; is the monitor running there? (clicktrace up, --url, {URL_VARIABLE})"
            ) from None
        if response.is_success:
            return cast(dict[str, Any], response.json())
        raise _refusal(response)


def _refusal(response: httpx.Response) -> Refusal:
    try:
        problem = response.json()
        reason, detail = str(problem["reason"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        reason, detail = "http_error", f"the monitor answered {response.status_code}"
    return _ERRORS.get(response.status_code, Invalid)(reason, detail, status=response.status_code)


def _running_url() -> str:
    """Where the monitor of our data directory listens, else where the settings say."""
    settings = load_settings()
    state = running(settings.data_dir)
    return (state.console if state else "") or f"http://localhost:{settings.monitor.port}"


def _admin_key() -> str:
    path = load_settings().data_dir / "admin.key"
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        raise Unauthorized("no_key", f"no key: use --key or {KEY_VARIABLE}; {path} cannot be read") from None


def _given(**values: object) -> dict[str, Any]:
    """Only what was said."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _state(link: dict[str, Any]) -> str:
    if link["disabled"]:
        return "disabled"
    return "active" if link["answer"] == "redirect" else "unavailable"


def _print_link(link: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(link)
        return
    shown = ("short_url", "destination", "platform", "campaign", "ad_group", "creative", "client", "note", "version")
    rows: list[tuple[str, object]] = [(name.replace("_", " "), link[name]) for name in shown if link[name]]
    rows += [("tags", ", ".join(link["tags"]))] if link["tags"] else []
    rows += [("state", _state(link)), ("parallel tracking", "yes" if link["parallel_tracking"] else "no")]
    print_table(["", ""], rows, empty="")
    if link["tracking_template"]:
        typer.echo(f"\nTracking template to paste into {link['platform']}:\n{link['tracking_template']}")
        if link["tracking_template"].startswith("http:"):
            typer.echo(
                "Ad platforms need HTTPS: give the link a --domain, or set redirect.public_url to an https address."
            )
