"""The client of reflection: against grpcio's server, and against one that is made of the h2 library."""

import gzip
import itertools
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.reflection import ReflectionServicer, enable_server_reflection
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.capabilities import Learned
from svcmock.noise import Noise
from svcmock.protocol import Close, Context, Send, Upstream
from svcmock_protocols.http.grpc import inquiry
from svcmock_protocols.http.grpc.framing import Message, Reader, frame
from svcmock_protocols.http.grpc.inquiry import METHODS, ReflectionInquiry
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.grpc.services import builtin
from svcmock_protocols.http.messages import Options, Request
from tests.protocols.conformance import mutate
from tests.protocols.http.grpc.protos import descriptor_set, schema
from tests.protocols.http.grpc.test_reflection import pool_of, strip

V1, V1ALPHA = METHODS
SERVICES = ["kinds.v3.Forest", "kinds.v3.Idle"]


def upstream(authority: str = "shop:50051", *, tls: bool = False) -> Upstream:
    return Upstream(url=f"grpc://{authority}", authority=authority, tls=tls)


def learned(outs) -> list[Learned]:
    return [out for out in outs if isinstance(out, Learned)]


def files_of(data: bytes) -> dict[str, FileDescriptorProto]:
    return {file.name: file for file in FileDescriptorSet.FromString(data).file}


def expected() -> dict[str, FileDescriptorProto]:
    """kinds/v3.proto and all that it imports."""
    return {
        file.name: strip(file.SerializeToString())
        for file in FileDescriptorSet.FromString(descriptor_set()).file
        if file.name not in ("kinds/v2.proto", "kinds/edition.proto")
    }


# --- grpcio ---


@contextmanager
def serving(*methods: str, services: Sequence[str] = SERVICES) -> Iterator[int]:
    pool = pool_of(descriptor_set())
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        if V1ALPHA in methods:
            enable_server_reflection(services, server, pool=pool)
        if V1 in methods:
            handler = grpc.stream_stream_rpc_method_handler(
                ReflectionServicer(services, pool=pool).ServerReflectionInfo,
                request_deserializer=pb.ServerReflectionRequest.FromString,
                response_serializer=pb.ServerReflectionResponse.SerializeToString,
            )
            service, method = V1.strip("/").split("/")
            server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


def converse(port: int, piece: int = 65536) -> list[Learned]:
    """What is learned over a socket, reading so many bytes at a time."""
    asking = ReflectionInquiry(upstream(f"127.0.0.1:{port}"))
    made: list[Learned] = []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        outs = asking.opened()
        while True:
            for out in outs:
                if isinstance(out, Send):
                    sock.sendall(out.data)
                elif isinstance(out, Learned):
                    made.append(out)
                else:
                    return made
            data = sock.recv(piece)
            assert data, "the server hung up"
            outs = asking.received(data)


@pytest.mark.parametrize("methods", [(V1,), (V1ALPHA,), (V1, V1ALPHA)])
def test_a_server_of_grpcio_tells_its_schema(methods):
    with serving(*methods) as port:
        (told,) = converse(port)
    assert told.name == "schema.binpb"
    assert {name: strip(file.SerializeToString()) for name, file in files_of(told.data).items()} == expected()
    assert Schema.of([told.data]).services == ("kinds.v3.Forest", "kinds.v3.Idle")


def test_it_may_come_in_small_pieces():
    with serving(V1ALPHA) as port:
        assert converse(port, 7) == converse(port)


def test_a_service_that_is_listed_without_a_file_is_passed_over():
    with serving(V1ALPHA, services=["kinds.v3.Forest", "not.There"]) as port:
        (told,) = converse(port)
    assert set(files_of(told.data)) == set(expected())
    with serving(V1ALPHA, services=["not.There"]) as port:
        assert converse(port) == []


def test_of_a_server_without_reflection_nothing_is_learned():
    with serving() as port:
        assert converse(port) == []


# --- a server made of h2 ---

Answers = Callable[[str, pb.ServerReflectionRequest], "Sequence[bytes | int | str]"]
"""To a question at a path: messages, a number for a status that ends the call, a text for an act of `Peer`."""


