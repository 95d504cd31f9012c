"""Which answer a request gets, at a cost that does not grow with the number of routes.

Exact routes (those without `match:`) are looked up by the protocol's canonical key, then by the values of
the conditions the route holds (HTTP: the headers it lists). Routes with predicates stand in a trie of path
patterns and, below it, in a tree that splits on the equalities they demand, so that only routes that agree
on those are evaluated.

Order: an exact route before one with predicates; among exact ones more conditions first; among predicates
by specificity; then by file order. Routes that demand the same thing are one `Group`, answered by policy.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

from svcmock.matching.predicates import Matcher, evaluate
from svcmock.model import Policy
from svcmock.noise import Noise
from svcmock.protocol import Context, Doc, Plugin, Request

SPLIT_ABOVE = 4
"""A set of predicate routes larger than this is split on an equality where one tells them apart."""
SPLIT_SHARE = 8
"""An equality must be demanded by at least one in so many routes to be split on: the tree stays shallow."""


class Answer:
    """One route as the index holds it. `doc` is its RouteDoc as MessagePack, decoded when first needed."""

    __slots__ = ("decision", "doc", "file", "line", "matcher", "names", "values")

    def __init__(
        self, file: str, line: int, doc: bytes, names: tuple[str, ...] = (), values: tuple[bytes, ...] = ()
    ) -> None:
        self.file = file
        self.line = line
        self.doc = doc
        self.names = names
        self.values = values
        self.matcher: Matcher | None = None
        self.decision: Any = None
        """What the engine made of it; kept here so that a second hit finds it without a look-up."""


class Group:
    """Several answers to one demand, in file order, and the policy that picks among them."""

    __slots__ = ("answers", "identity", "policy")

    def __init__(self, answers: list[Answer], policy: Policy, key: bytes) -> None:
        self.answers = answers
        self.policy = policy
        digest = blake2b(key, digest_size=16)
        for answer in answers:
            digest.update(answer.doc)
        self.identity = digest.digest()
        """Equal for equal answers to the same demand: a reload keeps the turn of what it did not change."""


Found: TypeAlias = Answer | Group


class Shapes:
    """Answers with one exact key and different conditions: by the names they ask for, most first."""

    __slots__ = ("by_names",)

    def __init__(self) -> None:
        self.by_names: list[tuple[tuple[str, ...], dict[tuple[bytes, ...], Found]]] = []


Exact: TypeAlias = dict[bytes, "Answer | Shapes | Group"]


class Index:
    """All routes of one service, compiled. Filled by `build`, read only from then on."""

    def __init__(self, plugin: Plugin, context: Context) -> None:
        self.plugin = plugin
        self.context = context
        self.exact: Exact = {}
        self.ignoring: dict[bytes, list[tuple[Context, Exact]]] = {}
        """By address: routes with noise of their own, whose keys are computed without it."""
        self.predicates = Predicates(plugin.template_field, plugin.template_separator)
        self.keys: list[bytes] = []
        """Every exact key, sorted: an address's routes and its neighbours stand side by side."""
        self.size = 0

    def find(self, request: Request) -> Found | None:
        """The answer, or answers in turn, for `request`; None is a miss."""
        plugin, context = self.plugin, self.context
        slot = self.exact.get(plugin.key(request, context))
        if slot is not None:
            found = _select(slot, request, plugin, context)
            if found is not None:
                return found
        if self.ignoring:
            for own, exact in self.ignoring.get(plugin.address(request), ()):
                slot = exact.get(plugin.key(request, own))
                found = _select(slot, request, plugin, own) if slot is not None else None
                if found is not None:
                    return found
        if self.predicates.size:
            return self.predicates.find(plugin.fields(request, context))
        return None

    def near_keys(self, address: bytes, most: int) -> Iterator[bytes]:
        """Exact keys of `address`, then of its neighbours in sorted order, at most `most`."""
        keys = self.keys
        at = bisect_left(keys, address + b"\0")
        end = at
        while end < len(keys) and end - at < most and keys[end].startswith(address + b"\0"):
            end += 1
        yield from keys[at:end]
        left, right, spent = at - 1, end, end - at
        while spent < most and (left >= 0 or right < len(keys)):
            if left >= 0:
                yield keys[left]
                left, spent = left - 1, spent + 1
            if right < len(keys):
                yield keys[right]
                right, spent = right + 1, spent + 1


def _select(
    slot: "Answer | Shapes | Group", request: Request, plugin: Plugin, context: Context
) -> Found | None:
    if slot.__class__ is Answer:
        if not slot.names or plugin.present(request, slot.names, context) == slot.values:
            return slot
        return None
    if slot.__class__ is Group:
        return slot
    assert isinstance(slot, Shapes)
    for names, by_values in slot.by_names:
        values = plugin.present(request, names, context) if names else ()
        found = by_values.get(values)  # type: ignore[arg-type]  # a None among the values matches no key
        if found is not None:
            return found
    return None


