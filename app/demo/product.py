"""The product as its customers reach it: HTTP with a key. The demo knows no other way in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx

from app.demo import world as w
from app.demo.order_feed import rfc3339
from app.demo.scenarios import Release


class Product:
    """A client of one running installation. Errors of the wire are httpx's own; a refusal raises `httpx.HTTPStatusError`."""

    def __init__(self, api: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=api, headers=headers, timeout=15, trust_env=False)

    def ready(self) -> bool:
        """True when the product says it can work and has loaded what was journaled before it started."""
        checks = self._checks()
        shipper = checks.get("shipper", {}).get("figures", {})
        loaded = shipper.get("lines", 0) > 0 and shipper.get("behind_bytes", 0) < 2**20
        return bool(checks) and loaded and all(check["ok"] for check in checks.values())

    def behind_bytes(self) -> float | None:
        """Journal bytes that are not in the store yet; None while the product does not say."""
        figures = self._checks().get("shipper", {}).get("figures", {})
        return figures.get("behind_bytes") if figures.get("lines") else None

    def _checks(self) -> dict[str, dict[str, Any]]:
        """What /readyz says, by check; empty while nobody answers."""
        try:
            checks = self._client.get("/readyz").json()["checks"]
        except (httpx.HTTPError, ValueError, KeyError):
            return {}
        return {check["name"]: check for check in checks}

    def add_links(self, world: w.World) -> None:
        for link in world.links:
            body = {
                "slug": link.slug, "destination": f"http://{world.page_id(link.page)}", "platform": link.campaign.platform,
                "campaign": link.campaign.campaign, "parallel_tracking": link.campaign.parallel,
                "note": f"{link.campaign.name}: {link.page.path}",
            }  # fmt: skip
            self._client.post("/api/v1/links", json=body).raise_for_status()

    def answer_of_links(self, slugs: Sequence[str], answer: str) -> None:
        """Change the links' configuration: `redirect`, or `unavailable` (503)."""
        for slug in slugs:
            self._client.patch(f"/api/v1/links/{slug}", json={"answer": answer}).raise_for_status()

    def post_deploy(self, release: Release) -> None:
        """The marker that a release pipeline posts."""
        body = {
            "service": release.service, "version": release.version, "change": release.change, "ts": rfc3339(time.time()),
            "author": release.author,
        }  # fmt: skip
        answer = self._client.post("/api/v1/deploys", json=body)
        answer.raise_for_status()
        assert all(result["status"] < 300 for result in answer.json()["results"]), answer.text

    def get(self, path: str, **params: str) -> Any:
        answer = self._client.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: object) -> Any:
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def close(self) -> None:
        self._client.close()