class Peer:
    """A server that answers as it is told to, bytes in, bytes out."""

    def __init__(self, answers: Answers, window: int = 65535, *, coding: bool = False) -> None:
        self.answers = answers
        self.coding = coding
        self.calls: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        if window != 65535:
            self.http.local_settings = h2.settings.Settings(
                client=False, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
            )
        self.http.initiate_connection()
        self.readers: dict[int, Reader] = {}
        self.paths: dict[int, str] = {}
        self.headed: set[int] = set()
        self.unsent: dict[int, bytes] = {}

    def feed(self, data: bytes) -> bytes:
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.calls.append(dict(event.headers))
                self.paths[event.stream_id] = dict(event.headers)[":path"]
                self.readers[event.stream_id] = Reader()
            elif isinstance(event, h2.events.DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                for message in self.readers[event.stream_id].feed(event.data):
                    self.answer(event.stream_id, pb.ServerReflectionRequest.FromString(message.data))
            elif isinstance(event, h2.events.StreamReset):
                self.unsent.pop(event.stream_id, None)
        self.pump()
        return self.http.data_to_send()

    def answer(self, stream: int, question: pb.ServerReflectionRequest) -> None:
        path = self.paths[stream]
        self.asked.append(
            f"{path.split('.')[2]} {question.WhichOneof('message_request')} "
            f"{getattr(question, question.WhichOneof('message_request'))}"
        )
        for act in self.answers(path, question):
            if isinstance(act, bytes):
                self.head(stream)
                self.unsent[stream] = self.unsent.get(stream, b"") + act
            elif isinstance(act, int):
                status = [("grpc-status", str(act))]
                if stream in self.headed:
                    self.pump()
                    assert not self.unsent.get(stream)
                else:
                    status = [(":status", "200"), ("content-type", "application/grpc"), *status]
                self.http.send_headers(stream, status, end_stream=True)
            elif act == "reset":
                self.http.reset_stream(stream)
            elif act == "bye":
                self.pump()
                self.http.close_connection()
            else:
                self.http.send_headers(stream, [(":status", act), ("content-type", "text/html")])
                self.http.send_data(stream, b"<p>no", end_stream=True)

    def head(self, stream: int) -> None:
        if stream not in self.headed:
            self.headed.add(stream)
            coded = [("grpc-encoding", "gzip")] if self.coding else []
            self.http.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), *coded])

    def pump(self) -> None:
        for stream, data in list(self.unsent.items()):
            while data:
                room = min(self.http.local_flow_control_window(stream), 16384, len(data))
                if room <= 0:
                    break
                self.http.send_data(stream, data[:room])
                data = data[room:]
            self.unsent[stream] = data


def between(peer: Peer, pieces: Callable[[bytes], Sequence[bytes]] = lambda data: [data], *, tls=False) -> list:
    """All that an inquiry does with this peer but send; `pieces` cuts what it receives."""
    asking = ReflectionInquiry(upstream(tls=tls))
    made: list = []
    outs = list(asking.opened())
    for _ in range(100_000):
        if any(isinstance(out, Close) for out in outs):
            assert isinstance(outs[-1], Close)
            made += [out for out in outs if not isinstance(out, Send)]
            assert asking.received(b"more") == ()
            return made
        back = b"".join(peer.feed(out.data) for out in outs if isinstance(out, Send))
        assert back, "both wait"
        outs = []
        for piece in pieces(back):
            outs += asking.received(piece)
    raise AssertionError("there is no end")


def reply(**response) -> bytes:
    return frame(Message(pb.ServerReflectionResponse(**response).SerializeToString()))


def listing(*names: str) -> bytes:
    services = [pb.ServiceResponse(name=name) for name in names]
    return reply(list_services_response=pb.ListServiceResponse(service=services))


def giving(*files: FileDescriptorProto) -> bytes:
    raw = [file.SerializeToString() for file in files]
    return reply(file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=raw))


NOT_FOUND = reply(error_response=pb.ErrorResponse(error_code=5, error_message="not found"))


def proto(name: str, *imports: str, service: str = "") -> FileDescriptorProto:
    file = FileDescriptorProto(name=name, package="p", syntax="proto3", dependency=imports)
    if service:
        file.message_type.add(name=f"{service}Message")
        method = file.service.add(name=service).method.add(name="M")
        method.input_type = method.output_type = f".p.{service}Message"
    return file


A = proto("a.proto", "b.proto", "google/protobuf/any.proto", service="A")
B = proto("b.proto", "c.proto")
C = proto("c.proto", service="C")
BY_NAME = {"a.proto": A, "b.proto": B, "c.proto": C}


def knows(path: str, question: pb.ServerReflectionRequest, versions: str = "v1") -> list[bytes | int | str]:
    """A server of `A` and `C` that sends one file at a time."""
    if path.split(".")[2] not in versions.split():
        return [12]
    match question.WhichOneof("message_request"):
        case "list_services":
            return [listing("p.C", "p.A")]
        case "file_containing_symbol":
            return [giving({"p.A": A, "p.C": C}[question.file_containing_symbol])]
    found = BY_NAME.get(question.file_by_filename)
    return [giving(found) if found else NOT_FOUND]


def with_v1alpha(path, question):
    return knows(path, question, "v1alpha")


