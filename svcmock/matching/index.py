"""Which answer a request gets, at a cost that does not grow with the number of routes.

Exact routes (those without `match:`) are looked up by the protocol's canonical key, then by the values of
the conditions the route holds (HTTP: the headers it lists). Routes with predicates stand in a trie of path
patterns and, below it, in a tree that splits on the equalities they demand, so that only routes that agree
on those are evaluated.

Order: an exact route before one with predicates; among exact ones those without noise of their own first, then
more conditions first; among predicates by specificity; then by file order. Routes that demand the same thing
are one `Group`, answered by policy.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import islice
from typing import Any, TypeAlias

from svcmock.matching.answers import STANDING, Answer, Found, Group, Shapes, Slot
from svcmock.matching.operators import as_text
from svcmock.matching.predicates import DATA, MULTIVALUED, Matcher, evaluate, looked_at, lookup
from svcmock.matching.recall import Recall, Routes
from svcmock.model import Policy
from svcmock.noise import Noise
from svcmock.protocol import Context, Doc, Plugin, Request

SPLIT_ABOVE = 4
"""A set of predicate routes larger than this is split on an equality where one tells them apart."""
SPLIT_SHARE = 8
"""An equality must be demanded by at least one in so many routes to be split on: the tree stays shallow."""
MAX_SPLITS = 64
"""Levels of the tree of equalities; reached only by routes of which each demands something else."""
MAX_STEPS = 4096
"""Nodes that one search for near routes looks into."""


Exact: TypeAlias = dict[bytes, Slot]


class Index:
    """All routes of one service, compiled. Filled by `build`, read only from then on.

    So it may be taken over by a reload that changes nothing of it, with what was made of its answers.
    """

    def __init__(self, plugin: Plugin, context: Context) -> None:
        self.plugin = plugin
        self.context = context
        self.exact: Exact = {}
        self.ignoring: dict[bytes, list[tuple[Context, Exact]]] = {}
        """By address: routes with noise of their own, whose keys are computed without it."""
        self.predicates = Predicates(plugin.template_field, plugin.template_separator)
        self.stored: Recall[Answer, Slot] | None = None
        """Exact routes that are not in memory. What `exact` has of a key includes what is stored of it."""
        self.keys: list[bytes] = []
        """Every exact key in memory, sorted."""
        self.names: frozenset[str] = frozenset()
        """Every field that some route looks at: conditions, and what predicates name, two steps deep."""
        self.turns: set[bytes] = set()
        """The identity of every group in memory."""
        self.size = 0
        """Routes: a conversation is one, however many parts of it are answered for themselves."""

    def find(self, request: Request) -> Found | None:
        """The answer, or answers in turn, for `request`; None is a miss. Raises Damaged."""
        found = self.find_exact(request)
        if found is None and self.predicates.size:
            return self.predicates.find(self.plugin.fields(request, self.context))
        return found

    def find_exact(self, request: Request) -> Found | None:
        """The same among exact routes alone."""
        plugin, context = self.plugin, self.context
        key = plugin.key(request, context)
        slot = self.exact.get(key)
        if slot is None and self.stored is not None:
            slot = self.stored.find(key)
        if slot is not None:
            found = _select(slot, request, plugin, context)
            if found is not None:
                return found
        return self._find_ignoring(request) if self.ignoring else None

    def _find_ignoring(self, request: Request) -> Found | None:
        best: Found | None = None
        for own, exact in self.ignoring.get(self.plugin.address(request), ()):
            slot = exact.get(self.plugin.key(request, own))
            found = None if slot is None else _select(slot, request, self.plugin, own)
            if found is not None and (best is None or _rank(found) < _rank(best)):
                best = found
        return best

    def at(self, key: bytes) -> Iterator[tuple[Context, Slot]]:
        """What stands at an exact key: by the service's noise, then by that of routes that have their own."""
        slot = self.exact.get(key)
        if slot is None and self.stored is not None:
            slot = self.stored.find(key)
        if slot is not None:
            yield self.context, slot
        for context, exact in self.ignoring.get(key.partition(b"\0")[0], ()):
            if key in exact:
                yield context, exact[key]

    def groups(self) -> Iterator[Group]:
        """Every group, but for those of stored routes that have a policy and no others beside them."""
        yield from self.groups_in_memory()
        for key in self.stored.several() if self.stored is not None else ():
            if key not in self.exact:
                yield from _groups_of(slot for _, slot in islice(self.at(key), 1))

    def groups_in_memory(self) -> Iterator[Group]:
        yield from _groups_of(self.exact.values())
        for tables in self.ignoring.values():
            yield from (group for _, table in tables for group in _groups_of(table.values()))
        yield from (found for _, _, found in self.predicates.all if isinstance(found, Group))

    def sorted_keys(self) -> list[Sequence[bytes]]:
        """Every exact key, sorted within each of these: an address's routes and its neighbours side by side."""
        stored = self.stored.files if self.stored is not None else ()
        return [keys for keys in (self.keys, *(routes.keys for routes in stored)) if keys]


