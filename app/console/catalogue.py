"""The page that says what every figure means: the metric catalogue, for people."""

from __future__ import annotations

from app.console import components
from app.console.components import Cell
from core.metric_description import Described, limit

COLUMNS = [
    ("Figure", False),
    ("How it is worked out", False),
    ("Owner", False),
    ("Out of order", False),
    ("What to do", False),
]


def show(metrics: list[Described]) -> None:
    """All metrics, by how soon they speak: a table for each tier."""
    for tier in dict.fromkeys(metric.tier for metric in metrics):
        with components.card():
            components.heading(tier.capitalize())
            components.table(COLUMNS, [_row(metric) for metric in metrics if metric.tier == tier])


def _row(metric: Described) -> list[Cell]:
    counted = " ".join(f"{quantity.title}: {quantity.filters}" for quantity in metric.quantities)
    return [
        Cell(text=metric.title, note=metric.meaning),
        Cell(text=metric.formula, note=counted),
        Cell(text=metric.owner, note=f"told: {', '.join(metric.told)}"),
        Cell(text=limit(metric.threshold)),
        Cell(text=metric.response),
    ]
