"""The metric catalogue over HTTP: what every figure of the other routes means, and what its formula is."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from core.metric_description import describe, described
from core.principal import Principal


def add_metrics(router: APIRouter, reader: Any) -> None:
    """`reader` is the dependency that yields the principal of a `read` key; the catalogue is the same for all of them."""

    @router.get("/metrics")
    def list_metrics(principal: Principal = reader) -> JSONResponse:
        """Every metric: formula, sources, owner, tier, threshold, who is told, expected response."""
        return JSONResponse({"metrics": msgspec.to_builtins(described())})

    @router.get("/metrics/{name}")
    def one_metric(name: str, principal: Principal = reader) -> JSONResponse:
        """One metric with its quantities, and as SQL and PromQL where it can be asked so."""
        return JSONResponse(msgspec.to_builtins(describe(name)))
