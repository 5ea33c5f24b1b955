import pytest
from pydantic import ValidationError

from correlator.detection.config import DetectionConfig


def test_a_calendar_names_days_and_ranges_of_days() -> None:
    config = DetectionConfig(special_days=["1970-01-02", "1970-01-05/1970-01-07"])
    assert config.special_day_numbers() == {1, 4, 5, 6}


@pytest.mark.parametrize("text", ["Christmas", "2026-12-24/2026-12-20", "2026-02-30", ""])
def test_a_day_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError):
        DetectionConfig(special_days=[text])
