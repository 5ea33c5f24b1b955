"""Settings of the toy shop (README.md beside this file)."""

from __future__ import annotations

from pydantic import Field

from collectors.source_config import ConnectionConfig, SourceConfig


class ToyConnection(ConnectionConfig):
    """One toy shop."""

    credentials_file: str = Field(min_length=1, description="File with the API token.")


class ToyConfig(SourceConfig):
    """Orders of a toy shop."""

    documented_lag_s: int = Field(default=600, ge=0, description="Orders are listed ten minutes late.")
    connections: tuple[ToyConnection, ...] = Field(default=(), description="Toy shops that are read.")
