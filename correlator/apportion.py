"""A whole amount shared out by weights, so that the shares sum to it exactly."""

from __future__ import annotations

from collections.abc import Sequence


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in proportion to `weights`, whole numbers that sum to it; all 0 when there is no weight.

    Each gets its quota rounded down, and what is left goes, one each, to the largest remainders; of equal ones the earlier is served first.
    Source: A. Hamilton's method (largest remainder), M. L. Balinski and H. P. Young, Fair Representation (2001), appendix A.

    Raises:
        ValueError: a weight is negative.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is negative")
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares, remainders = zip(*(divmod(total * weight, whole) for weight in weights), strict=True)
    left = total - sum(shares)
    served = set(sorted(range(len(weights)), key=lambda at: (-remainders[at], at))[:left])
    return [share + (at in served) for at, share in enumerate(shares)]
