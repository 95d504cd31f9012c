"""Reason phrases."""

from http import HTTPStatus

from svcmock_protocols.http.reasons import REASONS

RENAMED = {413, 414, 416, 422}
"""Those that versions of Python call otherwise."""
NOT_LISTED = {418, 510}
"""A joke, and one that was made obsolete."""


def test_they_are_those_of_the_registry():
    known = {status.value: status.phrase for status in HTTPStatus if status not in NOT_LISTED}
    assert set(REASONS) <= {*known, 103, 425}
    assert {status: phrase for status, phrase in REASONS.items() if status not in RENAMED} == {
        status: phrase for status, phrase in known.items() if status not in RENAMED
    }
