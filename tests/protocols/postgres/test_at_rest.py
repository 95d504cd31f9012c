"""Bytes that are remembered for sessions that stand alike: nobody can tell, but by the time it takes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.engine import Responder
from svcmock.journal import Journal
from svcmock.net.memo import Memo
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from svcmock.project import load
from svcmock.yamlout import emit
from svcmock_protocols.postgres import plugin
from svcmock_protocols.postgres.session import PostgresSession
from svcmock_protocols.postgres.shared import State
from svcmock_protocols.postgres.standing import Standing
from svcmock_protocols.postgres.types import BUILT_IN, Types
from svcmock_protocols.postgres.types.declared import Declared
from tests.net.wire import Wire
from tests.protocols.postgres.wire import ANYBODY

ROUTES: list[Any] = [
    {
        "request": {"sql": "SELECT name FROM users WHERE id = $1", "params": [number], "types": ["int4"]},
        "respond": {"columns": [{"name": "name", "type": "text"}], "rows": [[f"user {number}"]]},
    }
    for number in ("1", "2")
]
ROUTES += [
    {
        "request": {"sql": "SELECT 1 AS one"},
        "respond": {"columns": [{"name": "one", "type": "int4"}], "rows": [["1"]]},
    },
    {"request": {"sql": "INSERT INTO t VALUES (1)"}, "respond": {"tag": "INSERT 0 1"}},
    {"request": {"call": "lo_open", "params": [7, 262144]}, "respond": {"result": "0"}},
    {
        "request": {"call": "loread", "descriptor": {"object": 7, "mode": 262144}, "params": [2]},
        "respond": {"result": "\\x6869"},
    },
    {"request": {"sql": "SELECT 1/0"}, "respond": {"error": {"code": "22012", "message": "division by zero"}}},
]


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def parse(name: bytes, sql: bytes) -> bytes:
    return frame(b"P", name + b"\0" + sql + b"\0\0\0")


def run(name: bytes, value: bytes | None = None, *, binary: bool = False) -> bytes:
    """Bind, Describe, Execute and Sync."""
    params = b"\0\0" if value is None else b"\0\1" + len(value).to_bytes(4) + value
    formats = b"\0\1\0\1" if binary else b"\0\0"
    bound = frame(b"B", b"\0" + name + b"\0\0\0" + params + formats)
    return bound + frame(b"D", b"P\0") + frame(b"E", b"\0\0\0\0\0") + frame(b"S")


def query(sql: bytes) -> bytes:
    return frame(b"Q", sql + b"\0")


def call(oid: int, *values: int) -> bytes:
    """Of a function, all in binary."""
    shown = b"".join(b"\0\0\0\4" + value.to_bytes(4) for value in values)
    return frame(b"F", oid.to_bytes(4) + b"\0\1\0\1" + len(values).to_bytes(2) + shown + b"\0\1")


BY_ID = b"SELECT name FROM users WHERE id = $1"
DATA = st.sampled_from(
    [
        parse(b"a", BY_ID) + frame(b"S"),
        parse(b"a", b"SELECT 1 AS one") + frame(b"S"),
        frame(b"C", b"Sa\0") + frame(b"S"),
        *(run(b"a", value, binary=binary) for value in (b"1", b"2", b"3") for binary in (False, True)),
        run(b"a"),
        parse(b"", BY_ID) + run(b"", b"1"),
        parse(b"", b"SELECT 1 AS one") + run(b""),
        run(b"", b"2"),
        frame(b"D", b"Sa\0") + frame(b"S"),
        *(query(sql) for sql in (b"SELECT 1 AS one", b"SELECT 1/0", b"INSERT INTO t VALUES (1)", b"BEGIN")),
        *(query(sql) for sql in (b"COMMIT", b"ROLLBACK", b"SET TimeZone = 'UTC'", b"SET TimeZone = 'CET'")),
        *(
            query(sql)
            for sql in (b"SHOW TimeZone", b"RESET ALL", b"DISCARD ALL", b"LISTEN c", b"NOTIFY c, 'x'")
        ),
        call(952, 7, 262144),
        call(954, 0, 2),
        run(b"a", b"1")[:-3],
        run(b"a", b"1")[-3:],
        frame(b"S"),
    ]
)
STEPS = st.lists(
    st.tuples(st.integers(0, 2), DATA) | st.sampled_from(["new", "reload"]), min_size=4, max_size=30
)


class Forgetful(Memo):
    """A memory that takes nothing: what a daemon without one would do."""

    def wants(self, rest: object, data: object) -> bool:
        return False


def served(root: Path) -> Responder:
    (root / "routes").mkdir(parents=True)
    (root / "svcmock.yaml").write_text(
        "version: 1\nservices:\n  db: {listen: 0, protocol: postgres, routes: routes/}\n"
    )
    (root / "routes/a.yaml").write_text("".join(f"---\n{emit(doc)}" for doc in ROUTES))
    loaded = load(root, {"postgres": plugin})
    assert not loaded.errors, [str(problem) for problem in loaded.problems]
    return loaded.responders["db"]


def started() -> bytes:
    words = b"user\0ann\0database\0shop\0\0"
    return (len(words) + 8).to_bytes(4) + (3 << 16).to_bytes(4) + words


async def play(responder: Responder, root: Path, steps: list[Any], memory: type[Memo]) -> Any:
    """What each connection was sent, and what the journal has."""
    responder.turns.taken.clear()  # type: ignore[attr-defined]
    journal = Journal()
    serving = Serving(responder, journal, lambda: Spools(root / "spool"))
    serving.memo = memory(responder.likeness())
    said: list[bytes] = []

    async def new() -> Wire:
        wire = Wire(serving)
        await wire.send(started())
        return wire

    wires = [await new() for _ in range(3)]
    for step in steps:
        if step == "new":
            said.append(wires[0].written)
            wires.pop(0).end()
            wires.append(await new())
        elif step == "reload":
            serving.replace(responder)
            if memory is Forgetful:
                serving.memo = Forgetful()
                for wire in wires:
                    wire.connection.remember(serving.memo)
        else:
            await wires[step[0]].send(step[1])
    for wire in wires:
        said.append(wire.written)
        wire.end()
    return (
        said,
        [(e.request, e.outcome, e.size) for e in journal.since(0, 10_000)],
        journal.hits,
        journal.misses,
    )


@pytest.fixture(scope="module")
def responder(tmp_path_factory: pytest.TempPathFactory) -> Responder:
    return served(tmp_path_factory.mktemp("db"))


@settings(max_examples=60)
@given(STEPS)
def test_nobody_can_tell(
    responder: Responder, tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    root = tmp_path_factory.getbasetemp()
    with_memory = asyncio.run(play(responder, root, steps, Memo))
    assert with_memory == asyncio.run(play(responder, root, steps, Forgetful))


def test_the_same_statement_with_the_same_value_is_one_look_up(responder: Responder, tmp_path: Path) -> None:
    async def work() -> tuple[int, bytes, bytes]:
        serving = Serving(responder, Journal(), lambda: Spools(tmp_path / "spool"))
        wires = [Wire(serving) for _ in range(2)]
        for wire in wires:
            await wire.send(started())
            await wire.send(parse(b"a", BY_ID) + frame(b"S"))
        before = [len(wire.written) for wire in wires]
        for _ in range(5):
            for wire in wires:
                await wire.send(run(b"a", b"1"))
        known = len(serving.memo)
        told = [wire.written[at:] for wire, at in zip(wires, before, strict=True)]
        for wire in wires:
            wire.end()
        return known, told[0], told[1]

    known, one, two = asyncio.run(work())
    assert known == 1
    assert one == two
    assert one.count(b"user 1") == 5


def test_sessions_that_know_other_types_do_not_stand_alike():
    state = State()
    known = Types([Declared(16400, "mood", "enum")])
    sessions = [
        PostgresSession(ANYBODY, Standing({}), (number, b"abcd"), state, types)
        for number, types in enumerate((BUILT_IN, BUILT_IN, known))
    ]
    first, second, other = [one.at_rest for one in sessions]
    assert first == second != other
