"""Asks a gRPC server for its schema by reflection, while it is recorded. Sans I/O, HTTP/2 by the h2 library.

One question at a time: which services there are, then for each the file that declares it, then what these files
import and the server did not send along. v1 first, v1alpha where that gives nothing. What links is learned, as
a FileDescriptorSet; from a server that has no reflection, speaks no HTTP/2 or answers nonsense nothing is.

Servers differ in what they do to a question that they cannot answer: an error in a message, or the end of the
call. So a question whose call ended is asked once more in a new call, and passed over if it ends that, too.

h2 is imported with this module, and this module when an upstream is to be asked.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error, StreamClosedError
from h2.settings import SettingCodes, Settings

from svcmock.capabilities import Learned
from svcmock.protocol import Close, Invalid, Send, Upstream
from svcmock_protocols.http.grpc import reflection
from svcmock_protocols.http.grpc.framing import GrpcError, Message, Reader, frame, unpacked
from svcmock_protocols.http.grpc.schema import Schema

NAME: Final = "schema.binpb"
"""What the schema is kept under."""
METHODS: Final = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
MAX_SERVICES: Final = 1000
"""That a server may have. Beyond this and the other bounds nothing is learned: half a schema misleads."""
MAX_FILES: Final = 10_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all different files together, and of one message."""
MAX_MESSAGES: Final = 20_000
"""That are asked."""
MAX_RECEIVED: Final = 1024 * 1024 * 1024
"""Bytes on the connection: many servers send with each file all that it imports, again and again."""
_STREAM_WINDOW: Final = 1 << 20
_WINDOW: Final = 1 << 24
_GREETING: Final = 4
"""The length of a frame and its type."""
_SETTINGS: Final = 4
_MAX_FRAME: Final = 1 << 14
_GOOGLE: Final = "google/protobuf/"
"""Imports that need not be there: whoever reads the schema has them."""

Step: TypeAlias = Send | Learned | Close


class _GiveUpError(Exception):
    """There is nothing to be learned here."""


