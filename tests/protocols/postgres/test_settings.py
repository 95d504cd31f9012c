"""Settings as the server shows them."""

import pytest

from svcmock_protocols.postgres.settings import shown, spelled, version_number


def test_names():
    assert spelled("timezone") == "TimeZone"
    assert spelled("search_path") == "search_path"


@pytest.mark.parametrize(
    ("name", "value", "before", "told"),
    [
        ("search_path", "a, b", "", "a, b"),
        ("statement_timeout", "40", "0", "40ms"),
        ("statement_timeout", "5000", "", "5s"),
        ("statement_timeout", "90 s", "", "90s"),
        ("statement_timeout", "120s", "", "2min"),
        ("lock_timeout", "0", "1s", "0"),
        ("lock_timeout", "1.5s", "", "1.5s"),
        ("lock_timeout", "5 parsecs", "", "5 parsecs"),
        ("work_mem", "65536", "", "64MB"),
        ("work_mem", "5MB", "", "5MB"),
        ("is_superuser", "TRUE", "off", "on"),
        ("transaction_read_only", "1", "", "on"),
        ("default_transaction_isolation", "REPEATABLE READ", "", "repeatable read"),
        ("my.flag", "true", "", "true"),
        ("DateStyle", "german", "ISO, MDY", "German, MDY"),
        ("DateStyle", "dmy", "", "ISO, DMY"),
        ("DateStyle", "SQL, DMY", "ISO, MDY", "SQL, DMY"),
    ],
)
def test_values(name, value, before, told):
    assert shown(name, value, before) == told


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("15.18 (Debian 15.18-1)", "150018"),
        ("18.0", "180000"),
        ("18beta2", "180000"),
        ("10.23", "100023"),
        ("9.6.24", "90624"),
        ("mine", None),
        ("", None),
    ],
)
def test_numbers_of_versions(version, number):
    assert version_number(version) == number
