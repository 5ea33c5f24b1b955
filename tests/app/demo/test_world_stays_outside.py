"""The product knows nothing of the simulated world: no name of it stands in the product's files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from app.demo import scenarios
from app.demo import world as w

ROOT = Path(__file__).parents[3]
PRODUCT = ("core", "redirect", "collectors", "correlator", "alerts", "uploads", "app", "grafana", "runbooks")
WORLD = ("app/demo/", "app/cli/demo.py")


def product_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PRODUCT],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = [name for name in listed.stdout.splitlines() if not name.startswith(WORLD)]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def words_of_the_world() -> set[str]:
    """Scenarios, slugs, pages, routes, services, campaigns, accounts. `quiet` is left out: it is an everyday word."""
    names: set[str] = {name for name in scenarios.NAMES if "-" in name}
    names |= {w.WEB, w.ORDERS, w.MEDIA, scenarios.LINKS_SERVICE, w.SHOP_HOST, *w.ACCOUNTS.values()}
    for page in w.PAGES:
        names |= {page.path, page.route, page.submit_path, page.submit_route}
    for seed in range(5):
        world = w.draw_world(seed)
        names |= {link.slug for link in world.links} | {campaign.name for campaign in world.campaigns}
    return names


def test_the_names_are_found_where_they_belong() -> None:
    text = "".join(path.read_text("utf-8") for path in (ROOT / "app" / "demo").glob("*.py"))
    assert all(name in text for name in (*scenarios.NAMES, w.WEB, w.ORDERS, w.MEDIA, w.SHOP_HOST))


def test_no_name_of_the_world_stands_in_the_product() -> None:
    pattern = re.compile("|".join(re.escape(name) for name in sorted(words_of_the_world(), key=len, reverse=True)))
    found = {}
    for path in product_files():
        try:
            hits = set(pattern.findall(path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
        if hits:
            found[str(path.relative_to(ROOT))] = hits
    assert found == {}


@pytest.mark.parametrize("module", ["app.demo", "app/demo", "clicktrace-demo"])
def test_nothing_in_the_product_names_the_demo_module(module: str) -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in product_files()
        if path.suffix in (".py", ".yaml", ".sql", ".js") and module in path.read_text("utf-8")
    ]
    assert guilty in ([], ["app/cli/main.py"])
