"""Which sources each figure is made of, and so how far it is complete: pure. Times in ms.

A figure is complete through the slowest of *its* sources. Spend does not wait for what the platform counts as conversions (hours to days
late), and clicks wait for nobody: a source that brings no part of a figure says nothing about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, Literal, Protocol, get_args

import msgspec

Figure = Literal["clicks", "conversions", "spend", "tallies", "click_campaigns", "services", "changes"]
#: What return and cost per conversion are joined of.
JOINED: Final[tuple[Figure, ...]] = ("clicks", "conversions", "spend")
#: Credits and traffic know no spend.
COUNTED: Final[tuple[Figure, ...]] = ("clicks", "conversions")
#: Reconciliation lays what other systems count beside them.
RECONCILED: Final[tuple[Figure, ...]] = (*JOINED, "tallies")

#: What people do themselves, and whatever is pushed.
JOURNAL: Final = "journal"
#: A source's kind, the part of its name before the colon -> the figure that it brings a part of.
BRINGS: Final[dict[str, Figure]] = {
    "stripe": "conversions",
    "hubspot": "conversions",
    "ga4": "tallies",
    "google_conversions": "tallies",
    "meta_conversions": "tallies",
    "google_clicks": "click_campaigns",
    "prometheus": "services",
    "checks": "services",
    "github": "changes",
    "google_changes": "changes",
}
#: The journal itself is a source of all that is pushed; spend, totals and campaigns of clicks are only ever read.
_PUSHED: Final[frozenset[Figure]] = frozenset({"clicks", "conversions", "services", "changes"})
_AD_PLATFORM: Final = "_ads"


class Promise(Protocol):
    """What a source says of itself (`correlator.freshness.SourceFreshness`); 0 = it was never complete, and holds nothing up."""

    @property
    def source(self) -> str: ...

    @property
    def complete_through_ms(self) -> int: ...


class FigureFreshness(msgspec.Struct, frozen=True, kw_only=True):
    """`slowest` = the source that the figure is waiting for."""

    figure: Figure
    complete_through_ms: int
    slowest: str


def figures(
    sources: Iterable[Promise], *, accounts: Collection[tuple[str, str]] | None = None
) -> list[FigureFreshness]:
    """Every figure that a source brings a part of.

    Args:
        sources: the journal among them.
        accounts: (platform, account) of the campaigns in question; sources of other ad accounts then say nothing. None = all.
    """
    counting = [
        source
        for source in sources
        if source.source == JOURNAL or (source.complete_through_ms and _concerns(source.source, accounts))
    ]
    found = []
    for figure in get_args(Figure):
        if bringing := [source for source in counting if figure in brings(source.source)]:
            slowest = min(bringing, key=lambda source: source.complete_through_ms)
            through = slowest.complete_through_ms
            found.append(FigureFreshness(figure=figure, complete_through_ms=through, slowest=slowest.source))
    return found


def brings(source: str) -> frozenset[Figure]:
    """What a source brings a part of; of one that nobody described here, whatever it may bring to a joined figure."""
    kind = source.partition(":")[0]
    if kind == JOURNAL:
        return _PUSHED
    if kind in BRINGS:
        return frozenset({BRINGS[kind]})
    return frozenset({"spend"} if kind.endswith(_AD_PLATFORM) else {"conversions", "spend"})


def joined(found: Iterable[FigureFreshness], *, of: Collection[Figure] = JOINED) -> FigureFreshness:
    """The figure that a joined one waits for. Raises ValueError without any."""
    return min((one for one in found if one.figure in of), key=lambda one: one.complete_through_ms)


def _concerns(source: str, accounts: Collection[tuple[str, str]] | None) -> bool:
    """Whether a source can have a part in campaigns of these accounts. Sources of ad accounts are called `<platform>_<part>:<account>`."""
    kind, _, account = source.partition(":")
    of_account = kind.endswith(_AD_PLATFORM) or (kind in BRINGS and "_" in kind)
    if accounts is None or not of_account or not account:
        return True
    return (kind.partition("_")[0], account) in accounts
