"""Settings of the conversions that go out."""

from __future__ import annotations

from pydantic import Field, model_validator

from core.settings import Section
from uploads.destination_config import DestinationConfig
from uploads.google_data_manager.config import GoogleDataManagerConfig
from uploads.meta_conversions.config import MetaConversionsConfig


class UploadsConfig(Section):
    """Conversions that are reported to ad platforms. Off unless told otherwise, as a whole and for each destination."""

    enabled: bool = Field(False, description="False reports nothing to anybody.")
    interval_s: float = Field(60.0, gt=0, description="Time between two rounds.")
    google_data_manager: GoogleDataManagerConfig = Field(GoogleDataManagerConfig(), description="Google Ads.")
    meta_conversions: MetaConversionsConfig = Field(MetaConversionsConfig(), description="Meta.")

    def connections(self) -> list[DestinationConfig]:
        """All destinations of all kinds."""
        return [*self.google_data_manager.connections, *self.meta_conversions.connections]

    @model_validator(mode="after")
    def _names_once(self) -> UploadsConfig:
        names = [connection.name for connection in self.connections()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"destinations of the same name: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _targets_once(self) -> UploadsConfig:
        """Two destinations for one target would report everything twice, under the same event ID at best."""
        google = [
            (f"conversion action {mapping.target} of account {one.account}", mapping.type)
            for one in self.google_data_manager.connections
            for mapping in one.conversions
        ]
        meta = [
            (f"event {mapping.target} of data set {one.dataset}", mapping.type)
            for one in self.meta_conversions.connections
            for mapping in one.conversions
        ]
        every = google + meta
        twice = sorted({f"{type} as {where}" for where, type in every if every.count((where, type)) > 1})
        if twice:
            raise ValueError(f"reported by two destinations: {', '.join(twice)}")
        return self
