"""The example projects of protocols that are declared, each asked by a small client of its protocol."""

import json
import re
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Mock, Svcmock

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SOH = b"\x01"


@pytest.fixture
def serve(svcmock: Svcmock, tmp_path: Path) -> Callable[[str], Mock]:
    """Serves a copy of an example, which has no problems, on free ports."""

    def up(name: str) -> Mock:
        project = tmp_path / name
        shutil.copytree(CONFIGS / name, project, ignore=shutil.ignore_patterns(".svcmock"))
        assert json.loads(svcmock.run("check", project, "--json").stdout) == {"ok": True, "problems": []}
        graph = project / "svcmock.yaml"
        graph.write_text(re.sub(r"listen: 127\.0\.0\.1:\d+", "listen: 127.0.0.1:0", graph.read_text()))
        return svcmock.up(project)

    return up


@contextmanager
def connection(port: int) -> Iterator[Any]:
    """A connection as a file."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer, peer.makefile("rwb") as file:
        yield file


def say(file: Any, data: bytes) -> None:
    file.write(data)
    file.flush()


# --- Modbus -------------------------------------------------------------------------------------------


class Modbus:
    """A client of Modbus/TCP, with a new transaction id each time."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._id = 0x4000

    def ask(self, function: int, *words: int, unit: int = 1) -> bytes:
        """What comes back, from the function on."""
        self._id += 1
        body = struct.pack(f">BB{len(words)}H", unit, function, *words)
        say(self._file, struct.pack(">HHH", self._id, 0, len(body)) + body)
        ident, protocol, size = struct.unpack(">HHH", self._file.read(6))
        told: bytes = self._file.read(size)
        assert (ident, protocol, told[0]) == (self._id, 0, unit)
        return told[1:]


def test_modbus(serve: Callable[[str], Mock]) -> None:
    mock = serve("modbus")
    with connection(mock.ports["heatpump"]) as file:
        client = Modbus(file)
        for _ in range(3):
            assert client.ask(3, 100, 2) == struct.pack(">BBHH", 3, 4, 215, 480)
        assert client.ask(1, 0, 1) == b"\x01\x01\x01"
        assert client.ask(6, 200, 55) == struct.pack(">BHH", 6, 200, 55)
        assert client.ask(6, 201, 1) == b"\x86\x04"
        assert client.ask(3, 999, 1) == b"\x83\x02"
        assert client.ask(4, 1, 1, unit=7) == b"\x84\x02"
        assert client.ask(3, 100, 2) == struct.pack(">BBHH", 3, 4, 215, 480)
    assert mock.status()["services"]["heatpump"]["misses"] == 2


# --- JSON ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["prefixed", "lines"])
def test_json_rpc(serve: Callable[[str], Mock], service: str) -> None:
    def tell() -> Any:
        data = file.read(struct.unpack(">I", file.read(4))[0]) if service == "prefixed" else file.readline()
        return json.loads(data)

    def ask(ident: Any, method: str, **params: Any) -> Any:
        data = json.dumps(
            {"jsonrpc": "2.0", "id": ident, "method": method, **({"params": params} if params else {})}
        )
        say(
            file,
            struct.pack(">I", len(data)) + data.encode() if service == "prefixed" else data.encode() + b"\n",
        )
        return tell()

    mock = serve("json-lines")
    with connection(mock.ports[service]) as file:
        assert ask("a-1", "user.get", id=42) == {
            "jsonrpc": "2.0",
            "id": "a-1",
            "result": {"id": 42, "name": "Ann"},
        }
        assert ask(7, "user.get", id=8)["result"] == {"id": 8, "name": "User 8"}
        assert ask(8, "report.make") == {"jsonrpc": "2.0", "method": "progress", "params": [50]}
        assert tell() == {"jsonrpc": "2.0", "id": 8, "result": "done"}
        miss = ask(9, "user.delete")
        assert (miss["id"], miss["error"]["code"]) == (9, -32601)
        assert re.fullmatch(r"svcmock why m-\d+", miss["error"]["message"])
        assert ask(10, "user.get", id=42)["id"] == 10


# --- FIX ----------------------------------------------------------------------------------------------


