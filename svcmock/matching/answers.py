"""What the index holds of a route, and what it makes of several with one demand.

Routes that demand the same are a `Group`, whose policy says which of them answers. Exact routes with one key
and other conditions are `Shapes`, told apart by the values of these.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from svcmock.matching.predicates import Matcher
from svcmock.model import Policy

STANDING: Final = frozenset({-1, 0})
"""The `part` of what stands for its whole route: all of it, or the first of several parts."""


class Answer:
    """One route as the index holds it. `doc` is its RouteDoc as MessagePack, decoded when first needed."""

    __slots__ = (
        *("decision", "doc", "file", "line", "matcher", "names"),
        *("order", "part", "policy", "said", "values"),
    )

    def __init__(
        self,
        file: str,
        line: int,
        doc: bytes,
        names: tuple[str, ...] = (),
        values: tuple[bytes, ...] = (),
    ) -> None:
        self.file = file
        self.line = line
        self.doc = doc
        self.names = names
        self.values = values
        self.order = 0
        """Its place among the routes of the service."""
        self.part = -1
        """Which part of a conversation it answers; -1: the route is none; below that: see `svcmock.compile`."""
        self.matcher: Matcher | None = None
        self.policy: Policy | None = None
        """Its own, where it says one."""
        self.said = b""
        """Equal for those that answer the same, whatever the request; empty where that is not known."""
        self.decision: Any = None
        """What the engine made of it; kept here so that a second hit finds it without a look-up."""

    @property
    def source(self) -> str:
        """Where the route stands: `file:line`."""
        return f"{self.file}:{self.line}"


class Group:
    """Several answers to one demand, in file order, and the policy that picks among them."""

    __slots__ = ("alike", "answers", "identity", "policy")

    def __init__(self, answers: list[Answer], policy: Policy, key: bytes, service: str = "") -> None:
        self.answers = answers
        self.policy = policy
        said = answers[0].said
        self.alike = policy != "once" and bool(said) and all(answer.said == said for answer in answers)
        """Whether all answers say the same, so that turns make no difference."""
        digest = blake2b(key, digest_size=16, key=service.encode(), person=policy.encode())
        for answer in answers:
            digest.update(answer.doc)
        self.identity = digest.digest()
        """Equal for equal answers of one service to the same demand, by the same policy.

        So a reload keeps the turn of what it did not change, and all processes that serve count the same.
        """


Found: TypeAlias = Answer | Group


class Shapes:
    """Answers with one exact key and different conditions: by the names they ask for, most first."""

    __slots__ = ("by_names",)

    def __init__(self) -> None:
        self.by_names: list[tuple[tuple[str, ...], dict[tuple[bytes, ...], Found]]] = []

    def found(self) -> Iterator[Found]:
        """Every answer, one per demand."""
        return (found for _, by_values in self.by_names for found in by_values.values())


Slot: TypeAlias = Answer | Shapes | Group
"""What stands at an exact key."""
