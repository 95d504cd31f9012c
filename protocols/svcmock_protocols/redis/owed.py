"""What a session may have to answer yet: one thing at a time, as commands are answered in order."""

from typing import Any, TypeAlias

from msgspec import Struct

from svcmock_protocols.redis.messages import Args, Request, Value


class Planned(Struct):
    """The model's `plan` to answer a request: a `modelled.Plan`. `paused`: it waits for what others write."""

    request: Request
    plan: Any
    paused: bool = False


class Waiting(Struct, frozen=True):
    """A command that waits until its time is up, and the value that says so."""

    args: Args
    value: Value


class Telling(Struct):
    """A PUBLISH that nobody recorded: how many tellings are not reported yet, and how many were told."""

    left: int
    told: int = 0


Owed: TypeAlias = Request | Planned | Waiting | Telling | None
"""A request: what was asked for."""


def comes_soon(owed: Owed) -> bool:
    """Whether an answer is owed that does not wait for others: for that, nobody may wait at an end."""
    return owed is not None and not (isinstance(owed, Waiting) or (isinstance(owed, Planned) and owed.paused))
