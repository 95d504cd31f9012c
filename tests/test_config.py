"""`svcmock.yaml` and route files: what they mean, and every problem at once with its place."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from svcmock.config import (
    address,
    confined,
    duration,
    load_graph,
    parse_graph,
    route_docs,
    route_files,
)
from svcmock.model import Admin, Graph, Limits, Service, Tcp, Tls, Unix
from svcmock.protocol import Invalid
from svcmock_protocols.postgres import plugin as postgres


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    miss_status: Annotated[int, Meta(ge=100, le=599)] = 501


class Http:
    """What of a protocol the configuration looks at."""

    name = "http"
    schemes: Mapping[str, int] = {"http": 80, "https": 443}
    field_names = ("headers", "json", "query")
    Options = Options


class Database(Http):
    """One whose upstreams may say more than where they are."""

    name = "db"
    schemes: Mapping[str, int] = {"db": 5432}
    upstream_parameters = frozenset({"sslmode", "channel_binding"})


ONLY_A_HOST = "an upstream is scheme://host:port: requests keep the path that clients ask for"
PLUGINS: Any = {"http": Http(), "http1": Http()}


def graph_of(root: Path, text: str) -> Graph:
    graph, problems = parse_graph(text.encode(), root, PLUGINS)
    assert [str(problem) for problem in problems] == []
    assert graph is not None
    return graph


def told(root: Path, text: str) -> list[str]:
    return [str(problem) for problem in parse_graph(text.encode(), root, PLUGINS)[1]]


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("respond: {}\n")


def test_a_graph_with_everything(tmp_path: Path) -> None:
    write(tmp_path, "routes/a.yaml", "c.pem", "k.pem", "ca.pem", "token")
    graph = graph_of(
        tmp_path,
        """