ALL = Learned("schema.binpb", FileDescriptorSet(file=[C, B, A]).SerializeToString())


def test_what_is_asked_and_what_is_learned():
    peer = Peer(knows)
    assert between(peer) == [ALL, Close()]
    assert peer.asked == [
        "v1 list_services *",
        "v1 file_containing_symbol p.A",
        "v1 file_containing_symbol p.C",
        "v1 file_by_filename b.proto",
        "v1 file_by_filename google/protobuf/any.proto",
    ]
    assert peer.calls == [
        {
            ":method": "POST",
            ":scheme": "http",
            ":path": V1,
            ":authority": "shop:50051",
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "svcmock",
        }
    ]


def test_the_scheme_is_that_of_the_upstream():
    peer = Peer(knows)
    between(peer, tls=True)
    assert peer.calls[0][":scheme"] == "https"


def test_v1alpha_is_asked_where_v1_is_not_there():
    peer = Peer(with_v1alpha)
    assert between(peer) == [ALL, Close()]
    assert [call[":path"] for call in peer.calls] == [V1, V1ALPHA]


@pytest.mark.parametrize("act", [12, 7, 0, "404", "503", "reset", NOT_FOUND, reply(), giving(A)])
def test_whatever_is_said_for_there_is_none(act):
    peer = Peer(lambda path, question: [act] if path == V1 else with_v1alpha(path, question))
    assert between(peer) == [ALL, Close()]
    neither = Peer(lambda path, question: [act])
    assert between(neither) == [Close()]
    assert [call[":path"] for call in neither.calls] == [V1, V1ALPHA]


def test_a_service_whose_file_is_declared_already_is_not_asked_for():
    both = FileDescriptorProto.FromString(C.SerializeToString())
    both.service.add(name="D")
    peer = Peer(lambda path, question: [listing("p.D", "p.C") if question.list_services else giving(both)])
    assert learned(between(peer))
    assert peer.asked == ["v1 list_services *", "v1 file_containing_symbol p.C"]


def test_all_imports_may_come_at_once():
    peer = Peer(lambda path, question: [listing("p.A") if question.list_services else giving(A, B, C)])
    assert between(peer) == [ALL, Close()]
    assert peer.asked[1:] == ["v1 file_containing_symbol p.A", "v1 file_by_filename google/protobuf/any.proto"]


def test_an_import_that_is_nowhere_leaves_out_what_needs_it():
    def answers(path, question):
        return [NOT_FOUND] if question.file_by_filename else knows(path, question)

    (told,) = learned(between(Peer(answers)))
    assert set(files_of(told.data)) == {"c.proto"}


@pytest.mark.parametrize("bad", [NOT_FOUND, reply(), 5, 13, "reset"])
def test_a_service_that_cannot_be_told_is_passed_over(bad):
    def answers(path, question):
        return [bad] if question.file_containing_symbol == "p.A" else knows(path, question)

    (told,) = learned(between(Peer(answers)))
    assert set(files_of(told.data)) == {"c.proto"}


def test_a_call_for_each_question_will_do():
    peer = Peer(lambda path, question: [*knows(path, question), 0])
    assert between(peer) == [ALL, Close()]
    assert len(peer.calls) == 5


def test_a_compressed_answer_is_read():
    def answers(path, question):
        return [frame(Message(gzip.compress(one[5:]), compressed=True)) for one in knows(path, question)]

    assert between(Peer(answers, coding=True)) == [ALL, Close()]
    assert between(Peer(answers)) == [Close()]  # that does not say so


def test_a_server_may_leave_after_the_last_answer():
    def answers(path, question):
        last = question.file_by_filename.startswith("google")
        return [*knows(path, question), *(["bye"] if last else [])]

    assert between(Peer(answers)) == [ALL, Close()]


def test_and_not_before():
    peer = Peer(lambda path, question: [*knows(path, question), "bye"])
    assert between(peer) == [Close()]


def test_small_windows_make_it_slow_not_wrong():
    """Questions leave as the server takes them (the first has 8 bytes), and what comes is acknowledged."""
    assert between(Peer(knows, window=8)) == [ALL, Close()]
    large = proto("large.proto")
    for number in range(40_000):
        large.message_type.add(name=f"A_message_with_a_long_name_{number}")
    needs = proto("c.proto", "large.proto", service="C")

    def answers(path, question):
        if question.list_services:
            return [listing("p.C")]
        return [giving(needs if question.file_containing_symbol else large)]

    (told,) = learned(between(Peer(answers)))
    assert len(told.data) > 1 << 20
    assert set(files_of(told.data)) == {"c.proto", "large.proto"}


