"""`svcmock.yaml` as a graph, and route files as route documents; every problem at once, with its place.

What needs no other service is decided where it is read; what does (two services on one address) afterwards.
File references (routes, certificates, tokens) stay inside the project after symlinks are resolved. Only a unix
socket may be an absolute path elsewhere: it is an address. Which protocols exist is passed in.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from svcmock.capabilities import Parametric, Vouching
from svcmock.convert import convert_all, unknown_key
from svcmock.documents import Where, finder, read, where
from svcmock.model import (
    FILE,
    Address,
    Admin,
    Graph,
    Limits,
    Policy,
    Problem,
    RouteDoc,
    Service,
    Tcp,
    Tls,
    Unix,
)
from svcmock.protocol import Doc, Invalid, Plugin
from svcmock.yamlin import Document

MAX_CONFIG = 1024 * 1024
"""Bytes of `svcmock.yaml`."""
MAX_ROUTE_FILES = 10_000
"""Route files of one service."""
MAX_ROUTE_PROBLEMS = 100
"""Problems told about one route file."""
MAX_DURATION = 1e7
"""Seconds; about four months."""
MAX_SOCKET_PATH = 107
"""Bytes of a unix socket's path (`sockaddr_un` of Linux, less its NUL)."""

_ENDINGS = (".yaml", ".yml", ".json", ".jsonl", ".ndjson")
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared, not listened on

Plugins: TypeAlias = Mapping[str, Plugin]
Problems: TypeAlias = list[Problem]


class _AdminDoc(Struct, forbid_unknown_fields=True):
    listen: int | str
    token_file: str | None = None


class _ServiceDoc(Struct, forbid_unknown_fields=True):
    listen: int | str
    protocol: str = "http"
    options: dict[str, Doc] = {}
    upstream: str | None = None
    preserve_host: bool = False
    upstream_verify: bool = True
    upstream_password_env: str | None = None
    routes: str | list[str] = ()  # type: ignore[assignment]  # an immutable default
    tls: str | dict[str, Doc] | None = None
    ignore: str | list[str] = ()  # type: ignore[assignment]
    policy: Policy = "sequence"
    seed: int = 0
    pace: float = 1.0
    limits: Limits = Limits()


class _GraphDoc(Struct, forbid_unknown_fields=True):
    version: Literal[1]
    services: dict[str, Doc]
    admin: Doc = None


# --- the graph ----------------------------------------------------------------------------------------


def load_graph(root: Path, plugins: Plugins) -> tuple[Graph | None, Problems]:
    """The project in `root` and everything that is wrong with it. None when there is an error among it."""
    path = root / FILE
    try:
        if path.stat().st_size > MAX_CONFIG:
            return None, [Problem(FILE, 1, 1, f"larger than {MAX_CONFIG} bytes")]
        data = path.read_bytes()
    except FileNotFoundError:
        hint = "to make one: `svcmock record --out DIR NAME:PORT=URL`"
        what = (
            f"no project: there is no {FILE} in `{root}`"
            if root.is_dir()
            else f"no project: no folder `{root}`"
        )
        return None, [Problem(FILE, 1, 1, f"{what}; {hint}")]
    except OSError as error:
        return None, [Problem(FILE, 1, 1, f"cannot be read: {error.strerror}")]
    return parse_graph(data, root, plugins)


