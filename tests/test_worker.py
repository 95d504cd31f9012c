"""What a worker begins with, which travels as text."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from svcmock.worker import Settings


@given(st.builds(Settings))
def test_settings_travel_whole(settings: Settings) -> None:
    assert msgspec.json.decode(msgspec.json.encode(settings).decode(), type=Settings) == settings
