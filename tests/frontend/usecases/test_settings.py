"""Settings of use cases: what is checked beyond bounds, which `test_config.py` tests."""

import pytest
from pydantic import ValidationError

from drink_frontend.usecases.settings import StatisticsSettings


def test_a_time_zone_is_one_of_the_tz_database() -> None:
    assert StatisticsSettings().time_zone == "UTC"
    assert StatisticsSettings(time_zone="America/New_York").time_zone == "America/New_York"
    with pytest.raises(ValidationError, match="no time zone 'Berlin'"):
        StatisticsSettings(time_zone="Berlin")
