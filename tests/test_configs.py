"""Every example project loads without a warning, and does over the wire what its comments say."""

import json
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc_tools
import httpx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

from svcmock.cli import main
from tests.e2e.processes import Mock, Svcmock

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
PROJECTS = sorted(path.parent.name for path in CONFIGS.glob("*/svcmock.yaml"))
CUSTOMER = "6f1c1c9e-7f5a-4a43-8d3a-1d2f3c4b5a69"


@pytest.fixture
def svcmock(tmp_path: Path) -> Iterator[Svcmock]:
    cli = Svcmock(tmp_path)
    yield cli
    cli.close()


@pytest.fixture
def serve(svcmock: Svcmock, tmp_path: Path) -> Callable[[str], Mock]:
    """Serves a copy of an example, on free ports."""

    def up(name: str) -> Mock:
        project = tmp_path / name
        shutil.copytree(CONFIGS / name, project, ignore=shutil.ignore_patterns(".svcmock"))
        graph = project / "svcmock.yaml"
        text, ports = re.subn(r"listen: 127\.0\.0\.1:\d+", "listen: 127.0.0.1:0", graph.read_text())
        assert ports > 0
        graph.write_text(text)
        return svcmock.up(project)

    return up


@pytest.mark.parametrize("name", PROJECTS)
def test_an_example_is_free_of_problems(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / name
    shutil.copytree(CONFIGS / name, project, ignore=shutil.ignore_patterns(".svcmock"))
    assert main(["check", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "problems": []}


def test_the_examples_are_described() -> None:
    readme = (CONFIGS / "README.md").read_text()
    assert {"fix", "grpc", "hl7", "iso8583", "llm", "modbus", "redis", "shop", "stomp", "tls"} <= {*PROJECTS}
    told = [line for line in readme.splitlines() if line.startswith("## ")]
    assert [name for name in PROJECTS if not any(name in line for line in told)] == []


def test_shop_catalog(serve: Callable[[str], Mock]) -> None:
    with httpx.Client(base_url=serve("shop").urls["catalog"], trust_env=False) as client:
        assert [product["name"] for product in client.get("/products").json()] == ["Tea", "Cup"]
        assert client.get("/products", params={"tag": "drinks"}).json() == [
            {"id": 1, "name": "Tea", "price": 3.5}
        ]
        csv = client.get("/products", headers={"Accept": "text/csv"})
        assert (csv.headers["content-type"], csv.text) == ("text/csv", "id,name,price\n1,Tea,3.5\n2,Cup,7.0\n")
        picture = client.get("/products/5/picture")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert picture.content == (CONFIGS / "shop/routes/picture.svg").read_bytes()
        assert client.get("/products/99").json() == {"id": "99", "name": "Product 99", "price": 1.0}
        assert client.get("/products/13").status_code == 404
        miss = client.get("/nothing/here")
        assert (miss.status_code, miss.json()["request"]) == (501, "GET /nothing/here")


def test_shop_orders(serve: Callable[[str], Mock]) -> None:
    with httpx.Client(base_url=serve("shop").urls["orders"], trust_env=False) as client:
        order = {"customer": CUSTOMER, "items": [{"product": 2, "count": 6}], "total": 42}
        placed = client.post("/orders", json=order)
        assert placed.status_code == 201
        assert placed.headers["location"] == f"/orders/{CUSTOMER}"
        assert placed.json() == {"customer": CUSTOMER, "first": 2, "lines": 1, "note": "none"}
        assert client.post("/orders", json={**order, "total": 2000}).status_code == 422
        nothing = client.post("/orders", json={**order, "items": [{"product": 2, "count": 0}]})
        assert nothing.status_code == 501
        assert [f["at"] for f in nothing.json()["nearest"][0]["failed"]] in (["json.items"], ["json.total"])
        quote = {"product": 2, "count": 6, "requested_at": "2031-05-05T00:00:00Z"}
        assert client.post("/orders/quote", json=quote).json() == {"total": 42.0}
        assert client.post("/orders/quote", json={**quote, "count": 7}).status_code == 501
        states = [client.get("/orders/7/state").json()["state"] for _ in range(5)]
        assert states == ["new", "packed", "sent", "sent", "sent"]


def test_shop_payments(serve: Callable[[str], Mock]) -> None:
    with httpx.Client(base_url=serve("shop").urls["payments"], trust_env=False) as client:
        paid = client.post("/charges", data={"card": "4" + "0" * 15, "amount": "12", "currency": "chf"})
        assert (paid.status_code, paid.json()) == (201, {"paid": 12, "currency": "CHF"})
        assert client.post("/charges", data={"card": "5105", "amount": "12"}).status_code == 402
        assert [client.get("/health").status_code for _ in range(4)] == [503, 503, 200, 503]
        assert client.post("/refunds", json={"charge": 7}).status_code == 201
        again = client.post("/refunds", json={"charge": 7})
        assert again.status_code == 404
        assert "used up" in again.json()["hints"][0]


def test_llm(serve: Callable[[str], Mock]) -> None:
    key = {"Authorization": "Bearer anything"}
    question = {"model": "parrot-1", "messages": [{"role": "user", "content": "Hello"}]}
    with httpx.Client(base_url=serve("llm").urls["llm"], trust_env=False) as client:
        assert client.get("/v1/models").status_code == 401
        assert [one["id"] for one in client.get("/v1/models", headers=key).json()["data"]] == [
            "parrot-1",
            "parrot-busy",
        ]
        with client.stream(
            "POST", "/v1/chat/completions", json={**question, "stream": True}, headers=key
        ) as reply:
            assert reply.headers["content-type"] == "text/event-stream"
            lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line]
        assert lines[-1] == "[DONE]"
        told = [json.loads(line)["choices"][0]["delta"]["content"] for line in lines[:-1]]
        assert told == ["", "Hello", " there"]
        whole = client.post("/v1/chat/completions", json=question, headers=key)
        assert whole.json()["choices"][0]["message"] == {"role": "assistant", "content": "Hello!"}
        busy = client.post("/v1/chat/completions", json={**question, "model": "parrot-busy"}, headers=key)
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "2")