class Builder:
    """Collects compiled routes in file order and makes an `Index` of them."""

    def __init__(self, plugin: Plugin, context: Context, policy: Policy) -> None:
        self._index = Index(plugin, context)
        self._policy = policy
        self._plain: dict[bytes, Answer | list[Answer]] = {}
        self._noisy: dict[bytes, dict[Noise, dict[bytes, Answer | list[Answer]]]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._contexts: dict[Noise, Context] = {}
        self._policies: dict[int, Policy] = {}
        self._matched: dict[bytes, list[Answer]] = {}
        self._templates: list[Answer] = []

    def add_exact(
        self, key: bytes, answer: Answer, policy: Policy | None = None, own: Context | None = None
    ) -> None:
        """A route decided by its exact key; `own` is its context when it declares noise of its own."""
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
        self._note(answer, policy)

    def add_matched(self, identity: bytes, answer: Answer, policy: Policy | None = None) -> None:
        """A route decided by predicates; `identity` is equal for routes that demand the same."""
        self._matched.setdefault(identity, []).append(answer)
        self._note(answer, policy)

    def _note(self, answer: Answer, policy: Policy | None) -> None:
        self._index.size += 1
        if policy is not None:
            self._policies[id(answer)] = policy

    def build(self) -> Index:
        index = self._index
        index.exact = self._settle(self._plain)
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
            groups.append((matcher, self._group(answers, identity), order))
        index.predicates.fill(groups)
        return index

    def _settle(self, table: dict[bytes, Answer | list[Answer]]) -> Exact:
        exact: Exact = {}
        for key, value in table.items():
            exact[key] = self._slot(key, value) if isinstance(value, list) else value
            if not isinstance(value, list) and id(value) in self._policies and not value.names:
                exact[key] = self._group([value], key)
        return exact

    def _slot(self, key: bytes, answers: list[Answer]) -> Answer | Shapes | Group:
        by_names: dict[tuple[str, ...], dict[tuple[bytes, ...], list[Answer]]] = {}
        for answer in answers:
            by_names.setdefault(answer.names, {}).setdefault(answer.values, []).append(answer)
        shapes = Shapes()
        for names, by_values in sorted(by_names.items(), key=lambda item: -len(item[0])):
            groups = {
                values: self._group(same, key + repr((names, values)).encode())
                for values, same in by_values.items()
            }
            shapes.by_names.append((names, groups))
        return shapes

    def _group(self, answers: list[Answer], key: bytes) -> Found:
        policy = next((self._policies[id(a)] for a in answers if id(a) in self._policies), self._policy)
        if len(answers) == 1 and policy != "once":
            return answers[0]
        return Group(answers, policy, key)


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


Node: TypeAlias = "Split | list[Ranked]"


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
            steps = following[:MAX_STEPS]
            if not steps:
                return
        for step in steps:
            yield step.ends


MAX_STEPS = 1024
"""Trie positions followed at once for one path; reached only by patterns made to overlap everywhere."""


def _split(routes: list[Ranked]) -> Node:
    if len(routes) <= SPLIT_ABOVE:
        return routes
    uses: Counter[tuple[str, ...]] = Counter()
    kinds: dict[tuple[str, ...], set[Hashable]] = defaultdict(set)
    for _, matcher, _found in routes:
        for at, value in matcher.equalities:
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
        values = [equality_key(value) for at, value in ranked[1].equalities if at == best]
        (by_value[values[0]] if values else others).append(ranked)
    if len(by_value) <= 1 and not others:
        return routes
    return Split(best, {value: _split(some) for value, some in by_value.items()}, _split(others))


def _collect(node: Node, fields: Mapping[str, Doc], into: list[Ranked]) -> None:
    while isinstance(node, Split):
        for value in _values(fields, node.at):
            below = node.by_value.get(value)
            if below is not None:
                _collect(below, fields, into)
        node = node.others
    into.extend(node)


def _values(fields: Mapping[str, Doc], at: tuple[str, ...]) -> set[Hashable]:
    """What stands at a field path, as the values an equality may name; a list gives each of its scalars."""
    value: Doc = fields
    for part in at:
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            break
    found: set[Hashable] = set()
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, str | int | float | bool) or item is None:
            found.add(equality_key(item))
    return found


def equality_key(value: Doc) -> Hashable:
    """A scalar as equality sees it: numbers and text that read the same are the same, booleans apart."""
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