version: 1
services:
  catalog:
    listen: 8081
    protocol: http1
    options: {miss_status: 404}
    upstream: http://catalog:80
    preserve_host: true
    upstream_verify: false
    routes: [routes/*.yaml]
    tls: auto
    ignore: [headers.traceparent]
    policy: cycle
    seed: 7
    pace: 0
    limits: {idle: 5, connections: 10}
  other: {listen: "0.0.0.0:8082", routes: routes/,
          tls: {cert: c.pem, key: k.pem, client_ca: ca.pem, client: required}}
  six: {listen: "[::1]:8081"}
  sock: {listen: unix:run/s.sock}
admin: {listen: "127.0.0.1:9000", token_file: token}
""",
    )
    root = os.path.realpath(tmp_path)
    assert graph == Graph(
        root,
        {
            "catalog": Service(
                "catalog",
                Tcp("127.0.0.1", 8081),
                "http",
                Options(404),
                "http://catalog:80",
                True,
                False,
                ("routes/*.yaml",),
                Tls(auto=True),
                ("headers.traceparent",),
                "cycle",
                7,
                0.0,
                Limits(connections=10, idle=5.0),
                4,
            ),
            "other": Service(
                "other",
                Tcp("0.0.0.0", 8082),
                options=Options(),
                routes=("routes/",),
                tls=Tls(cert="c.pem", key="k.pem", client_ca="ca.pem", client="required"),
                line=18,
            ),
            "six": Service("six", Tcp("::1", 8081), options=Options(), line=20),
            "sock": Service("sock", Unix(f"{root}/run/s.sock"), options=Options(), line=21),
        },
        Admin(Tcp("127.0.0.1", 9000), "token"),
    )


def test_the_smallest_graph(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "{version: 1, services: {}}")
    assert graph.services == {}
    assert graph.admin == Admin(Unix(f"{os.path.realpath(tmp_path)}/.svcmock/control.sock"))


def test_every_problem_at_once(tmp_path: Path) -> None:
    assert told(
        tmp_path,
        """\
version: 2
servces: {}
services:
  a: {lisen: 8081, listen: 80810}
  b:
    listen: 8082
    protocol: htpp
    routes: ../up
  c:
    listen: 8082
    options: {miss_status: 7, x: 1}
    upstream: redis://x
    tls: {cert: gone.pem}
    pace: -1
  d: {listen: "0.0.0.0:8082", tls: yes, policy: any, routes: [none/*.yaml]}
  "e/f": {listen: 1}
  g: 5
admin: {listen: 9000}
""",
    ) == [
        "svcmock.yaml:1:1: expected `1`, got `2`",
        "svcmock.yaml:2:1: unknown key `servces`; did you mean `services`?",
        "svcmock.yaml:4:7: unknown key `lisen`; did you mean `listen`?",
        "svcmock.yaml:4:20: expected a port (0 to 65535), host:port or unix:path, got `80810`",
        "svcmock.yaml:7:5: unknown protocol `htpp`; known here: http",
        "svcmock.yaml:8:5: `../up` is outside of the project",
        "svcmock.yaml:10:5: service `c` listens on 127.0.0.1:8082, and so does service `b`",
        "svcmock.yaml:11:15: expected a whole number >= 100",
        "svcmock.yaml:11:31: unknown key `x`; known here: miss_status",
        "svcmock.yaml:12:5: an upstream of protocol http begins with http://, https://, not `redis://x`",
        "svcmock.yaml:13:5: `tls` needs `cert` and `key`, or `auto: true`",
        "svcmock.yaml:13:11: there is no file `gone.pem`",
        "svcmock.yaml:14:5: expected a number >= 0",
        "svcmock.yaml:15:7: service `d` listens on 0.0.0.0:8082, and so does service `b`",
        "svcmock.yaml:15:31: expected `auto` or a mapping, got `yes`",
        "svcmock.yaml:15:41: expected `cycle` or `once` or `random` or `sequence`, got `any`",
        "svcmock.yaml:15:63: warning: `none/*.yaml` matches no route file",
        "svcmock.yaml:16:3: `e/f` is no service name: letters, digits, `-`, `_` and `.`, at most 64",
        "svcmock.yaml:17:3: expected a mapping, got a whole number",
        "svcmock.yaml:18:9: a control API on TCP needs `token_file`; or listen on unix:PATH",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "svcmock.yaml:1:1: expected one document, got 0"),
        ("a: 1\n---\nb: 2\n", "svcmock.yaml:3:1: expected one document, got 2"),
        ("version: 1\nservices: [", "svcmock.yaml:3:1: did not find expected node content"),
        ("services: {}", "svcmock.yaml:1:1: the key `version` is missing"),
        ("[]", "svcmock.yaml:1:1: expected a mapping, got a list"),
    ],
)
def test_a_graph_that_is_none(tmp_path: Path, text: str, problem: str) -> None:
    graph, problems = parse_graph(text.encode(), tmp_path, PLUGINS)
    assert graph is None
    assert str(problems[0]).startswith(problem)


def test_a_warning_does_not_keep_from_serving(tmp_path: Path) -> None:
    graph, problems = parse_graph(b"{version: 1, services: {a: {listen: 1, routes: new/}}}", tmp_path, PLUGINS)
    assert graph is not None
    assert [problem.severity for problem in problems] == ["warning"]


def test_no_project_says_what_to_do(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "gone"):
        graph, (problem,) = load_graph(root, PLUGINS)
        assert graph is None
        assert "no project" in problem.message
        assert "svcmock record --out DIR NAME:PORT=URL" in problem.message


def test_a_project_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "svcmock.yaml").write_text("{version: 1, services: {a: {listen: 1}}}")
    graph, problems = load_graph(tmp_path, PLUGINS)
    assert graph is not None
    assert problems == []
    (tmp_path / "svcmock.yaml").write_text(" " * (1024 * 1024 + 1))
    assert "larger than" in load_graph(tmp_path, PLUGINS)[1][0].message
    (tmp_path / "svcmock.yaml").unlink()
    (tmp_path / "svcmock.yaml").mkdir()
    assert "cannot be read" in load_graph(tmp_path, PLUGINS)[1][0].message


@pytest.mark.parametrize(
    ("value", "want"),
    [
        (8081, Tcp("127.0.0.1", 8081)),
        ("8081", Tcp("127.0.0.1", 8081)),
        (0, Tcp("127.0.0.1", 0)),
        ("localhost:1", Tcp("localhost", 1)),
        ("[::1]:80", Tcp("::1", 80)),
        ("unix:/run/x.sock", Unix("/run/x.sock")),
    ],
)
def test_addresses(tmp_path: Path, value: int | str, want: Any) -> None:
    assert address(value, tmp_path) == want


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-1, "expected a port"),
        (65536, "expected a port"),
        ("host", "expected a port"),
        ("host:", "expected a port"),
        ("host:٣", "expected a port"),
        ("::1:80", "write an IPv6 address in brackets: `[::1]:80`"),
        (":80", "names no host; 0.0.0.0:80 is every interface"),
        ("unix:", "`unix:` needs a path"),
        ("unix:../x", "outside of the project"),
        ("unix:/" + "x" * 107, "longer than 107 bytes"),
    ],
)
def test_addresses_that_are_none(tmp_path: Path, value: int | str, why: str) -> None:
    with pytest.raises(Invalid) as error:
        address(value, tmp_path)
    assert why in error.value.why


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("8081", "8081", True),
        ("8081", "8082", False),
        ("0", "0", False),
        ("0.0.0.0:8081", "127.0.0.1:8081", True),
        ("[::]:8081", "127.0.0.1:8081", True),
        ("localhost:8081", "8081", True),
        ("localhost:8081", "[::1]:8081", True),
        ("127.0.0.2:8081", "8081", False),
        ("10.0.0.1:8081", "10.0.0.2:8081", False),
        ("unix:a", "unix:./a", True),
        ("unix:a", "unix:b", False),
    ],
)
def test_two_services_on_one_address(tmp_path: Path, one: str, other: str, collide: bool) -> None:
    text = f'{{version: 1, services: {{a: {{listen: "{one}"}}, b: {{listen: "{other}"}}}}}}'
    assert ["and so does service `a`" in problem for problem in told(tmp_path, text)] == [True] * collide


def test_the_control_api_is_one_who_listens(tmp_path: Path) -> None:
    write(tmp_path, "t")
    text = "{version: 1, services: {a: {listen: 9}}, admin: {listen: 9, token_file: t}}"
    assert told(tmp_path, text) == [
        "svcmock.yaml:1:50: the control API listens on 127.0.0.1:9, and so does service `a`"
    ]


@pytest.mark.parametrize(
    ("tls", "why"),
    [
        ("{auto: true, cert: c, key: c}", "exclude each other"),
        ("{cert: c}", "needs `cert` and `key`"),
        ("{auto: true, client: required}", "`client` needs `client_ca`"),
        ("{cert: c, key: out}", "`out` is outside of the project"),
        ("{cert: c, key: /etc/hostname}", "outside of the project"),
        ("{atuo: true}", "did you mean `auto`?"),
    ],
)
def test_tls_that_cannot_be(tmp_path: Path, tls: str, why: str) -> None:
    write(tmp_path, "c")
    (tmp_path / "out").symlink_to("/etc/hostname")
    problems = told(tmp_path, f"{{version: 1, services: {{a: {{listen: 1, tls: {tls}}}}}}}")
    assert any(why in problem for problem in problems), problems


def test_route_files_are_found_sorted_and_once(tmp_path: Path) -> None:
    write(
        tmp_path, "r/b.yaml", "r/a.yml", "r/sub/c.json", "r/sub/d.jsonl", "r/sub/x.txt",
        "r/bodies/e.yaml", "r/.hidden.yaml", "r/.git/f.yaml", "other/one.txt", "g/1.yaml", "g/2.yaml",
    )  # fmt: skip
    graph = graph_of(
        tmp_path,
        "{version: 1, services: {a: {listen: 1,"
        " routes: [r, r/b.yaml, 'g/*.yaml', other/one.txt, 'r/**/*.json']}}}",
    )
    found = route_files(graph, graph.services["a"])
    names = ["g/1.yaml", "g/2.yaml", "other/one.txt", "r/a.yml", "r/b.yaml", "r/sub/c.json", "r/sub/d.jsonl"]
    assert [name for name, _ in found] == names
    assert all(path.is_file() for _, path in found)


