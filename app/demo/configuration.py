"""The files a customer would write: clicktrace.yaml with accounts and addresses, and Alertmanager's configuration."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.demo import world as w
from app.ports import free_port

#: A platform is read this often; the real ones allow less, the demo has ten minutes.
PULL_INTERVAL_S = 30.0
#: The demo has ten minutes: an incident closes sooner after its end, and Alertmanager tells news of a group sooner, than by default.
QUIET_PERIOD_S = 30
GROUP_INTERVAL = "10s"
ALERTMANAGER_BINARIES = ("prometheus-alertmanager", "alertmanager")


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The product's standard ports where they are free, others where not."""

    monitor: int
    redirect: int
    otlp: int
    read: int
    shop: int
    alertmanager: int

    @staticmethod
    def choose(*, any_free: bool) -> Ports:
        standard = {"monitor": 8080, "redirect": 8081, "otlp": 4318, "read": 8123, "shop": 8090, "alertmanager": 9093}
        return Ports(**{name: free_port(0 if any_free else port) for name, port in standard.items()})

    @property
    def site(self) -> str:
        return f"{w.SHOP_HOST}:{self.shop}"

    @property
    def api(self) -> str:
        return f"http://localhost:{self.monitor}"


class PlatformAccess(msgspec.Struct, frozen=True):
    """What a sandbox's ready.json says a client needs."""

    endpoint: str
    control: str
    credentials_file: str
    ca_file: str = ""


def settings(
    data_dir: Path,
    ports: Ports,
    platforms: dict[w.Platform, PlatformAccess],
    *,
    automatic: bool,
    alertmanager: bool,
    webhook_url: str,
) -> dict[str, Any]:
    """clicktrace.yaml as a dict."""
    return {
        "data_dir": str(data_dir),
        "public_url": ports.api,
        "redirect": {
            "host": "127.0.0.1", "port": ports.redirect, "public_url": f"http://localhost:{ports.redirect}",
            "allowed_destinations": [ports.site], "sites": [ports.site],
            # The visitors' addresses come in X-Forwarded-For, as behind any load balancer.
            "trusted_proxies": ["127.0.0.1/32"],
            # The shop's telemetry is the world's own: visits that no simulated person makes would stand in it.
            "watch": {"enabled": False},
        },
        "monitor": {"port": ports.monitor, "otlp_port": ports.otlp},
        "store": {"read_port": ports.read},
        "collectors": {"google_ads": {"interval_s": PULL_INTERVAL_S}, "meta_ads": {"interval_s": PULL_INTERVAL_S}},
        "detection": {"quiet_period_s": QUIET_PERIOD_S},
        "accounts": [_account(platform, platforms.get(platform)) for platform in w.ACCOUNTS],
        "alerts": {
            "mode": "automatic" if automatic else "approve",
            # One team of one person watches the demo, and its accounts are sandboxes: no second approver above half of the spend, and
            # with --auto nobody is there to be asked whether a pause pays.
            "guards": {"max_spend_share_per_hour": 1.0, "ask_when_pause_costs_more": not automatic},
            **({"alertmanager_url": f"http://localhost:{ports.alertmanager}"} if alertmanager else {"webhook_url": webhook_url}),
        },
    }  # fmt: skip


def _account(platform: w.Platform, access: PlatformAccess | None) -> dict[str, Any]:
    account: dict[str, Any] = {
        "platform": platform, "account": w.ACCOUNTS[platform], "currency": w.CURRENCY, "sandbox": True,
    }  # fmt: skip
    if access is not None:
        account |= {"endpoint": access.endpoint, "credentials_file": access.credentials_file}
    return account


def alertmanager_settings(webhook_url: str) -> dict[str, Any]:
    """The product's own route example, with this webhook in it."""
    example = Path(__file__).parents[2] / "alerts" / "notify" / "alertmanager.yaml"
    found: dict[str, Any] = yaml.safe_load(example.read_text("utf-8"))
    found["route"]["group_interval"] = GROUP_INTERVAL
    found["receivers"] = [{"name": "clicktrace", "webhook_configs": [{"url": webhook_url, "send_resolved": True}]}]
    return found


def write_yaml(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return path


def alertmanager_binary() -> str | None:
    return next((found for name in ALERTMANAGER_BINARIES if (found := shutil.which(name))), None)
