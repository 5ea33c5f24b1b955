"""The chart of an incident: expected and observed conversions per minute, onset and deploys. Pure: a series in, chart options out."""

from __future__ import annotations

from typing import Any

from app.console.series import Series
from core.clock import MINUTE_MS
from core.incidents import IncidentPayload

INK, EXPECTED, OBSERVED, ONSET, DEPLOY = "#5a6478", "#9db7f5", "#1f4fd8", "#b3261e", "#8a5300"
#: Minutes whose values are averaged for the line; single minutes of few conversions only flicker.
SMOOTHING = 3
LABEL_ROWS = 3
LABEL_HEIGHT = 15


def chart_options(series: Series, payload: IncidentPayload) -> dict[str, Any]:
    """ECharts options. Times are UTC."""
    times = [series.start + index * MINUTE_MS for index in range(len(series.observed))]
    expected = list(zip(times, (round(value, 2) for value in series.expected), strict=False))
    observed = list(zip(times, series.observed, strict=False))
    smoothed = list(zip(times, trailing_mean(series.observed, width=SMOOTHING), strict=False))
    return {
        "useUTC": True,
        "animation": False,
        "grid": {"left": 8, "right": 12, "top": 40 + LABEL_ROWS * LABEL_HEIGHT, "bottom": 4, "containLabel": True},
        "legend": {
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 14,
            "itemHeight": 3,
            "textStyle": {"color": INK},
        },
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "time",
            "axisLabel": {"color": INK, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": "#cfd6e1"}},
        },
        "yAxis": {
            "type": "value",
            "minInterval": 1,
            "axisLabel": {"color": INK},
            "splitLine": {"lineStyle": {"color": "#eef1f5"}},
        },
        "series": [
            _line("expected", expected, EXPECTED, area=True),
            _points("observed, each minute", observed),
            _line(f"observed, mean of {SMOOTHING}", smoothed, OBSERVED) | {"markLine": _marks(series, payload)},
        ],
    }


def trailing_mean(values: list[int], *, width: int) -> list[float]:
    """Mean of each value and those before it, at most `width` of them."""
    found = []
    for at in range(len(values)):
        window = values[max(0, at - width + 1) : at + 1]
        found.append(round(sum(window) / len(window), 2))
    return found


def _line(name: str, data: list[tuple[int, float]], colour: str, *, area: bool = False) -> dict[str, Any]:
    line = {
        "name": name,
        "type": "line",
        "data": data,
        "showSymbol": False,
        "lineStyle": {"color": colour, "width": 2},
        "itemStyle": {"color": colour},
    }
    return line | ({"areaStyle": {"color": colour, "opacity": 0.18}} if area else {})


def _points(name: str, data: list[tuple[int, int]]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "scatter",
        "data": data,
        "symbolSize": 4,
        "itemStyle": {"color": OBSERVED, "opacity": 0.35},
    }


def _marks(series: Series, payload: IncidentPayload) -> dict[str, Any]:
    """Vertical lines: the onset, and every deploy; each label stands above the plot in a row of its own (up to `LABEL_ROWS`)."""
    marks = [(payload.onset, "onset", ONSET), *((marker.ts, marker.label, DEPLOY) for marker in series.deploys)]
    data = [_mark(*mark, row=index % LABEL_ROWS) for index, mark in enumerate(marks)]
    return {"symbol": "none", "silent": True, "animation": False, "data": data}


def _mark(ts: int, label: str, colour: str, *, row: int) -> dict[str, Any]:
    return {
        "xAxis": ts,
        "lineStyle": {"color": colour, "width": 1.5, "type": "solid" if colour == ONSET else "dashed"},
        "label": {
            "formatter": label,
            "color": colour,
            "fontSize": 11,
            "position": "end",
            "distance": 3 + row * LABEL_HEIGHT,
            "backgroundColor": "#ffffffd0",
        },
    }