def test_route_files_do_not_leave_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, "r/a.yaml")
    write(tmp_path, "secret.yaml", "folder/x.yaml")
    (root / "r" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (root / "out").symlink_to(tmp_path / "folder")
    for pattern in (
        "r",
        "r/*.yaml",
        "r/link.yaml",
        "out",
        "out/x.yaml",
        "out/*.yaml",
        "../secret.yaml",
        "/etc",
    ):
        problems = told(root, f"{{version: 1, services: {{a: {{listen: 1, routes: ['{pattern}']}}}}}}")
        assert len(problems) == 1, pattern
        assert "outside of the project" in problems[0], pattern


def test_a_glob_that_is_none(tmp_path: Path) -> None:
    assert "**" in told(tmp_path, "{version: 1, services: {a: {listen: 1, routes: 'a/**b'}}}")[0]


def test_confined(tmp_path: Path) -> None:
    (tmp_path / "in").symlink_to("deep/er")
    root = Path(os.path.realpath(tmp_path))
    assert confined(tmp_path, "in/x") == root / "deep/er/x"
    assert confined(tmp_path, "a/../b") == root / "b"
    for name in ("", "..", "a/../../b", "x\0y", str(tmp_path) + "x"):
        with pytest.raises(Invalid):
            confined(tmp_path, name)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("250us", 0.00025),
        ("3", 3.0),
        (0, 0.0),
        (0.5, 0.5),
        ("1 s", 1.0),
    ],
)
def test_durations(value: str | float, seconds: float) -> None:
    assert duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ms",
        "-1s",
        "1.2.3s",
        "1e3s",
        "٣s",
        "5 days",
        "nan",
        True,
        -1,
        float("inf"),
        float("nan"),
        "9999999999h",
    ],
)
def test_durations_that_are_none(value: Any) -> None:
    with pytest.raises(Invalid, match="expected a duration"):
        duration(value, "delay")


