"""The situations that the product is bought for, in a small world with names of its own, through journal, shipper and matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from core.incidents import IncidentPayload

MINUTE = 60_000
Make = Callable[..., Any]
ROSES = "garden.test/roses"


def payloads(world: Any) -> list[IncidentPayload]:
    return [msgspec.json.decode(row["payload"], type=IncidentPayload) for row in world.incidents()]


def told(world: Any, onset: int) -> None:
    for p in payloads(world):
        print(
            "DELAY",
            (p.detected - onset) / 1000,
            "now",
            (world.clock.now - onset) / 1000,
            "max tick",
            max(world.seconds),
        )
        print(p.title, "|", p.sentence)
        print({k: v for k, v in msgspec.to_builtins(p).items() if k not in ("title", "sentence")})


def test_a_bad_deploy_on_one_device(world: Make) -> None:
    w = world().past()
    w.run(6)
    w.deploy("search", "9.1")
    w.run(0.5)
    w.deploy("shop", "2.1")
    fault = w.breaks(after_s=25, order_fails=lambda ad, device: 0.8 if device == "mobile" and ad.page == ROSES else 0.0)
    w.run(4, until=lambda: bool(w.incidents()))
    told(w, fault.start)
    assert payloads(w)