def _groups_of(slots: Iterable[Slot]) -> Iterator[Group]:
    for slot in slots:
        if isinstance(slot, Group):
            yield slot
        elif isinstance(slot, Shapes):
            yield from (found for found in slot.found() if isinstance(found, Group))


def _select(slot: Slot, request: Request, plugin: Plugin, context: Context) -> Found | None:
    if slot.__class__ is Answer:
        if not slot.names or plugin.present(request, slot.names, context) == slot.values:
            return slot
        return None
    if slot.__class__ is Group:
        return slot
    assert isinstance(slot, Shapes)
    best: Found | None = None
    for names, by_values in slot.by_names:
        if best is not None and len(names) < -_rank(best)[0]:
            break
        values = plugin.present(request, names, context) if names else ()
        found = by_values.get(values)  # type: ignore[arg-type]  # a None among the values matches no key
        if found is not None and (best is None or _rank(found) < _rank(best)):
            best = found
    return best


def _rank(found: Found) -> tuple[int, int]:
    """Which of several exact answers wins, the lowest: more conditions, then file order."""
    first = found.answers[0] if isinstance(found, Group) else found
    return -len(first.names), first.order


class Builder:
    """Collects compiled routes in file order and makes an `Index` of them."""

    def __init__(self, plugin: Plugin, context: Context, policy: Policy, service: str = "") -> None:
        self.index = Index(plugin, context)
        self._policy = policy
        self._service = service
        self._plain: dict[bytes, Answer | list[Answer]] = {}
        self._noisy: dict[bytes, dict[Noise, dict[bytes, Answer | list[Answer]]]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._contexts: dict[Noise, Context] = {}
        self._stored: list[Routes[Answer]] = []
        self._matched: dict[bytes, list[Answer]] = {}
        self._places = 0

    def add_exact(self, key: bytes, answer: Answer, own: Context | None = None) -> None:
        """A route decided by its exact key; `own` is its context when it declares noise of its own."""
        self.index.size += answer.part in STANDING
        answer.names = self._names.setdefault(answer.names, answer.names)
        table = self._plain
        if own is not None:
            address = key.partition(b"\0")[0]
            self._contexts[own.ignore] = own
            table = self._noisy.setdefault(address, {}).setdefault(own.ignore, {})
        known = table.get(key)
        if known is None:
            table[key] = answer
        elif isinstance(known, list):
            known.append(answer)
        else:
            table[key] = [known, answer]

    def add_matched(self, identity: bytes, answer: Answer) -> None:
        """A route decided by predicates; `identity` is equal for routes that demand the same."""
        self.index.size += 1
        self._matched.setdefault(identity, []).append(answer)

    def add_stored(self, routes: Routes[Answer], names: Iterable[tuple[str, ...]], size: int) -> None:
        """Exact routes that stay where they are, decided by the service's noise; `names`: their conditions."""
        self._stored.append(routes)
        self._names.update({one: one for one in names})
        self.index.size += size

    def take_places(self, places: int) -> int:
        """The first of so many places in the order of routes, and of the parts of conversations."""
        first = self._places
        self._places += places
        return first

    def build(self) -> Index:
        index = self.index
        settle = partial(_settled, self._policy, self._service)
        if self._stored:
            index.stored = Recall(self._stored, partial(_recalled, settle), _answers)
            for key, value in self._plain.items():
                here = value if isinstance(value, list) else [value]
                self._plain[key] = sorted([*here, *index.stored.read(key)], key=lambda answer: answer.order)
        index.exact = self._settle(self._plain)
        listed = {name for names in self._names for name in names}
        keys = list(index.exact)
        for address, by_noise in self._noisy.items():
            entries = [(self._contexts[noise], self._settle(table)) for noise, table in by_noise.items()]
            index.ignoring[address] = entries
            keys += [key for _, exact in entries for key in exact]
        index.keys = sorted(set(keys))
        groups = []
        for order, (identity, answers) in enumerate(self._matched.items()):
            matcher = answers[0].matcher
            assert matcher is not None
            groups.append((matcher, _group(answers, identity, self._policy, self._service), order))
            listed |= {".".join(at[:2]) for at in looked_at(matcher.checks)}
        index.names = frozenset(listed)
        index.predicates.fill(groups)
        index.turns = {group.identity for group in index.groups_in_memory()}
        return index

    def _settle(self, table: dict[bytes, Answer | list[Answer]]) -> Exact:
        exact: Exact = {}
        for key, value in table.items():
            if isinstance(value, list):
                exact[key] = _settled(self._policy, self._service, key, value)
            elif self._policy != "once" and value.policy is None:
                exact[key] = value
            else:
                exact[key] = _settled(self._policy, self._service, key, [value])
        return exact


def _settled(policy: Policy, service: str, key: bytes, answers: list[Answer]) -> Slot:
    """What answers a key: by the conditions that its routes have, then by turns of those that have the same."""
    by_names: dict[tuple[str, ...], dict[tuple[bytes, ...], list[Answer]]] = {}
    for answer in answers:
        by_names.setdefault(answer.names, {}).setdefault(answer.values, []).append(answer)
    if list(by_names) == [()]:
        return _group(answers, key, policy, service)
    if len(answers) == 1 and policy != "once" and answers[0].policy is None:
        return answers[0]
    shapes = Shapes()
    for names, by_values in sorted(by_names.items(), key=lambda item: -len(item[0])):
        groups = {
            values: _group(same, key + repr((names, values)).encode(), policy, service)
            for values, same in by_values.items()
        }
        shapes.by_names.append((names, groups))
    return shapes


def _recalled(settle: Callable[[bytes, list[Answer]], Slot], key: bytes, answers: list[Answer]) -> Slot:
    """The same of routes that are forgotten again: of many that answer the same, one is enough to remember."""
    slot = settle(key, answers)
    if isinstance(slot, Shapes):
        for _, by_values in slot.by_names:
            by_values.update({values: _first_alike(found) for values, found in by_values.items()})
        return slot
    return _first_alike(slot)


def _first_alike(found: Found) -> Found:
    return found.answers[0] if isinstance(found, Group) and found.alike else found


def _answers(slot: Slot) -> Iterator[Answer]:
    """The routes that a slot holds."""
    for found in slot.found() if isinstance(slot, Shapes) else (slot,):
        yield from (found,) if isinstance(found, Answer) else found.answers


def _group(answers: list[Answer], key: bytes, policy: Policy, service: str) -> Found:
    policy = next((answer.policy for answer in answers if answer.policy is not None), policy)
    if len(answers) == 1 and policy != "once":
        return answers[0]
    return Group(answers, policy, key, service)


# --- predicates ---------------------------------------------------------------------------------------

Ranked: TypeAlias = tuple[tuple[Any, ...], Matcher, Found]
"""(rank, matcher, answer); the lowest rank that matches answers."""


class Split:
    """Routes told apart by one equality: `by_value` those that demand it, `others` those that do not."""

    __slots__ = ("at", "by_value", "others")

    def __init__(self, at: tuple[str, ...], by_value: dict[Hashable, "Node"], others: "Node") -> None:
        self.at = at
        self.by_value = by_value
        self.others = others


Node: TypeAlias = Split | list[Ranked]


class Segments:
    """A step of the trie of path patterns: literal segments, a `{name}` segment, and what ends here."""

    __slots__ = ("any", "ends", "literal")

    def __init__(self) -> None:
        self.literal: dict[str, Segments] = {}
        self.any: Segments | None = None
        self.ends: list[Ranked] | Node = []


class Predicates:
    """The routes of a service that are decided by predicates."""

    def __init__(self, template_field: str, separator: str) -> None:
        self._field = template_field
        self._separator = separator
        self._trie = Segments()
        self._rest: Node = []
        self.all: list[Ranked] = []
        self.size = 0

    def fill(self, groups: list[tuple[Matcher, Found, int]]) -> None:
        rest: list[Ranked] = []
        ends: list[Segments] = []
        for matcher, found, order in groups:
            # specificity grows with how much is demanded; the rank is what sorts first
            ranked = ((*(-part for part in matcher.specificity), order), matcher, found)
            self.all.append(ranked)
            if matcher.template is None:
                rest.append(ranked)
                continue
            step = self._trie
            for part in matcher.template:
                if isinstance(part, str):
                    step = step.literal.setdefault(part, Segments())
                else:
                    step.any = step.any or Segments()
                    step = step.any
            assert isinstance(step.ends, list)
            if not step.ends:
                ends.append(step)
            step.ends.append(ranked)
        for step in ends:
            assert isinstance(step.ends, list)
            step.ends = _split(step.ends)
        self._rest = _split(rest)
        self.all.sort(key=lambda ranked: ranked[0])
        self.size = len(groups)

    def find(self, fields: Mapping[str, Doc]) -> Found | None:
        candidates: list[Ranked] = []
        for node in self._nodes(fields):
            _collect(node, fields, candidates)
        candidates.sort(key=lambda ranked: ranked[0])
        for _, matcher, found in candidates:
            if evaluate(matcher, fields) is not None:
                return found
        return None

    def near(self, fields: Mapping[str, Doc], most: int) -> Iterator[Ranked]:
        """At most `most` routes, those first that agree with the request on most of what the index looks at."""
        path = fields.get(self._field)
        segments = path.split(self._separator) if isinstance(path, str) else []
        heap: list[tuple[int, int, Segments | Node, int]] = [(0, 0, self._trie, 0), (0, 1, self._rest, 0)]
        count = 2
        for _ in range(MAX_STEPS):
            if not heap or most <= 0:
                return
            cost, _order, node, depth = heappop(heap)
            if isinstance(node, list):
                yield from node[:most]
                most -= len(node)
                continue
            for more, below, deeper in islice(_below(node, fields, segments, depth), 2 * most + 4):
                heappush(heap, (cost + more, count, below, deeper))
                count += 1

    def _nodes(self, fields: Mapping[str, Doc]) -> Iterator[Node]:
        yield self._rest
        path = fields.get(self._field)
        if not isinstance(path, str):
            return
        steps = [self._trie]
        for segment in path.split(self._separator):
            following = []
            for step in steps:
                if segment in step.literal:
                    following.append(step.literal[segment])
                if step.any is not None and segment:
                    following.append(step.any)
            steps = following
            if not steps:
                return
        for step in steps:
            yield step.ends


def _below(
    node: Segments | Split, fields: Mapping[str, Doc], segments: list[str], depth: int
) -> Iterator[tuple[int, "Segments | Node", int]]:
    """What stands below a node: by how much it differs from the request, the agreeing first."""
    if isinstance(node, Split):
        agreeing = _values(fields, node.at)
        yield from ((0, node.by_value[value], depth) for value in agreeing if value in node.by_value)
        yield 0, node.others, depth
        yield from ((1, below, depth) for value, below in node.by_value.items() if value not in agreeing)
        return
    here = segments[depth] if depth < len(segments) else None
    if here is not None and here in node.literal:
        yield 0, node.literal[here], depth + 1
    if node.any is not None:
        yield int(not here), node.any, depth + 1
    if node.ends:
        yield abs(len(segments) - depth), node.ends, depth
    yield from ((1, below, depth + 1) for name, below in node.literal.items() if name != here)


def _split(routes: list[Ranked], levels: int = MAX_SPLITS) -> Node:
    if len(routes) <= SPLIT_ABOVE or not levels:
        return routes
    uses: Counter[tuple[str, ...]] = Counter()
    kinds: dict[tuple[str, ...], set[Hashable]] = defaultdict(set)
    for _, matcher, _found in routes:
        for at, value in dict(matcher.equalities).items():
            uses[at] += 1
            kinds[at].add(equality_key(value))
    telling = [
        at
        for at in uses
        if uses[at] * SPLIT_SHARE >= len(routes) and (len(kinds[at]) > 1 or uses[at] < len(routes))
    ]
    if not telling:
        return routes
    best = max(telling, key=lambda at: (min(uses[at], len(kinds[at])), at))
    by_value: dict[Hashable, list[Ranked]] = defaultdict(list)
    others: list[Ranked] = []
    for ranked in routes:
        demanded = dict(ranked[1].equalities)
        if best in demanded:
            by_value[equality_key(demanded[best])].append(ranked)
        else:
            others.append(ranked)
    below = {value: _split(some, levels - 1) for value, some in by_value.items()}
    return Split(best, below, _split(others, levels - 1))


def _collect(node: Node, fields: Mapping[str, Doc], into: list[Ranked]) -> None:
    while isinstance(node, Split):
        for value in _values(fields, node.at):
            below = node.by_value.get(value)
            if below is not None:
                _collect(below, fields, into)
        node = node.others
    into.extend(node)


def _values(fields: Mapping[str, Doc], at: tuple[str, ...]) -> set[Hashable]:
    """What stands at a field path, as the values an equality may name; of several texts, each."""
    value = lookup(fields, at)
    many = isinstance(value, list) and len(at) == 2 and at[0] in MULTIVALUED
    return {
        equality_key(item if at[0] in DATA else as_text(item))
        for item in (value if many else (value,))
        if isinstance(item, str | int | float)
    }


def equality_key(value: Doc) -> Hashable:
    """A scalar as equality sees it: numbers and text that read the same are the same, booleans apart."""
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
