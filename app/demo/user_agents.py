"""Browsers of the simulated visitors: real user agents and how common each is within its device."""

from __future__ import annotations

from typing import Literal

import msgspec

DeviceName = Literal["mobile", "desktop", "tablet"]


class Browser(msgspec.Struct, frozen=True, kw_only=True):
    device: DeviceName
    user_agent: str
    share: float


def _browsers(device: DeviceName, *shares: tuple[float, str]) -> tuple[Browser, ...]:
    return tuple(Browser(device=device, user_agent=f"Mozilla/5.0 ({text}", share=share) for share, text in shares)


BROWSERS: dict[DeviceName, tuple[Browser, ...]] = {
    "mobile": _browsers(
        "mobile",
        (0.34, "iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"),
        (0.36, "Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36"),
        (0.18, "Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"),
        (0.12, "iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/139.0.7258.60 Mobile/15E148 Safari/604.1"),
    ),
    "desktop": _browsers(
        "desktop",
        (0.50, "Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"),
        (0.20, "Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"),
        (0.18, "Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0"),
        (0.12, "Windows NT 10.0; Win64; x64; rv:142.0) Gecko/20100101 Firefox/142.0"),
    ),
    "tablet": _browsers(
        "tablet",
        (0.70, "iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1"),
        (0.30, "Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"),
    ),
}  # fmt: skip

#: A flood that pretends to be people: common browsers, some of them years old, none on a crawler list.
FLOOD_USER_AGENTS: tuple[str, ...] = (
    "Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/86.0.4240.198 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/117.0.0.0 Mobile Safari/537.36",
)


def device_of(user_agent: str) -> DeviceName:
    """The device a shop's own template switch would see."""
    if "iPad" in user_agent or ("Android" in user_agent and "Mobile" not in user_agent):
        return "tablet"
    return "mobile" if "Mobile" in user_agent else "desktop"
