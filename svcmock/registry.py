"""Which protocols there are.

Decides how a protocol module is found: by the entry-point group `svcmock.protocols`, whoever ships it. One
that cannot be imported or does not keep the contract is reported with the distribution to blame, and the
others still load. Knows the contract and nothing else of svcmock.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from msgspec import Struct

from svcmock.protocol import Plugin

GROUP = "svcmock.protocols"

_OWN = "svcmock"
_MEMBERS = tuple(sorted(name for name in {*Plugin.__annotations__, *vars(Plugin)} if not name.startswith("_")))


class Found(Struct, frozen=True):
    """The plugins by name and by alias, and what kept others from loading, one line each."""

    plugins: dict[str, Plugin]
    problems: tuple[str, ...]


def plugins() -> dict[str, Plugin]:
    """The protocols that can be used, by name and by alias."""
    return discover().plugins


def discover(candidates: Iterable[EntryPoint] | None = None) -> Found:
    """Load every installed protocol. Where two claim a name, svcmock's own keeps it, then the first by name."""
    found: dict[str, Plugin] = {}
    owners: dict[str, str] = {}
    problems: list[str] = []
    for entry in sorted(entry_points(group=GROUP) if candidates is None else candidates, key=_order):
        plugin = _load(entry, problems)
        if plugin is None:
            continue
        for name in dict.fromkeys((plugin.name, *plugin.aliases)):
            if name in found:
                problems.append(f"{_who(entry)}: the name `{name}` is taken by {owners[name]}")
            else:
                found[name] = plugin
                owners[name] = _who(entry)
    return Found(found, tuple(problems))


def _load(entry: EntryPoint, problems: list[str]) -> Plugin | None:
    try:
        plugin = entry.load()
    except Exception as error:  # noqa: BLE001  a third party's module may fail in any way
        problems.append(f"{_who(entry)}: cannot be loaded: {type(error).__name__}: {error}")
        return None
    missing = [name for name in _MEMBERS if not hasattr(plugin, name)]
    if missing:
        problems.append(f"{_who(entry)}: is not a protocol: it lacks {', '.join(missing)}")
        return None
    if not isinstance(plugin.name, str) or not isinstance(plugin.aliases, tuple):
        problems.append(f"{_who(entry)}: is not a protocol: `name` must be a string and `aliases` a tuple")
        return None
    loaded: Plugin = plugin
    return loaded


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unknown distribution"


def _who(entry: EntryPoint) -> str:
    return f"protocol `{entry.name}` of {_distribution(entry)} ({entry.value})"


def _order(entry: EntryPoint) -> tuple[bool, str, str]:
    return _distribution(entry) != _OWN, _distribution(entry), entry.name