def parse_graph(data: bytes, root: Path, plugins: Plugins) -> tuple[Graph | None, Problems]:
    """The text of a `svcmock.yaml` as the graph of the project in `root`; see `load_graph`."""
    documents, problems = read(data, FILE)
    if len(documents) != 1:
        if not problems:
            line = documents[1].line if documents else 1
            problems.append(Problem(FILE, line, 1, f"expected one document, got {len(documents)}"))
        return None, problems
    at = where(data, FILE, documents[0])
    graph, found = convert_all(documents[0].value, _GraphDoc, at)
    problems += found
    raw = documents[0].value
    raw_services = raw.get("services") if isinstance(raw, dict) else None
    reader = _Reader(Path(os.path.realpath(root)), plugins, problems)
    services: dict[str, Service] = {}
    for name, doc in (raw_services if isinstance(raw_services, dict) else {}).items():
        service = reader.service(name, doc, at.under("services", name))
        if service is not None:
            services[name] = service
    admin = reader.admin(raw.get("admin") if isinstance(raw, dict) else None, at.under("admin"))
    problems += _collisions(services, admin, at)
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    if graph is None or admin is None or any(problem.severity == "error" for problem in ordered):
        return None, ordered
    return Graph(str(reader.root), services, admin), ordered


class _Reader:
    """Reads the parts of one graph; what is wrong is added to `problems`."""

    def __init__(self, root: Path, plugins: Plugins, problems: Problems) -> None:
        self.root = root
        self._plugins = plugins
        self._problems = problems

    def _wrong(self, at: Where, message: str, *path: str | int, warning: bool = False) -> None:
        self._problems.append(at.problem(path, message, "warning" if warning else "error"))

    def service(self, name: str, doc: Doc, at: Where) -> Service | None:
        """None when it cannot be made; when it comes with errors, it is only good for cross-checks."""
        if not _is_name(name):
            self._wrong(at, f"`{name}` is no service name: letters, digits, `-`, `_` and `.`, at most 64")
        read_, found = convert_all(doc, _ServiceDoc, at)
        self._problems += found
        if read_ is None:
            return None
        listen = self._address(read_.listen, at.under("listen"))
        plugin = self._plugins.get(read_.protocol)
        if plugin is None:
            known = sorted({known.name for known in self._plugins.values()})
            self._wrong(at, f"unknown protocol `{read_.protocol}`; known here: {', '.join(known)}", "protocol")
            options: object = None
        else:
            options, found = convert_all(read_.options, plugin.Options, at.under("options"))
            self._problems += found
        vouches = isinstance(plugin, Vouching) and options is not None and plugin.vouches(options)
        self._check_upstream(read_.upstream, plugin, at, vouches=vouches)
        if read_.upstream_password_env is not None and plugin is not None and not vouches:
            why = "clients log in themselves: it is for protocols and `options` with which the recorder does"
            self._wrong(at, why, "upstream_password_env")
        routes = tuple([read_.routes] if isinstance(read_.routes, str) else read_.routes)
        self._check_routes(routes, isinstance(read_.routes, str), at.under("routes"))
        ignore = tuple([read_.ignore] if isinstance(read_.ignore, str) else read_.ignore)
        self._check_ignore(ignore, plugin, isinstance(read_.ignore, str), at.under("ignore"))
        tls = self._tls(read_.tls, at.under("tls"))
        if read_.pace < 0:
            self._wrong(at, "expected a number >= 0", "pace")
        if listen is None:
            return None
        return Service(
            name=name,
            listen=listen,
            protocol=plugin.name if plugin else read_.protocol,
            options=options,
            upstream=read_.upstream,
            preserve_host=read_.preserve_host,
            upstream_verify=read_.upstream_verify,
            upstream_password_env=read_.upstream_password_env,
            routes=routes,
            tls=tls,
            ignore=ignore,
            policy=read_.policy,
            seed=read_.seed,
            pace=read_.pace,
            limits=read_.limits,
            line=at.find(at.base)[0],
        )

    def admin(self, doc: Doc, at: Where) -> Admin | None:
        if doc is None:
            return Admin(Unix(str(self.root / ".svcmock" / "control.sock")))
        read_, found = convert_all(doc, _AdminDoc, at)
        self._problems += found
        if read_ is None:
            return None
        listen = self._address(read_.listen, at.under("listen"))
        if read_.token_file is not None:
            self._check_file(read_.token_file, at.under("token_file"))
        if isinstance(listen, Tcp) and read_.token_file is None:
            self._wrong(at, "a control API on TCP needs `token_file`; or listen on unix:PATH", "listen")
        return None if listen is None else Admin(listen, read_.token_file)

    def _address(self, value: int | str, at: Where) -> Address | None:
        try:
            return address(value, self.root)
        except Invalid as error:
            self._wrong(at, error.why)
            return None

    def _check_upstream(self, url: str | None, plugin: Plugin | None, at: Where, *, vouches: bool) -> None:
        if url is None or plugin is None:
            return
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            self._wrong(at, f"`{url}` is no URL: {error}", "upstream")
            return
        schemes = ", ".join(f"{scheme}://" for scheme in plugin.schemes)
        known = plugin.upstream_parameters if isinstance(plugin, Parametric) else frozenset()
        if parts.scheme not in plugin.schemes:
            self._wrong(
                at, f"an upstream of protocol {plugin.name} begins with {schemes}, not `{url}`", "upstream"
            )
        elif not host:
            self._wrong(at, f"`{url}` names no host", "upstream")
        elif vouches and parts.password is not None:
            why = "an upstream takes no password: `upstream_password_env` names the variable that has it"
            self._wrong(at, why, "upstream")
        elif not vouches and (parts.username is not None or parts.password is not None):
            # not quoted: it would end up in logs
            why = "an upstream takes no credentials: clients send their own"
            if isinstance(plugin, Vouching):
                why += ", unless `options` say that the recorder logs in itself"
            self._wrong(at, why, "upstream")
        elif known and (unknown := _names(parts.query) - known):
            why = f"an upstream of protocol {plugin.name} has no parameter `{min(unknown)}`"
            self._wrong(at, why, "upstream")
        elif parts.path not in ("", "/") or parts.fragment or (parts.query and not known):
            why = "an upstream is scheme://host:port: requests keep the path that clients ask for"
            self._wrong(at, f"{why} (`{url}`)", "upstream")

    def _check_routes(self, routes: tuple[str, ...], single: bool, at: Where) -> None:
        for index, pattern in enumerate(routes):
            place = at if single else at.under(index)
            try:
                files = matches(self.root, pattern)
            except Invalid as error:
                self._wrong(place, error.why)
                continue
            if not files:
                self._wrong(place, f"`{pattern}` matches no route file", warning=True)
            elif len(files) > MAX_ROUTE_FILES:
                self._wrong(place, f"`{pattern}` matches more than {MAX_ROUTE_FILES} files")

    def _check_ignore(self, patterns: tuple[str, ...], plugin: Plugin | None, single: bool, at: Where) -> None:
        for index, pattern in enumerate(patterns):
            why = "" if plugin is None else unknown_noise(pattern, plugin)
            if why:
                self._wrong(at if single else at.under(index), why)

    def _tls(self, doc: str | dict[str, Doc] | None, at: Where) -> Tls | None:
        if doc is None:
            return None
        if isinstance(doc, str):
            if doc != "auto":
                self._wrong(at, f"expected `auto` or a mapping, got `{doc}`")
            return Tls(auto=True)
        tls, found = convert_all(doc, Tls, at)
        self._problems += found
        if tls is None:
            return None
        if tls.auto and (tls.cert or tls.key):
            self._wrong(at, "`auto` and a certificate of one's own exclude each other")
        elif not tls.auto and not (tls.cert and tls.key):
            self._wrong(at, "`tls` needs `cert` and `key`, or `auto: true`")
        if tls.client and not tls.client_ca:
            self._wrong(
                at, "`client` needs `client_ca`: the CA that signed the clients' certificates", "client"
            )
        for name in ("cert", "key", "client_ca"):
            file = getattr(tls, name)
            if file is not None:
                self._check_file(file, at.under(name))
        return tls

    def _check_file(self, name: str, at: Where) -> None:
        try:
            path = confined(self.root, name)
            if not path.is_file():
                self._wrong(at, f"there is no file `{name}`")
        except Invalid as error:
            self._wrong(at, error.why)