class Fix:
    """A client of FIX, that checks length, checksum and numbers of what it gets."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._said = self._heard = 0

    def say(self, kind: str, **fields: str) -> None:
        self._said += 1
        pairs = {"35": kind, "34": str(self._said), "49": "SHOP", "56": "BROKER", "52": "20270101-12:00:00"}
        body = b"".join(f"{k.lstrip('_')}={v}".encode() + SOH for k, v in {**pairs, **fields}.items())
        head = b"8=FIX.4.4" + SOH + b"9=%d" % len(body) + SOH
        say(self._file, head + body + b"10=%03d" % (sum(head + body) & 0xFF) + SOH)

    def hear(self) -> dict[str, str]:
        data = b""
        while not re.search(rb"\x0110=\d{3}\x01\Z", data):
            piece = self._file.read(1)
            assert piece, data
            data += piece
        fields = dict(pair.split("=", 1) for pair in data.decode().rstrip("\x01").split("\x01"))
        assert int(fields["10"]) == sum(data[:-7]) & 0xFF
        assert int(fields["9"]) == len(data) - data.index(b"\x0135=") - 1 - 7
        self._heard += 1
        assert (fields["34"], fields["49"], fields["56"]) == (str(self._heard), "BROKER", "SHOP")
        sent = datetime.strptime(fields["52"] + "000+0000", "%Y%m%d-%H:%M:%S.%f%z")
        assert abs(datetime.now(UTC) - sent) < timedelta(hours=1)
        return fields


def test_fix(serve: Callable[[str], Mock]) -> None:
    mock = serve("fix")
    for _ in range(2):
        with connection(mock.ports["broker"]) as file:
            client = Fix(file)
            client.say("A", _98="0", _108="30")
            assert client.hear()["108"] == "30"
            client.say("1", _112="are-you-there")
            assert client.hear()["112"] == "are-you-there"
            client.say("0")
            client.say("D", _11="order-1", _55="ACME", _54="1", _38="100", _40="1")
            assert [client.hear()["39"] for _ in range(2)] == ["0", "2"]
            client.say("D", _11="order-2", _55="XYZ", _54="1", _38="100", _40="1")
            told = client.hear()
            assert (told["11"], told["58"]) == ("order-2", "unknown symbol")
            client.say("5")
            assert client.hear()["35"] == "5"
            assert file.read() == b""
    with connection(mock.ports["broker"]) as file:
        client = Fix(file)
        client.say("A", _98="0", _108="0.1")
        assert [client.hear()["35"] for _ in range(3)] == ["A", "0", "0"]
        client.say("1", _112="still-there")
        assert any(client.hear().get("112") == "still-there" for _ in range(100))  # heartbeats go on beside it
    assert mock.status()["services"]["broker"]["misses"] == 0


# --- ISO 8583 -----------------------------------------------------------------------------------------


def iso(mti: str, **fields: str) -> bytes:
    """A message of the fields that this client uses."""
    numbers = {int(name.lstrip("_")): value for name, value in fields.items()}
    wide = any(number > 64 for number in numbers)
    bits = sum(1 << (128 if wide else 64) - number for number in numbers) | (1 << 127 if wide else 0)
    body = mti.encode() + bits.to_bytes(16 if wide else 8)
    for number, value in sorted(numbers.items()):
        body += (
            f"{len(value):02d}{value}" if number == 2 else value.ljust(8) if number == 41 else value
        ).encode()
    return struct.pack(">H", len(body)) + body


def test_iso_8583(serve: Callable[[str], Mock]) -> None:
    mock = serve("iso8583")
    with connection(mock.ports["issuer"]) as file:

        def tell() -> bytes:
            data: bytes = file.read(struct.unpack(">H", file.read(2))[0])
            return data

        card = {"_2": "4111111111111111", "_3": "001000", "_41": "TERM1"}
        say(file, iso("0200", **card, _4="000000009900", _11="000042"))
        assert tell() == iso("0210", **card, _4="000000009900", _11="000042", _38="A1B2C3", _39="00")[2:]
        say(file, iso("0200", **card, _4="000000990000", _11="000043"))
        assert tell() == iso("0210", **card, _4="000000990000", _11="000043", _39="51")[2:]
        say(file, iso("0800", _7="1231235959", _11="000044", _70="301"))
        assert tell() == iso("0810", _7="1231235959", _11="000044", _39="00", _70="301")[2:]
    assert mock.status()["services"]["issuer"]["misses"] == 0


# --- HL7 ----------------------------------------------------------------------------------------------


def test_hl7(serve: Callable[[str], Mock]) -> None:
    mock = serve("hl7")
    with connection(mock.ports["index"]) as file:

        def ask(ident: str, kind: str, *segments: str) -> list[list[str]]:
            head = f"MSH|^~\\&|LAB|NORTH|EAST|HOSPITAL|20270101||{kind}|{ident}|P|2.5"
            say(file, b"\x0b" + "".join(f"{line}\r" for line in (head, *segments)).encode() + b"\x1c\r")
            data = b""
            while not data.endswith(b"\x1c\r"):
                data += file.read(1)
            assert data.startswith(b"\x0b")
            return [line.split("|") for line in data[1:-3].decode().split("\r")]

        told = ask("m1", "ADT^A01", "EVN|A01|2027", "PID|1||12345^^^HOSPITAL^MR||DOE^JANE")
        assert told[0][2:6] == ["EAST", "HOSPITAL", "LAB", "NORTH"]
        sent = datetime.strptime(told[0][6] + "+0000", "%Y%m%d%H%M%S%z")
        assert abs(datetime.now(UTC) - sent) < timedelta(hours=1)
        assert told[1] == ["MSA", "AA", "m1"]
        assert ask("m2", "ADT^A01", "PID|1||99^^^HOSPITAL^MR")[1] == ["MSA", "AE", "m2", "unknown patient"]
        miss = ask("m3", "ORU^R01", "PID|1")
        assert miss[1][:2] == ["MSA", "AR"]
        assert miss[1][3].startswith("svcmock why m-")
        head = "MSH|^~\\&|WARD|HOSPITAL|INDEX|HOSPITAL|20280101||QBP^Q22|77|P|2.5\r"
        say(file, b"\x0b" + f"{head}QPD|Q22^Find Candidates|Q-1|@PID.5.1^DOE\r".encode() + b"\x1c\r")
        data = b""
        while not data.endswith(b"\x1c\r"):
            data += file.read(1)
        assert b"\rMSA|AA|77\rPID|1||12345^^^HOSPITAL^MR||DOE^JANE\r" in data


# --- STOMP --------------------------------------------------------------------------------------------


def test_stomp(serve: Callable[[str], Mock]) -> None:
    mock = serve("stomp")
    with connection(mock.ports["broker"]) as file:

        def tell() -> tuple[str, dict[str, str], str]:
            data = b""
            while not data.endswith(b"\0"):
                data += file.read(1)
            head, _, body = data[:-1].decode().partition("\n\n")
            command, *headers = head.split("\n")
            return command, dict(line.split(":", 1) for line in headers), body

        say(file, b"CONNECT\naccept-version:1.2\nhost:/\n\n\0")
        assert tell() == ("CONNECTED", {"version": "1.2"}, "")
        say(file, b"SUBSCRIBE\nid:0\ndestination:/queue/orders\n\n\0")
        messages = [tell(), tell()]
        assert [(command, headers["message-id"], body) for command, headers, body in messages] == [
            ("MESSAGE", "1", "first"), ("MESSAGE", "2", "second"),
        ]  # fmt: skip
        say(file, b"SEND\ndestination:/queue/orders\n\nhello\0")
        say(file, b"\n\n")  # heartbeats, or the line end that some clients send after a frame
        say(file, b"SEND\ndestination:/queue/orders\nreceipt:r-7\n\nhello\0\n")
        assert tell() == ("RECEIPT", {"receipt-id": "r-7"}, "")
        say(file, b"DISCONNECT\nreceipt:r-8\n\n\0")
        assert tell() == ("RECEIPT", {"receipt-id": "r-8"}, "")
        assert file.read() == b""
    with connection(mock.ports["broker"]) as file:
        say(file, b"BEGIN\ntransaction:t\n\n\0")
        assert b"svcmock why m-" in file.read()