@settings(max_examples=30)
@given(st.data())
def test_answers_may_be_cut_anywhere(data):
    def pieces(back: bytes) -> list[bytes]:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(back)), max_size=6)))
        return [back[a:b] for a, b in itertools.pairwise([0, *cuts, len(back)])]

    assert between(Peer(with_v1alpha), pieces) == [ALL, Close()]


def test_answers_may_come_byte_by_byte():
    assert between(Peer(with_v1alpha), lambda back: [back[i : i + 1] for i in range(len(back))]) == [
        ALL,
        Close(),
    ]


# --- what is not to be learned from ---


def opened() -> ReflectionInquiry:
    asking = ReflectionInquiry(upstream())
    asking.opened()
    return asking


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46 and more",
        b"\xff" * 100,
        b"\0\0\x08\x06\0\0\0\0\0pingpong",
    ],
)
def test_a_server_that_speaks_no_http2(data):
    outs = opened().received(data)
    assert learned(outs) == []
    assert outs[-1] == Close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x02\0\0\0\0",
        b"\0\xff\xff\xff\xff",
        frame(Message(b"\xff")),
        reply(file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=[b"\xff"])),
        giving(FileDescriptorProto(package="no.name")),
        giving(A) + giving(C),
    ],
)
def test_nonsense_ends_it(nonsense):
    peer = Peer(lambda path, question: [nonsense] if question.file_containing_symbol else knows(path, question))
    assert between(peer) == [Close()]


def test_files_that_do_not_link_are_not_learned():
    bad = FileDescriptorProto.FromString(C.SerializeToString())
    bad.service[0].method[0].input_type = ".p.Nothing"
    peer = Peer(lambda path, question: [listing("p.C") if question.list_services else giving(bad)])
    assert between(peer) == [Close()]


def test_files_that_import_each_other_are_not_learned():
    round_ = {"x.proto": proto("x.proto", "y.proto", service="C"), "y.proto": proto("y.proto", "x.proto")}
    peer = Peer(
        lambda path, question: [
            listing("p.C") if question.list_services else giving(round_[question.file_by_filename or "x.proto"])
        ]
    )
    assert between(peer) == [Close()]


def test_a_server_without_services_tells_nothing():
    assert between(Peer(lambda path, question: [listing()])) == [Close()]


# --- bounds ---


@pytest.mark.parametrize(
    ("bound", "value"),
    [("MAX_SERVICES", 1), ("MAX_FILES", 2), ("MAX_BYTES", 100), ("MAX_MESSAGES", 3), ("MAX_RECEIVED", 300)],
)
def test_beyond_a_bound_nothing_is_learned(monkeypatch, bound, value):
    monkeypatch.setattr(inquiry, bound, value)
    assert between(Peer(knows)) == [Close()]


@pytest.mark.parametrize(
    ("bound", "value"),
    [("MAX_SERVICES", 2), ("MAX_FILES", 3), ("MAX_BYTES", 400), ("MAX_MESSAGES", 5), ("MAX_RECEIVED", 4000)],
)
def test_within_it_all_is(monkeypatch, bound, value):
    monkeypatch.setattr(inquiry, bound, value)
    assert between(Peer(knows)) == [ALL, Close()]


def test_a_message_beyond_the_bound_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(inquiry, "MAX_BYTES", 1000)
    assert between(Peer(lambda path, question: [b"\0" + (1001).to_bytes(4)])) == [Close()]


def transcript() -> list[bytes]:
    """What a server sends in turn."""
    made: list[bytes] = []

    def keep(back: bytes) -> list[bytes]:
        made.append(back)
        return [back]

    between(Peer(with_v1alpha), keep)
    return made


@settings(max_examples=200)
@given(seed=st.integers(0, 1 << 32), at=st.integers(0, 20))
def test_no_bytes_make_it_raise(seed, at):
    reads = transcript()
    at %= len(reads)
    reads[at] = mutate(reads[at], seed)
    asking = opened()
    for data in reads:
        asking.received(data)


# --- what the mock itself tells ---


def test_the_mock_tells_its_schema_to_another():
    context = Context(options=Options(), ignore=Noise(), token=lambda value: value, schema=schema())

    def answers(path, question):
        body = frame(Message(question.SerializeToString()))
        asked = Request(b"POST", path.encode(), b"2", b"content-type: application/grpc\r\n", body, b"", b"1 ")
        told = builtin(asked, context)
        assert told is not None
        return [told.body]

    (told,) = learned(between(Peer(answers)))
    known = Schema.of([told.data])
    assert set(schema().services) < set(known.services)
    files = files_of(told.data)
    assert {name: strip(files[name].SerializeToString()) for name in expected()} == expected()
    assert known.file_containing_symbol("grpc.health.v1.Health.Watch")