def _names(query: str) -> set[str]:
    """The parameters in the query of a URL."""
    return {name for name, _ in parse_qsl(query, keep_blank_values=True)}


def _is_name(name: str) -> bool:
    """A service's name becomes a folder's: nothing that means something to a file system or a shell."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    return name[:1].isalnum() and name.isascii() and plain.isalnum() and len(name) <= 64


def unknown_noise(pattern: str, plugin: Plugin) -> str:
    """What is wrong with a noise path that begins with no field of the protocol; empty if nothing is."""
    root = pattern.removeprefix("!").partition(".")[0]
    return "" if "*" in root or root in plugin.field_names else unknown_key(root, plugin.field_names)


def address(value: int | str, root: Path) -> Address:
    """`8081` (on loopback), `host:port`, `[::1]:80` or `unix:path` (relative to `root`). Raises Invalid."""
    text = str(value)
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path:
            raise Invalid((), "`unix:` needs a path")
        full = path if path.startswith("/") else str(confined(root, path))
        if len(os.fsencode(full)) > MAX_SOCKET_PATH:
            raise Invalid((), f"the socket's path `{full}` is longer than {MAX_SOCKET_PATH} bytes")
        return Unix(full)
    host, colon, port = text.rpartition(":")
    if not colon:
        host = "127.0.0.1"
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Invalid((), f"write an IPv6 address in brackets: `[{host}]:{port}`")
    if not host:
        raise Invalid(
            (), f"`{text}` names no host; 0.0.0.0:{port} is every interface, {port} alone is loopback"
        )
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise Invalid((), f"expected a port (0 to 65535), host:port or unix:path, got `{text}`")
    return Tcp(host, int(port))


def confined(root: Path, name: str) -> Path:
    """The file `name` of the project, symlinks resolved. Raises Invalid when that is outside of `root`."""
    if "\0" in name or not name:
        raise Invalid((), "expected the name of a file")
    real_root = os.path.realpath(root)
    path = os.path.realpath(os.path.join(real_root, name))  # noqa: PTH118  realpath resolves `..` after symlinks
    if path != real_root and not path.startswith(real_root.rstrip(os.sep) + os.sep):
        raise Invalid((), f"`{name}` is outside of the project")
    return Path(path)


def duration(value: str | float, *at: str | int) -> float:
    """`20ms`, `1.5s`, `2m`, or a number of seconds, as seconds. Raises Invalid."""
    wrong = Invalid(at, f"expected a duration such as 20ms, 1.5s, 2m or 0.5, got `{value}`")
    if not isinstance(value, str):
        if isinstance(value, bool) or not 0 <= value < MAX_DURATION:
            raise wrong
        return float(value)
    text, unit = value.strip(), 1.0
    for ending, factor in _UNITS.items():
        if text.endswith(ending):
            text, unit = text.removesuffix(ending).strip(), factor
            break
    number = text.replace(".", "", 1)
    if not (number.isascii() and number.isdigit() and len(text) <= 20) or float(text) * unit >= MAX_DURATION:
        raise wrong
    return float(text) * unit


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _collisions(services: dict[str, Service], admin: Admin | None, at: Where) -> Iterator[Problem]:
    """Addresses that two want. A wildcard takes the port of every host."""
    taken: list[tuple[str, Address]] = []
    wanted: list[tuple[str, Address, tuple[str, ...]]] = [
        (f"service `{name}`", service.listen, ("services", name, "listen"))
        for name, service in services.items()
    ]
    if admin is not None:
        wanted.append(("the control API", admin.listen, ("admin", "listen")))
    for who, listen, path in wanted:
        other = next((known for known, address_ in taken if _collide(listen, address_)), None)
        if other is not None:
            yield at.problem(path, f"{who} listens on {listen}, and so does {other}")
        taken.append((who, listen))


def _collide(one: Address, other: Address) -> bool:
    if isinstance(one, Tcp) and isinstance(other, Tcp):
        hosts = {one.host.lower(), other.host.lower()}
        loopback = hosts <= {"localhost", "127.0.0.1"} or hosts <= {"localhost", "::1"}
        return one.port == other.port != 0 and (len(hosts) == 1 or loopback or bool(hosts & _WILDCARDS))
    return one == other


# --- route files --------------------------------------------------------------------------------------


def route_files(graph: Graph, service: Service) -> list[tuple[str, Path]]:
    """The route files of `service`, each once: name relative to the project, and path. Sorted by name."""
    files: dict[str, Path] = {}
    for pattern in service.routes:
        try:
            files.update(matches(Path(graph.root), pattern))
        except Invalid:  # load_graph told it; a file that appeared since is not worth a stop
            continue
    return sorted(files.items())[:MAX_ROUTE_FILES]


def matches(root: Path, pattern: str, endings: tuple[str, ...] = _ENDINGS) -> dict[str, Path]:
    """What `pattern` stands for: a file, those in a folder that end so, a glob.

    Raises Invalid when that leaves the project.
    """
    if Path(pattern).is_absolute() or not pattern or "\0" in pattern:
        raise Invalid((), f"`{pattern}` is outside of the project: name files relative to it")
    if any(part == ".." for part in Path(pattern).parts):
        raise Invalid((), f"`{pattern}` is outside of the project")
    literal = root / pattern
    try:
        found = [literal] if literal.exists() else sorted(root.glob(pattern)) if _is_glob(pattern) else []
    except (ValueError, NotImplementedError) as error:
        raise Invalid((), f"`{pattern}`: {error}") from None
    files: dict[str, Path] = {}
    for path in found:
        confined(root, str(path.relative_to(root)))
        for file in _below(path, endings) if path.is_dir() else (path,):
            name = str(file.relative_to(root))
            confined(root, name)
            if file.is_file():
                files[name] = file
            if len(files) > MAX_ROUTE_FILES:
                return files
    return files


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


def _below(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Files in `folder` and below, without symlinked folders and `bodies/`, which routes refer to."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "bodies" and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(endings) and not name.startswith("."):
                yield Path(parent, name)


class Located(Struct, frozen=True):
    """A route document, its first line, and where its nodes stand."""

    route: RouteDoc
    line: int
    where: Where


def route_docs(data: bytes, name: str) -> tuple[list[Located], Problems]:
    """The route documents of a file: one, a list of them, or many YAML documents. Broken ones are left out."""
    documents, problems = read(data, name)
    routes: list[Located] = []
    locate = finder(data, name)
    for document in documents:
        for value, line, path in _entries(document):
            at = locate(document).under(*path)
            route = _route(value, at, problems)
            if route is not None:
                routes.append(Located(route, line, at))
            if len(problems) > MAX_ROUTE_PROBLEMS:
                problems[MAX_ROUTE_PROBLEMS:] = [Problem(name, line, 1, "and more: the rest is not looked at")]
                return routes, problems
    return routes, problems


def _entries(document: Document) -> Iterator[tuple[Doc, int, tuple[int, ...]]]:
    if isinstance(document.value, list):
        for index, (value, line) in enumerate(zip(document.value, document.lines, strict=True)):
            yield value, line, (index,)
    elif document.value is not None:
        yield document.value, document.line, ()


def _route(value: Doc, at: Where, problems: Problems) -> RouteDoc | None:
    route, found = convert_all(value, RouteDoc, at)
    if route is not None and route.delay is not None:
        try:
            duration(route.delay, "delay")
        except Invalid as error:
            found.append(at.problem(error.at, error.why))
    problems += found
    return None if route is None or found else route
