"""Protocols are found by entry point. The distributions here are real, written into a folder on sys.path."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions, entry_points
from pathlib import Path

import pytest

from svcmock.registry import GROUP, Found, discover, installed

WHOLE = """
from msgspec import Struct
class Doc(Struct): pass
class Plugin:
    name = {name!r}
    aliases = {aliases!r}
    schemes, tls_schemes, alpn, server_first, noise = {{}}, frozenset(), (), False, ()
    template_field, template_separator, faults = "key", ":", {{}}
    Options = RequestDoc = ReplyDoc = Doc
    def __getattr__(self, member):
        if member.startswith("_"):
            raise AttributeError(member)
        return lambda *_: None
plugin = Plugin()
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one protocol into a folder of this test's own."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def write(distribution: str, module: str, source: str, entry: str = "") -> None:
        (tmp_path / f"{module}.py").write_text(source)
        folder = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{entry or module} = {module}:plugin\n")

    return write


def found(folder: Path) -> Found:
    """What is discovered among the distributions of one folder."""
    entries = [
        entry
        for distribution in distributions(path=[str(folder)])
        for entry in distribution.entry_points
        if entry.group == GROUP
    ]
    return discover(entries)


def test_a_plugin_is_known_by_its_name_and_aliases(install: Install, tmp_path: Path) -> None:
    install("svcmock-kafka", "reg_kafka", WHOLE.format(name="kafka", aliases=("kafka2",)))
    result = found(tmp_path)
    assert result.problems == ()
    assert set(result.plugins) == {"kafka", "kafka2"}
    assert result.plugins["kafka"] is result.plugins["kafka2"]


def test_installed_protocols_are_seen_without_being_told(install: Install) -> None:
    install("svcmock-kafka", "reg_seen", WHOLE.format(name="kafka", aliases=()))
    install("svcmock-broken", "reg_not", "raise ImportError('no more')\n")
    told: list[str] = []
    assert "kafka" in installed(told.append)
    assert [problem.endswith("ImportError: no more") for problem in told] == [True]


LAZY = """
import sys
from svcmock.registry import installed
protocols = installed(print)
def loaded():
    return sorted({name.split(".")[1] for name in sys.modules if name.startswith("svcmock_protocols.")})
print(loaded())
assert protocols["redis"].name == "redis"
print(loaded())
assert protocols["pg"] is protocols["postgres"] and protocols.get("no such thing") is None
assert set(protocols) > {"http", "tcp", "redis", "postgres", "pg"} and len(protocols) == len(set(protocols))
"""


def test_svcmocks_own_protocols_are_imported_when_they_are_asked_for() -> None:
    ran = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[]", "['redis']"]


def test_one_of_our_own_that_cannot_be_imported_is_told_of_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a library that it needs is broken: the others go on."""
    monkeypatch.setattr(sys, "modules", {**sys.modules, "svcmock_protocols.redis": None})
    told: list[str] = []
    protocols = installed(told.append)
    assert protocols["tcp"].name == "tcp"
    assert told == []
    assert protocols.get("redis") is protocols.get("redis") is None
    assert len(told) == 1
    assert told[0].startswith(
        "protocol `redis` of svcmock (svcmock_protocols.redis:plugin): cannot be loaded: "
    )
    assert "redis" not in list(protocols)


def test_what_cannot_be_imported_is_blamed_and_the_others_load(install: Install, tmp_path: Path) -> None:
    install("good", "reg_good", WHOLE.format(name="good", aliases=()))
    install("broken", "reg_broken", "raise ImportError('no more')\n")
    install("empty", "reg_empty", "def __getattr__(name): raise AttributeError(name)\n")
    install("rude", "reg_rude", "raise RuntimeError('not today')\n")
    result = found(tmp_path)
    assert set(result.plugins) == {"good"}
    assert result.problems == (
        "protocol `reg_broken` of broken (reg_broken:plugin): cannot be loaded: ImportError: no more",
        "protocol `reg_empty` of empty (reg_empty:plugin): cannot be loaded: AttributeError: plugin",
        "protocol `reg_rude` of rude (reg_rude:plugin): cannot be loaded: RuntimeError: not today",
    )


def test_missing_members_of_the_contract_are_named(install: Install, tmp_path: Path) -> None:
    source = (
        WHOLE.format(name="half", aliases=())
        + "del Plugin.schemes\nPlugin.__getattr__ = lambda s, n: s.absent\n"
    )
    source = source.replace(
        "lambda s, n: s.absent", "lambda s, n: 1 if n not in ('schemes', 'tap') else {}.absent"
    )
    install("half", "reg_half", source)
    result = found(tmp_path)
    assert result.plugins == {}
    assert result.problems == (
        "protocol `reg_half` of half (reg_half:plugin): is not a protocol: it lacks schemes, tap",
    )


def test_a_name_that_is_no_text_is_refused(install: Install, tmp_path: Path) -> None:
    install("odd", "reg_odd", WHOLE.format(name=7, aliases=()))
    assert "must be a string" in found(tmp_path).problems[0]


def test_a_name_claimed_twice_stays_with_the_first_and_svcmock_is_first(
    install: Install, tmp_path: Path
) -> None:
    install("another", "reg_another", WHOLE.format(name="http", aliases=("web",)))
    install("svcmock", "reg_own", WHOLE.format(name="http", aliases=()))
    result = found(tmp_path)
    owner = "protocol `reg_own` of svcmock (reg_own:plugin)"
    assert type(result.plugins["http"]).__module__ == "reg_own"
    assert type(result.plugins["web"]).__module__ == "reg_another"
    assert result.problems == (
        "protocol `reg_another` of another (reg_another:plugin): the name `http` is taken by " + owner,
    )


def test_svcmocks_own_protocols_keep_the_contract() -> None:
    own = [
        entry for entry in entry_points(group=GROUP) if entry.dist is not None and entry.dist.name == "svcmock"
    ]
    result = discover(own)
    assert result.problems == ()
    assert "http" in result.plugins