class _Search:
    """What is known of a server's files, and what is to be asked next."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._declared: set[str] = set()
        self._services: deque[str] = deque()
        self._missing: deque[str] = deque()
        self._sought: set[str] = set()
        self._size = 0

    def listed(self, services: Sequence[str]) -> None:
        """The server has these services."""
        if len(services) > MAX_SERVICES:
            raise _GiveUpError
        self._services.extend(sorted(set(services)))

    def told(self, files: Sequence[bytes]) -> None:
        """The server gave these files. The first of a name counts."""
        for raw in files:
            file = reflection.read_file(raw)
            if file is None:
                raise _GiveUpError
            if file.name in self._files:
                continue
            self._size += len(raw)
            if len(self._files) >= MAX_FILES or self._size > MAX_BYTES:
                raise _GiveUpError
            self._files[file.name] = raw
            self._imports[file.name] = file.imports
            self._declared.update(file.services)
            new = [name for name in file.imports if name not in self._sought]
            self._sought.update(new)
            self._missing.extend(new)

    def next(self) -> bytes | None:
        """The next question; None when all is known."""
        while self._services:
            name = self._services.popleft()
            if name not in self._declared:
                return reflection.request(reflection.CONTAINING_SYMBOL, name)
        while self._missing:
            name = self._missing.popleft()
            if name not in self._files:
                return reflection.request(reflection.BY_FILENAME, name)
        return None

    def found(self) -> bytes | None:
        """The files that link, each after its imports, else by name; None where there are none."""
        waits = {
            name: {one for one in imports if one in self._files or not one.startswith(_GOOGLE)}
            for name, imports in self._imports.items()
        }
        users: dict[str, list[str]] = {}
        for name, imports in waits.items():
            for one in imports:
                users.setdefault(one, []).append(name)
        ready = [name for name, imports in waits.items() if not imports]
        heapify(ready)
        made: list[bytes] = []
        while ready:
            name = heappop(ready)
            made.append(self._files[name])
            for user in users.get(name, ()):
                waits[user].discard(name)
                if not waits[user]:
                    heappush(ready, user)
        data = reflection.file_set(made)
        return data if made and _links(data) else None


def _links(data: bytes) -> bool:
    try:
        Schema.of([data])
    except Invalid:
        return False
    return True


class ReflectionInquiry:
    """A `svcmock.protocol.Inquiry`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._methods = iter(METHODS)
        self._method = ""
        self._search = _Search()
        self._listed = False
        self._question = reflection.request(reflection.LIST_SERVICES, "*")
        """What is asked, or is to be: `_sent`."""
        self._sent = False
        self._asked = self._received = 0
        self._greeting = b""
        """The first bytes of the server, until they tell whether it speaks HTTP/2."""
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._stream = 0
        self._open = False
        """Whether the call can still be used."""
        self._fresh = False
        """Whether nothing was answered in it."""
        self._unsent = b""
        self._reader = Reader(MAX_BYTES)
        self._encoding = b""
        self._messages: list[Message] = []
        self._gone = False
        """The server is leaving: no more can be asked."""
        self._over = False

    def opened(self) -> Sequence[Step]:
        self._http.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: 64 * 1024,
            },
        )
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW)
        self._method = next(self._methods)
        return self._advance()

    def received(self, data: bytes) -> Sequence[Step]:
        if self._over:
            return ()
        self._received += len(data)
        try:
            if self._received > MAX_RECEIVED or not self._greeted(data):
                return self._end()
            for event in self._http.receive_data(data):
                self._on(event)
        except (H2Error, GrpcError, _GiveUpError):
            return self._end()
        return self._advance()

    # --- what came ---

    def _greeted(self, data: bytes) -> bool:
        """Whether the first frame is, as far as it has come, SETTINGS (RFC 9113 section 3.4).

        h2 would wait for all of the frame of 4,740,180 bytes that starts with `HTTP/1.1`.
        """
        if len(self._greeting) < _GREETING:
            self._greeting += data[: _GREETING - len(self._greeting)]
        at, size = self._greeting, int.from_bytes(self._greeting[:3])
        return len(at) < _GREETING or (at[3] == _SETTINGS and size <= _MAX_FRAME)

    def _on(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self._gone = True
        elif isinstance(event, DataReceived):
            with suppress(StreamClosedError):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id == self._stream and self._open:
                self._messages += self._reader.feed(event.data)
        elif isinstance(event, ResponseReceived):
            if event.stream_id == self._stream:
                self._on_head([(bytes(name), bytes(value)) for name, value in event.headers])
        elif isinstance(event, StreamEnded | StreamReset) and event.stream_id == self._stream:
            self._open = False

    def _on_head(self, headers: list[tuple[bytes, bytes]]) -> None:
        said = dict(headers)
        self._encoding = said.get(b"grpc-encoding", b"")
        if said.get(b":status") != b"200" or not said.get(b"content-type", b"").startswith(b"application/grpc"):
            self._open = False  # a proxy's answer, or a web server's

    # --- what to do ---

    def _advance(self) -> Sequence[Step]:
        try:
            done = self._settle()
        except (H2Error, GrpcError, _GiveUpError):
            return self._end()
        if done:
            return self._end(self._search.found())
        data = self._http.data_to_send()
        return (Send(data),) if data else ()

    def _settle(self) -> bool:
        """Deal with all that came; whether everything is known."""
        messages, self._messages = self._messages, []
        for message in messages:
            if not self._sent or self._unsent:
                raise _GiveUpError  # nobody asked
            if not self._answered(unpacked(message, self._encoding, MAX_BYTES)):
                return True
        if self._gone:
            raise _GiveUpError
        if not self._open:
            if self._sent and self._fresh and not self._pass_over():
                return True
            self._call()
        if not self._sent:
            self._ask()
        self._pump()
        return False

    def _answered(self, data: bytes) -> bool:
        """An answer came; whether there is more to ask."""
        told = reflection.read_response(data)
        if told is None:
            raise _GiveUpError
        if not self._listed and told.services is None:
            self._open = False
            return self._pass_over()
        self._fresh = False
        if not self._listed:
            self._listed = True
            self._search.listed(told.services or ())
        else:
            self._search.told(told.files or ())
        return self._next()

    def _pass_over(self) -> bool:
        """The question cannot be answered; whether there is another."""
        if self._listed:
            return self._next()
        method = next(self._methods, None)
        if method is None:
            raise _GiveUpError
        self._method = method
        self._sent = False
        return True

    def _next(self) -> bool:
        question = self._search.next()
        if question is None:
            return False
        self._question = question
        self._sent = False
        return True

    def _call(self) -> None:
        """Begin a call, in place of one that is over, or of no use."""
        if self._stream:
            with suppress(StreamClosedError):
                self._http.reset_stream(self._stream, ErrorCodes.CANCEL)
        self._stream = self._http.get_next_available_stream_id()
        self._open = self._fresh = True
        self._sent = False
        self._unsent = b""
        self._reader = Reader(MAX_BYTES)
        self._encoding = b""
        headers = {
            b":method": b"POST",
            b":scheme": b"https" if self._upstream.tls else b"http",
            b":path": self._method.encode(),
            b":authority": self._upstream.authority.encode(),
            b"te": b"trailers",
            b"content-type": b"application/grpc",
            b"user-agent": b"svcmock",
        }
        self._http.send_headers(self._stream, list(headers.items()))

    def _ask(self) -> None:
        self._asked += 1
        if self._asked > MAX_MESSAGES:
            raise _GiveUpError
        self._unsent = frame(Message(self._question))
        self._sent = True

    def _pump(self) -> None:
        """Send of the question what the server's windows take."""
        while self._unsent:
            window = self._http.local_flow_control_window(self._stream)
            room = min(window, self._http.max_outbound_frame_size)
            if room <= 0:
                return
            self._http.send_data(self._stream, self._unsent[:room])
            self._unsent = self._unsent[room:]

    def _end(self, learned: bytes | None = None) -> Sequence[Step]:
        self._over = True
        with suppress(H2Error):
            self._http.close_connection()
        data = self._http.data_to_send()
        made: list[Step] = [Send(data)] if data else []
        if learned is not None:
            made.append(Learned(NAME, learned))
        return [*made, Close()]
