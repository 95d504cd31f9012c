"""The default noise: what it covers, what decides all the same, and that the README says so."""

from pathlib import Path

import pytest

import svcmock_protocols.http
from svcmock.noise import Noise
from svcmock_protocols.http.noise import GROUPS, NOISE, SIGNED_URLS


@pytest.mark.parametrize(
    "name",
    ["host", "content-encoding", "x-forwarded-for", "traceparent", "sec-fetch-mode", "x-b3-traceid", "date"],
)
def test_noise(name):
    assert Noise(NOISE).covers("headers", name)


@pytest.mark.parametrize(
    "name",
    ["accept", "authorization", "content-type", "cookie", "if-none-match", "origin", "range", "x-api-key"],
)
def test_what_decides(name):
    assert not Noise(NOISE).covers("headers", name)


def test_only_headers_and_the_signatures_of_urls_are_noise_by_default():
    roots = {path.partition(".")[0] for path in NOISE if path.partition(".")[2] not in SIGNED_URLS}
    assert roots == {"headers"}
    assert len(set(NOISE)) == len(NOISE)
    assert all(path == path.lower() for path in NOISE if path.startswith("headers."))


def test_the_readme_has_the_whole_table():
    readme = (Path(svcmock_protocols.http.__file__).parent / "README.md").read_text()
    for reason, names in GROUPS.items():
        assert reason in readme
        assert [name for name in names if f"`{name}`" not in readme] == []
    assert [name for name in SIGNED_URLS if f"`{name}`" not in readme] == []


def test_long_names_from_the_network_are_decided_alike():
    noise = Noise(["json.*.x", "*.y", "json.z"])
    for name in ("short", "n" * 10_000):
        assert noise.covers("json", name, "x")
        assert noise.covers(name, "y")
        assert not noise.covers("json", name)
    assert noise.covers("json", "z", "n" * 10_000)
