"""`svcmock infer`: what a service's recordings would be like with other options, and those recordings."""

from pathlib import Path
from typing import Any

import msgspec

from svcmock.capabilities import Inferred, Inferring
from svcmock.commands import OK, PROBLEMS, USAGE
from svcmock.commands.output import complain, print_json
from svcmock.commands.serve import known_protocols
from svcmock.config import load_graph
from svcmock.files import SchemaFolder
from svcmock.model import FILE, Graph, Service
from svcmock.net.upstream import upstream
from svcmock.project import context_of
from svcmock.protocol import FACTS, Context, Exchange, Invalid, Plugin, ProtocolError
from svcmock.recording import Recording, RecordingError, keep, load_or_create_key, tokenizer
from svcmock.yamlout import emit

SHOWN_INDENT = "    "


def infer(root: Path, name: str, write: int | None, *, as_json: bool) -> int:
    """Print what would suit a service's recordings; with `write`, tell them again by that proposal."""
    plugins = known_protocols()
    graph, problems = load_graph(root, plugins)
    if graph is None:
        complain(*[str(problem) for problem in problems if problem.severity == "error"])
        return PROBLEMS
    service = graph.services.get(name)
    if service is None:
        complain(f"{root / FILE} has no service {name}; it has {', '.join(graph.services)}")
        return USAGE
    plugin = plugins[service.protocol]
    if not isinstance(plugin, Inferring):
        complain(f"{name}: there is nothing to infer in protocol {plugin.name}")
        return USAGE
    found = plugin.infer(service.options, SchemaFolder(root, service.routes))
    if write is None:
        _print(name, found, as_json=as_json)
        return OK if found else PROBLEMS
    if not 1 <= write <= len(found):
        complain(f"{name}: there is no proposal {write}, but {len(found)}")
        return USAGE
    return _retell(graph, service, plugin, found[write - 1])


def _print(name: str, found: Any, *, as_json: bool) -> None:
    if as_json:
        print_json([{"options": one.options, "why": one.why} for one in found])
        return
    if not found:
        complain(f"{name}: nothing fits all that was recorded")
        return
    for number, one in enumerate(found, 1):
        print(f"{number}. {one.why}\n{_shown(one.options)}")
    print(f"\nTo tell the recordings again by one of them: svcmock infer {name} --write 1")


def _shown(options: Any) -> str:
    lines = emit({"options": options}).splitlines()
    return "\n".join(f"{SHOWN_INDENT}{line}" for line in lines)


def _retell(graph: Graph, service: Service, plugin: Plugin, chosen: Inferred) -> int:
    """Write the recordings as they would have been made, into a folder of their own."""
    assert isinstance(plugin, Inferring)
    root = Path(graph.root)
    there = f"recordings/{service.name}-inferred"
    if (root / there).exists():
        complain(f"{root / there} is there already: remove it, or use what it has")
        return PROBLEMS
    options = msgspec.convert({**_plain(service.options), **chosen.options}, plugin.Options)
    changed = msgspec.structs.replace(service, options=options, upstream=service.upstream or _nowhere(plugin))
    folder = SchemaFolder(root, service.routes)
    token = tokenizer(load_or_create_key(root / ".svcmock" / "redaction.key"))
    context = context_of(changed, plugin, token)
    recording = Recording(root / there, "inferred.yaml", _none_spooled)
    written = 0
    facts: dict[str, Any] = {}
    try:
        for one in plugin.retold(context, upstream(changed, plugin)[0], folder):
            if isinstance(one, Exchange):
                _append(recording, plugin, one, context)
                written += 1
            else:
                facts[one.name] = one.value
        if facts:
            keep(root / there, FACTS, msgspec.json.encode(facts, order="sorted"))
    except (RecordingError, Invalid, ProtocolError, OSError) as error:
        complain(f"not written: {error}")
        return PROBLEMS
    finally:
        recording.close()
    print(f"{written} exchanges are in {there}. In {FILE}, for {service.name}:\n")
    print(f"{SHOWN_INDENT}routes: {there}/")
    print(_shown(chosen.options))
    return OK


def _append(recording: Recording, plugin: Plugin, one: Exchange, context: Context) -> None:
    documents = plugin.dump(one.request, one.reply, context)
    recording.append({"request": documents.request, "respond": documents.respond}, documents.files)


def _plain(options: Any) -> dict[str, Any]:
    """What of the options is not as by default."""
    default = type(options)()
    given = {name: getattr(options, name) for name in options.__struct_fields__}
    return {
        name: msgspec.to_builtins(value) for name, value in given.items() if value != getattr(default, name)
    }


def _nowhere(plugin: Plugin) -> str:
    """An upstream for a service that has none: nobody is asked."""
    return f"{next(iter(plugin.schemes))}://localhost:1"


def _none_spooled(_: object) -> Path:
    raise RecordingError("a recording is told again without its large bodies")