def test_route_documents_know_their_lines() -> None:
    routes, problems = route_docs(
        b"respond: {status: 200}\n---\n- respond: 1\n- {respond: 2, delay: 20ms}\n---\n", "r.yaml"
    )
    assert problems == []
    assert [(located.route.respond, located.line) for located in routes] == [
        ({"status": 200}, 1),
        (1, 3),
        (2, 4),
    ]
    assert str(routes[2].where.problem(("delay",), "m")) == "r.yaml:4:16: m"


def test_route_documents_from_json() -> None:
    routes, problems = route_docs(
        b'[{"respond": 1},\n {"respond": 2, "nmae": "x"},\n {"respond": 3}]', "r.json"
    )
    assert [(located.route.respond, located.line) for located in routes] == [(1, 1), (3, 3)]
    assert [str(problem) for problem in problems] == ["r.json:2:17: unknown key `nmae`; did you mean `name`?"]
    routes, problems = route_docs(b'{"respond": 1}\n{"respond": 2, "delay": "x"}\n', "r.jsonl")
    assert [(located.route.respond, located.line) for located in routes] == [(1, 1)]
    assert [(problem.line, problem.column) for problem in problems] == [(2, 16)]


def test_broken_route_documents_are_told_and_left_out() -> None:
    text = b"respond: 1\npolicy: never\ndelay: soon\n---\nrequest: {}\n---\n"
    text += b"- respond: 2\n- 5\n- respond: 3\n  ignore: x\n"
    routes, problems = route_docs(text, "r.yaml")
    assert [located.route.respond for located in routes] == [2]
    assert [str(problem) for problem in problems] == [
        "r.yaml:2:1: expected `cycle` or `once` or `random` or `sequence`, got `never`",
        "r.yaml:3:1: expected a duration such as 20ms, 1.5s, 2m or 0.5, got `soon`",
        "r.yaml:5:1: the key `respond` is missing",
        "r.yaml:8:3: expected a mapping, got a whole number",
        "r.yaml:10:3: expected a list, got text",
    ]


