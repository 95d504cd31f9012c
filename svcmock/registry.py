"""Which protocols there are.

Decides how a protocol module is found: by the entry-point group `svcmock.protocols`, whoever ships it. One
that cannot be imported or does not keep the contract is reported with the distribution to blame, and the
others still load. svcmock's own are imported when they are first asked for by name: a command starts sooner
for each that its project does not speak. Knows the contract and nothing else of svcmock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
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


def installed(tell: Callable[[str], None] | None = None) -> Mapping[str, Plugin]:
    """The protocols that can be used, by name and by alias.

    `tell` hears what keeps one from loading, a line each: at once, or when it is first asked for.
    """
    tell = tell or (lambda _: None)
    entries = sorted(entry_points(group=GROUP), key=_order)
    if all(_distribution(entry) == _OWN for entry in entries):
        return _Own({entry.name: entry for entry in entries}, tell)
    # what names the others take, and whose they are, is known when all are loaded
    found = discover(entries)
    for problem in found.problems:
        tell(problem)
    return found.plugins


class _Own(Mapping[str, Plugin]):
    """svcmock's own protocols. Entry points are called as their protocols are; an alias needs all of them."""

    def __init__(self, entries: dict[str, EntryPoint], tell: Callable[[str], None]) -> None:
        self._left = entries
        self._tell = tell
        self._loaded: dict[str, Plugin] = {}

    def __getitem__(self, name: str) -> Plugin:
        if name in self._left:
            self._load(name)
        elif name not in self._loaded:
            self._load(*self._left)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        self._load(*self._left)
        return iter(self._loaded)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _load(self, *names: str) -> None:
        found = discover([self._left.pop(name) for name in names])
        self._loaded.update(found.plugins)
        for problem in found.problems:
            self._tell(problem)


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
