"""What both sandbox processes share: arguments, the ready file, a clean end on SIGTERM."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

import msgspec

from app.demo.ad_account import Behaviour, CampaignSetup


def arguments(description: str, *, account: str = "1234567890") -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="the vendor's protocol; 0 = any free port")
    parser.add_argument("--control-port", type=int, default=0, help="the simulated world's side; 0 = any free port")
    parser.add_argument("--dir", type=Path, required=True, help="credentials and ready.json are written here")
    parser.add_argument("--account", default=account)
    parser.add_argument("--currency", default="USD")
    parser.add_argument("--campaigns", type=Path, help="JSON list of campaigns as PUT /control/campaigns takes it")
    parser.add_argument("--report-lag-s", type=float, default=60.0, help="spend shows this much later")
    parser.add_argument("--restate-after-s", type=float, default=180.0, help="and is restated once, this much later")
    parser.add_argument("--restate-share", type=float, default=0.03, help="by at most this share, up or down")
    return parser.parse_args()


def campaigns(file: Path | None) -> list[CampaignSetup]:
    return [] if file is None else msgspec.json.decode(file.read_bytes(), type=list[CampaignSetup])


def behaviour(given: argparse.Namespace) -> Behaviour:
    return Behaviour(
        report_lag_s=given.report_lag_s, restate_after_s=given.restate_after_s, restate_share=given.restate_share
    )


def run_until_stopped(directory: Path, ready: dict[str, str]) -> None:
    """Write ready.json (whole, by renaming), then wait for SIGTERM or SIGINT."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    part = directory / "ready.json.part"
    part.write_bytes(msgspec.json.encode(ready))
    part.rename(directory / "ready.json")
    stopped.wait()
    (directory / "ready.json").unlink(missing_ok=True)
