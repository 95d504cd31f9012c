"""The READMEs of the protocols: every route in them is one, and every option, member and field is named."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from svcmock.noise import Noise
from svcmock.protocol import Blob, Context
from svcmock.registry import discover

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["redis", "postgres", "tcp"]
PLUGINS = discover().plugins
PAGES = {name: ROOT / "protocols/svcmock_protocols" / name / "README.md" for name in NAMES}
WRITTEN = re.compile(r"`((?:request|respond): \{.*?\})`")


def files(name: str) -> Blob:
    return Blob(name, 3, sha256="0" * 64)


def context(plugin: Any, **options: Any) -> Context:
    made = msgspec.convert(options, plugin.Options, strict=False)
    return Context(made, Noise(()), lambda secret: secret)


def routes(text: str) -> list[Any]:
    """What stands in a page as `request:` or `respond:`, in blocks that are set in."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    found = []
    for block in blocks:
        for part in re.split(r"(?m)^    (?=request:|respond:|---)", block)[1:]:
            if part.startswith("---"):
                continue
            lines = [line[4:] if line.startswith("    ") else line for line in part.splitlines()]
            value = yaml.safe_load("\n".join(lines))
            found += [(key, doc) for key, doc in value.items() if key in ("request", "respond")]
    return found


def accepted(name: str, key: str, doc: Any) -> None:
    plugin: Any = PLUGINS[name]
    framed = {"framing": {"delimiter": "\n"}, "pushes": True} if name == "tcp" and "tape" not in doc else {}
    made = context(plugin, **framed)
    if key == "request":
        plugin.request(msgspec.convert(doc, plugin.RequestDoc, strict=False), _Files(), made)
    else:
        plugin.reply(msgspec.convert(doc, plugin.ReplyDoc, strict=False), _Files(), made, None)


class _Files:
    def __call__(self, name: str) -> Blob:
        return files(name)

    def read(self, blob: Blob) -> bytes:
        return b"abc"


@pytest.mark.parametrize("name", NAMES)
def test_every_route_of_a_page_is_one(name: str) -> None:
    found = [(key, doc) for key, doc in routes(PAGES[name].read_text()) if "fields" not in doc]
    assert len(found) > 1
    for key, doc in found:
        accepted(name, key, doc)


@pytest.mark.parametrize("name", NAMES)
def test_the_routes_that_the_reference_shows(name: str) -> None:
    page = (ROOT / "docs/route-files.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    found = [yaml.safe_load(one) for one in WRITTEN.findall(row)]
    assert [key for one in found for key in one] == ["request", "respond"]
    for one in found:
        for key, doc in one.items():
            accepted(name, key, doc)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_explained(name: str) -> None:
    plugin: Any = PLUGINS[name]
    quoted = {
        word
        for line in PAGES[name].read_text().splitlines()
        for code in re.findall(r"`([^`]+)`", line)
        for word in re.findall(r"\w+", code)
    }
    known = [*plugin.field_names]
    for kind in (plugin.Options, plugin.RequestDoc, plugin.ReplyDoc):
        known += [field.encode_name for field in msgspec.structs.fields(kind)]
    assert [one for one in known if one not in quoted] == []
