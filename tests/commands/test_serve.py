"""The variables that point an application at the mock."""

from pathlib import Path

from svcmock.commands.serve import known_protocols, variables
from svcmock.config import parse_graph
from svcmock.model import Graph

PLUGINS = known_protocols()


def graph(root: Path, services: str) -> Graph:
    made, problems = parse_graph(f"version: 1\nservices: {services}\n".encode(), root, PLUGINS)
    assert made is not None, problems
    return made


def test_a_wildcard_is_reached_on_the_loopback(tmp_path: Path) -> None:
    made = graph(tmp_path, "{a: {listen: '0.0.0.0:0'}, b: {listen: '[::]:0'}}")
    found = variables(made, {"a": "0.0.0.0:81", "b": "[::]:82"}, PLUGINS)
    assert found == {
        "A_URL": "http://127.0.0.1:81",
        "A_HOST": "127.0.0.1",
        "A_PORT": "81",
        "B_URL": "http://[::1]:82",
        "B_HOST": "::1",
        "B_PORT": "82",
    }


def test_a_unix_socket_is_a_path(tmp_path: Path) -> None:
    made = graph(tmp_path, "{orders-db.v2: {listen: 'unix:a b.sock'}}")
    found = variables(made, {"orders-db.v2": f"unix:{tmp_path}/a b.sock"}, PLUGINS)
    assert found == {"ORDERS_DB_V2_SOCKET": f"{tmp_path}/a b.sock"}


def test_with_tls_the_client_is_told_whom_to_trust(tmp_path: Path) -> None:
    made = graph(tmp_path, "{a: {listen: 0, tls: auto}}")
    found = variables(made, {"a": "127.0.0.1:81"}, PLUGINS)
    assert found["A_URL"] == "https://127.0.0.1:81"
    assert Path(found["SSL_CERT_FILE"]).is_file()
