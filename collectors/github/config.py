"""Settings of GitHub: repositories whose deployments and releases are change markers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collectors.hooks.base import HookConnection
from collectors.source_config import SourceConfig
from core.records import Change


class GithubConnection(HookConnection):
    """One repository."""

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name.")
    credentials_file: str = Field(
        "", description="File with a token that may read deployments; empty = public repositories."
    )
    reads: tuple[Literal["deployments", "releases"], ...] = Field(
        ("deployments",), description="What marks a change here; releases only where publishing one is going live."
    )
    environments: tuple[str, ...] = Field(("production",), description="Deployments to these count; empty = all.")
    service: str = Field("", description="Service that it deploys, as its spans say; empty = the repository's name.")
    version: Literal["short_sha", "sha", "ref"] = Field(
        "short_sha", description="What a deployment's version is, to equal service.version of the spans."
    )
    change: Change = Field(
        "deploy", description="Kind of change, for a repository of configuration, tags or creatives."
    )


class GithubConfig(SourceConfig):
    """Schedule of the pull. Deployments are never restated; a rollout may last long, so each read looks back some hours."""

    interval_s: float = Field(300.0, gt=0, description="Time between two reads.")
    documented_lag_s: int = Field(
        60, ge=0, description="How late the source documents its data; the watermark stays this far behind."
    )
    recent_s: int = Field(6 * 3600, ge=0, description="Every read goes back this far, for rows that came late.")
    longest_rollout_s: int = Field(
        24 * 3600,
        ge=0,
        description="A deployment may succeed this long after it was created; older ones are not asked.",
    )
    connections: tuple[GithubConnection, ...] = Field((), description="One entry a repository.")
