"""Routes of gRPC calls in a project: what a person writes is what answers."""

from pathlib import Path

from msgspec.structs import replace

import svcmock_protocols.http
from svcmock.project import load
from svcmock_protocols.http import plugin
from svcmock_protocols.http.grpc.framing import split
from svcmock_protocols.http.grpc.parts import chain, said_at, said_end
from tests.protocols.http.grpc.shop import PROTO, USUAL, body, call, encoded, kind
from tests.routes import PLUGINS, project

OPTIONS = "options: {proto: shop.proto}"


def responder(root, text):
    (root / "shop.proto").write_bytes(PROTO)
    loaded = load(project(root, service=OPTIONS, text=text), PLUGINS)
    assert [str(problem) for problem in loaded.problems] == []
    return loaded.responders["shop"]


def problems(root, text):
    (root / "shop.proto").write_bytes(PROTO)
    found = load(project(root, service=OPTIONS, text=text), PLUGINS).problems
    return [str(one).partition(": ")[0] for one in found]


def items(decision):
    return [kind("Item").FromString(one.data) for one in split(decision.reply.body)]


def test_exact_calls(tmp_path):
    made = responder(
        tmp_path,
        """
request: {grpc: shop.Catalog/GetItem, metadata: {x-tenant: a}, message: {id: 42}}
respond: {message: {id: 42, name: Tea}}
---
request: {grpc: shop.Catalog/GetItem, message: {id: 43}}
respond: {status: {code: NOT_FOUND, message: no item 43}}
""",
    )
    tenant = USUAL + b"x-tenant: a\r\n"
    found = made.decide(call(encoded("Id", id=42), block=tenant))
    assert items(found) == [kind("Item")(id=42, name="Tea")]
    assert found.outcome.reply == "OK"
    assert made.decide(call(encoded("Id", id=42))) is None
    assert made.decide(call(encoded("Id", id=43))).outcome.reply == "NOT_FOUND"
    other = call(encoded("Id", id=44))
    explained = made.explain(other, 1)
    assert explained.nearest[0].failed[0].at == "message.id"
    assert plugin.outcome(made.miss(other, 1, explained=True).reply) == "NOT_FOUND"
    assert plugin.outcome(made.miss(call(rpc="List"), 1, explained=True).reply) == "UNIMPLEMENTED"


def test_predicates_and_templates(tmp_path):
    made = responder(
        tmp_path,
        """
match: {rpc: GetItem, metadata: {X-Tenant: {prefix: t}}, message: {id: {gt: 10}, note: {string: note}}}
template: true
respond: {message: {id: "{{ request.message.id }}", name: "{{ note | upper }}"}}
---
match: {service: shop.Catalog, messages: [{id: 1}, {id: {int: second}}]}
respond: {message: {id: 3}}
---
match: {grpc: shop.Catalog/List, message: {json: {id: 7}}}
respond: {messages: [{message: {id: 1}}, {after: 5ms, message: {id: 2}}]}
---
match: {grpc: {prefix: shop.}, http_version: "2", message: {absent: true}}
respond: {status: UNAVAILABLE}
""",
    )
    block = USUAL + b"x-tenant: t1\r\n"
    said = made.decide(call(encoded("Id", id=11, note="tea"), block=block))
    assert items(said) == [kind("Item")(id=11, name="TEA")]
    assert made.decide(call(encoded("Id", id=11, note="tea"))) is None
    both = made.decide(call(encoded("Item", id=1), encoded("Item", id=2), rpc="Add"))
    assert both.reply.body == body(encoded("Id", id=3))
    assert items(made.decide(call(encoded("Id", id=7, note="x"), rpc="List"))) == [
        kind("Item")(id=1),
        kind("Item")(id=2),
    ]
    assert made.decide(call(rpc="List")).outcome.reply == "UNAVAILABLE"


def test_a_conversation_is_asked_for_part_by_part(tmp_path):
    made = responder(
        tmp_path,
        """
request: {grpc: shop.Catalog/Watch, messages: [{message: {id: 1}}, {message: {id: 2}}]}
respond:
  messages:
    - {on: 1, message: {id: 1, name: Tea}}
    - {on: 2, after: 20ms, message: {id: 2, name: Milk}}
""",
    )
    one, two = body(encoded("Id", id=1)), body(encoded("Id", id=2))
    head = call(rpc="Watch")
    after_one = chain(b"", one, head, made.context)
    after_two = chain(after_one, two, head, made.context)

    def ask(said, message=b""):
        return made.decide(replace(head, body=message, said=said))

    tea, milk = kind("Item")(id=1, name="Tea"), kind("Item")(id=2, name="Milk")
    for said, message, told in ((said_at(1, b""), one, [tea]), (said_at(2, after_one), two, [tea, milk])):
        decision = ask(said, message)
        assert items(decision) == [tea, milk]
        assert decision.reply.upto == sum(len(body(item.SerializeToString())) for item in told)
    last = ask(said_end(after_two)).reply
    assert (last.more, last.trailers) == (False, b"grpc-status: 0\r\n")
    assert ask(said_at(1, b""), two) is None
    assert ask(said_at(2, after_two), two) is None


def test_what_is_wrong_is_told_where_it_is(tmp_path):
    text = """request: {grpc: shop.Catalog/GetItem, message: {nr: 42}}
respond: {message: {}}
---
request: {grpc: shop.Catalog/GetItem, message: {id: 42}}
respond:
  messages: [{message: {id: text}}]
"""
    assert problems(tmp_path, text) == ["routes/shop.yaml:1:49", "routes/shop.yaml:6:25"]


README = (Path(svcmock_protocols.http.__file__).parent / "README.md").read_text()


def test_the_routes_of_the_readme(tmp_path):
    text = README.partition("## gRPC\n\n")[2].partition("\n\n| member")[0]
    assert text.count("---") == 2
    responder(tmp_path, "\n".join(line[4:] for line in text.splitlines()))