class Stubs:
    """Calls of the services in some `.proto` files, by documents as protobuf's own JSON has them."""

    def __init__(self, protos: Path, folder: Path) -> None:
        made = folder / "protos.binpb"
        include = Path(grpc_tools.__file__).parent / "_proto"
        files = [str(path.relative_to(protos)) for path in sorted(protos.rglob("*.proto"))]
        command = ["protoc", f"-I{protos}", f"-I{include}", "--include_imports", f"--descriptor_set_out={made}"]
        assert protoc.main([*command, *files]) == 0
        described = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes())
        self._pool = descriptor_pool.DescriptorPool()
        for file in described.file:
            self._pool.Add(file)

    def stub(self, channel: grpc.Channel, name: str) -> Any:
        """The method `package.Service/Method`: called with documents, it gives messages."""
        service, _, rpc = name.partition("/")
        method = self._pool.FindServiceByName(service).FindMethodByName(rpc)
        asked = message_factory.GetMessageClass(method.input_type)
        told = message_factory.GetMessageClass(method.output_type)
        kinds = {False: "unary", True: "stream"}
        kind = f"{kinds[method.client_streaming]}_{kinds[method.server_streaming]}"
        call = getattr(channel, kind)(f"/{name}", asked.SerializeToString, told.FromString)

        def stub(*documents: Any, **more: Any) -> Any:
            messages = [json_format.ParseDict(document, asked()) for document in documents]
            return call(iter(messages) if method.client_streaming else messages[0], timeout=30, **more)

        return stub


@pytest.fixture
def stubs(tmp_path: Path) -> Stubs:
    return Stubs(CONFIGS / "grpc" / "protos", tmp_path)