def test_problems_of_one_file_are_bounded() -> None:
    routes, problems = route_docs(b"nope: 1\n---\n" * 5000, "r.yaml")
    assert routes == []
    assert len(problems) == 101
    assert problems[-1].message == "and more: the rest is not looked at"


@pytest.mark.parametrize(
    ("ignore", "problem"),
    [
        ("header.x-run", "unknown key `header`; did you mean `headers`?"),
        ("[json.at, '!quer.page']", "unknown key `quer`; did you mean `query`?"),
        ("[headers.x-run, json.items.*.at, '*.at']", None),
    ],
)
def test_noise_that_begins_with_no_field_is_told(tmp_path: Path, ignore: str, problem: str | None) -> None:
    text = f"version: 1\nservices:\n  a: {{listen: 8081, ignore: {ignore}}}\n"
    _, problems = parse_graph(text.encode(), tmp_path, PLUGINS)
    assert [found.message for found in problems] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://ann:s3cret@a:1", "an upstream takes no credentials: clients send their own"),
        ("http://:s3cret@a", "an upstream takes no credentials: clients send their own"),
        ("http://a/base", f"{ONLY_A_HOST} (`http://a/base`)"),
        ("http://a/?x=1", f"{ONLY_A_HOST} (`http://a/?x=1`)"),
        ("http://a/", None),
        ("https://a:8443", None),
    ],
)
def test_an_upstream_is_a_host_and_nothing_more(tmp_path: Path, url: str, problem: str | None) -> None:
    text = f'version: 1\nservices:\n  a: {{listen: 8081, upstream: "{url}"}}\n'
    _, problems = parse_graph(text.encode(), tmp_path, PLUGINS)
    assert [found.message for found in problems] == ([problem] if problem else [])


LOGS_IN = "options: {auth: terminate}"
NOT_ITSELF = "clients log in themselves: it is for protocols and `options` with which the recorder does"
OWN = "an upstream takes no credentials: clients send their own"
UNLESS = f"{OWN}, unless `options` say that the recorder logs in itself"
BY_NAME = "an upstream takes no password: `upstream_password_env` names the variable that has it"


@pytest.mark.parametrize(
    ("url", "more", "problem"),
    [
        ("postgres://app@db", f"{LOGS_IN}, upstream_password_env: DB", None),
        ("postgres://db", LOGS_IN, None),
        ("postgres://app:s3cret@db", LOGS_IN, BY_NAME),
        ("postgres://app@db", "options: {}", UNLESS),
        ("postgres://db", "options: {}, upstream_password_env: DB", NOT_ITSELF),
    ],
)
def test_a_recorder_that_logs_in_itself(tmp_path: Path, url: str, more: str, problem: str | None) -> None:
    text = f'version: 1\nservices:\n  a: {{listen: 8081, protocol: postgres, upstream: "{url}", {more}}}\n'
    graph, problems = parse_graph(text.encode(), tmp_path, {"postgres": postgres})
    assert [found.message for found in problems] == ([problem] if problem else [])
    assert graph is None or graph.services["a"].upstream_password_env in ("DB", None)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("db://a?sslmode=require", None),
        ("db://a:1/?sslmode=require&channel_binding=", None),
        ("db://a?sslmod=require", "an upstream of protocol db has no parameter `sslmod`"),
        ("db://a/base?sslmode=require", f"{ONLY_A_HOST} (`db://a/base?sslmode=require`)"),
        ("db://a/#x", f"{ONLY_A_HOST} (`db://a/#x`)"),
    ],
)
def test_parameters_of_an_upstream_are_those_its_protocol_has(
    tmp_path: Path, url: str, problem: str | None
) -> None:
    text = f'version: 1\nservices:\n  a: {{listen: 8081, protocol: db, upstream: "{url}"}}\n'
    plugins: Any = {"db": Database()}
    _, problems = parse_graph(text.encode(), tmp_path, plugins)
    assert [found.message for found in problems] == ([problem] if problem else [])
