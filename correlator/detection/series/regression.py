"""Ridge regression that a few wild rows cannot bend."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Huber's bound in robust deviations: 95 % efficient on clean Gaussian rows.
HUBER: Final = 1.345
PASSES: Final = 3
#: Ridge as a share of the mean diagonal at `RIDGE_ROWS` rows; it fades as one over the rows.
RIDGE: Final = 0.5
RIDGE_ROWS: Final = 20
#: Columns smaller than this, against the target, are rounding.
ROUNDING: Final = 1e-9
#: Median absolute deviation of a Gaussian in its standard deviations.
MAD: Final = 0.6745


def robust_ridge(features: Floats, target: Floats, *, weight: Floats) -> Floats:
    """Coefficients, shape (features,): iteratively re-weighted least squares with Huber's weights (Huber 1964), shrunk towards 0."""
    rows, columns = features.shape
    usable = weight > 0
    if usable.sum() < max(12, columns // 2):
        return np.zeros(columns)
    features, target, weight = features[usable], target[usable], weight[usable]
    weight = weight / weight.mean()
    spread = np.sqrt(np.mean(features * features, axis=0))
    # A column that is nothing but rounding would be blown up to a column like any other.
    spread[spread <= ROUNDING * max(spread.max(), np.sqrt(np.mean(target * target)))] = np.inf
    spread[spread == 0] = np.inf
    scaled = features / spread
    found = np.zeros(columns)
    size = np.sqrt(np.median(target * target * weight)) / MAD or np.sqrt(np.mean(target * target * weight))
    for _ in range(PASSES):
        if size <= 0:
            break
        distance = np.abs(target - scaled @ found) * np.sqrt(weight)
        trust = weight * np.minimum(1.0, HUBER * size / np.maximum(distance, 1e-12 * size))
        gram = (scaled * trust[:, None]).T @ scaled / rows
        ridge = RIDGE * RIDGE_ROWS / rows * max(float(np.mean(np.diag(gram))), 1e-12)
        found = np.linalg.solve(gram + ridge * np.eye(columns), scaled.T @ (trust * target) / rows)
        size = np.median(np.abs(target - scaled @ found) * np.sqrt(weight)) / MAD
    return np.asarray(found / spread, dtype=np.float64)