def shown(message: Any) -> Any:
    return json_format.MessageToDict(message)


def test_grpc_catalog(serve: Callable[[str], Mock], stubs: Stubs) -> None:
    with grpc.insecure_channel(serve("grpc").addresses["catalog"]) as channel:
        item = stubs.stub(channel, "shop.Catalog/GetItem")
        assert shown(item({"id": 42})) == {"id": "42", "name": "Tea", "kind": "FOOD", "price": 3.5}
        with pytest.raises(grpc.RpcError) as gone:
            item({"id": 13})
        assert (gone.value.code(), gone.value.details()) == (grpc.StatusCode.NOT_FOUND, "no item 13")
        reason = error_details_pb2.ErrorInfo()
        assert rpc_status.from_call(gone.value).details[0].Unpack(reason)
        assert (reason.reason, reason.domain) == ("SOLD_OUT", "shop")
        europe = {"metadata": (("x-tenant", "eu-1"),)}
        assert shown(item({"id": 123}, **europe)) == {"id": "123", "name": "Item 123"}
        with pytest.raises(grpc.RpcError, match="no route matches"):
            item({"id": 123})
        changes = [shown(one) for one in stubs.stub(channel, "shop.Catalog/Watch")({"kind": "FOOD"})]
        assert [one["item"]["price"] for one in changes] == [3.5, 3.25]
        assert changes[1]["at"] == "2026-11-23T03:22:11Z"
        assert stubs.stub(channel, "shop.Catalog/Total")({"id": 42}, {"id": 43}).price == 10.5


def test_grpc_support(serve: Callable[[str], Mock], stubs: Stubs) -> None:
    with grpc.insecure_channel(serve("grpc").addresses["support"]) as channel:
        chat = stubs.stub(channel, "shop.Support/Chat")
        said = [line.text for line in chat({"text": "hello"}, {"text": "where is my tea"})]
        assert said == ["Welcome to the shop.", "Hello, how can I help?", "On its way.", "Goodbye."]
        tracked = [line.text for line in chat({"text": "track 7"}, {"text": "track 8"})]
        assert tracked == ["Welcome to the shop.", "TRACK 7: in Hamburg.", "TRACK 8: in Hamburg."]
        with pytest.raises(grpc.RpcError) as refused:
            list(chat({"text": "a refund please"}))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.RpcError, match="message 1"):
            list(chat({"text": "nonsense"}))


def test_tls(serve: Callable[[str], Mock], svcmock: Svcmock) -> None:
    mock = serve("tls")
    svcmock.run("ca", mock.project)
    trusting = ssl.create_default_context(cafile=str(mock.project / ".svcmock" / "ca" / "ca.pem"))
    port = mock.ports["api"]
    with httpx.Client(verify=trusting, trust_env=False) as client:
        for host in ("localhost", "127.0.0.1"):
            assert client.get(f"https://{host}:{port}/whoami").json() == {"host": f"{host}:{port}"}
        assert client.get(f"http://localhost:{port}/whoami").status_code == 200, "plain HTTP on the same port"

    where = f"https://localhost:{mock.ports['internal']}/whoami"
    with httpx.Client(verify=trusting, trust_env=False) as nobody, pytest.raises(httpx.TransportError):
        nobody.get(where)
    known = ssl.create_default_context(cafile=str(mock.project / ".svcmock" / "ca" / "ca.pem"))
    known.load_cert_chain(CONFIGS / "tls" / "client.pem")
    with httpx.Client(verify=known, trust_env=False) as client:
        assert client.get(where).status_code == 200
        with pytest.raises(httpx.TransportError):
            client.get(where.replace("https", "http"))

    own = ssl.create_default_context(cafile=str(CONFIGS / "tls" / "localhost.pem"))
    with httpx.Client(verify=own, trust_env=False) as client:
        assert client.get(f"https://localhost:{mock.ports['fixed']}/whoami").status_code == 200
