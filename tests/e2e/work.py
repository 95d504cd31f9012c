"""What clients of the store do in the tests."""

from google.protobuf.message import Message

from tests.e2e.calls import Call
from tests.e2e.store import Item, ItemRef, Line, Watching

GAP_MS = 60
"""Milliseconds between two items of the slow stream."""
SLOW = 4
"""Items of it."""


def get(name: str, *metadata: tuple[str, str | bytes]) -> Call:
    return Call("Get", (ItemRef(id=name),), metadata)


def watch(name: str, count: int, **more: int) -> Call:
    return Call("Watch", (Watching(id=name, count=count, **more),))


def add(*items: Message) -> Call:
    return Call("Sum", items)


def talk(*texts: str, turns: tuple[int, ...] = ()) -> Call:
    return Call("Talk", tuple(Line(text=text) for text in texts), turns=turns)


UNARY = {
    "item": get("tea"),
    "nested item": get("part"),
    "every byte": get("picture"),
    "no field at all": get("empty"),
    "large item": get("large"),
    "by tenant a": get("tenant", ("x-tenant", "a")),
    "by tenant b": get("tenant", ("x-tenant", "b")),
    "binary metadata": get("tea", ("x-key-bin", b"\x00\xff\x80")),
    "a credential": get("tea", ("authorization", "Bearer s3cr3t-k3y")),
    "status with details": get("nothing"),
    "status without message": get("quiet"),
    "status with a message": get("broken"),
}
SERVER_STREAMS = {
    "stream": watch("tea", 5),
    "slow stream": watch("slow", SLOW, gap=GAP_MS),
    "long stream": watch("tea", 200),
    "empty stream": watch("tea", 0),
    "stream that fails": watch("tea", 5, fail_after=2),
}
CLIENT_STREAMS = {
    "sum": add(*(Item(id=f"i{n}", stock=n << 40, price=n / 4) for n in range(5))),
    "sum of one": add(Item(id="one", stock=1)),
    "sum of nothing": add(),
    "sum that fails": add(Item(id="a", stock=1), Item(id="b", stock=-1)),
    "large sum": add(*(Item(id=str(n), picture=bytes(range(256)) * 2500) for n in range(3))),
}
TALKS = {
    "talk": talk("one", "two", "three", turns=(1, 1, 1)),
    "talk that is answered twice": talk("twice", "once", turns=(1, 2)),
    "talk that is stopped": talk("one", "stop", turns=(1, 1)),
    "talk that begins like another": talk("one", "four", turns=(1, 1)),
}
WORK = {**UNARY, **SERVER_STREAMS, **CLIENT_STREAMS, **TALKS}
SILENCE = talk()
"""The client says nothing, and the store says hello and bye."""
SECRET = b"s3cr3t-k3y"
