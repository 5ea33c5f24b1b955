"""Documents are tested: every setting, alert, metric, command and decision record has its entry, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from alerts.outbox import ALERTNAMES
from alerts.rules.load import load_rules
from app import reference

ROOT = Path(__file__).parent.parent
RUNBOOKS = ROOT / "runbooks"
SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation")


def alerts_of_our_rules() -> set[str]:
    """Alert names of the shipped rules, and those that follow an incident."""
    return {rule.alert_step.name for rule in load_rules() if rule.alert_step} | set(ALERTNAMES)


def alerts_about_ourselves() -> set[str]:
    groups = yaml.safe_load((ROOT / "grafana/prometheus/rules.yaml").read_text("utf-8"))["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def pages() -> list[Path]:
    return sorted(p for p in RUNBOOKS.glob("*.md") if p.name != "README.md")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    alerts = alerts_of_our_rules() | alerts_about_ourselves()
    assert alerts
    assert {page.stem for page in pages()} == alerts


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.stem)
def test_a_runbook_answers_its_four_questions_in_order(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}\n")
    positions = [text.find(f"\n## {section}\n") for section in SECTIONS]
    assert -1 not in positions, f"{page.name} lacks {[s for s, p in zip(SECTIONS, positions, strict=True) if p < 0]}"
    assert positions == sorted(positions)


def test_the_reference_pages_are_fresh() -> None:
    stale = [path.name for path, text in reference.pages().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `make generate`"


def test_every_decision_record_is_listed_and_dated() -> None:
    index = (ROOT / "docs/adr/README.md").read_text("utf-8")
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert records
    for record in records:
        assert f"({record.name})" in index, f"{record.name} is not in docs/adr/README.md"
        assert re.search(r"^20\d\d-\d\d-\d\d$", record.read_text("utf-8"), re.M), f"{record.name} has no date"


def documents() -> list[Path]:
    return [
        p for p in ROOT.rglob("*.md") if not {".venv", "node_modules", "demo-data"} & set(p.relative_to(ROOT).parts)
    ]


@pytest.mark.parametrize("document", documents(), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", document.read_text("utf-8"))
    assert [t for t in targets if not (document.parent / t).exists()] == []


def test_the_changelog_begins_with_the_current_version() -> None:
    from core.version import VERSION

    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert headings[0] == VERSION
