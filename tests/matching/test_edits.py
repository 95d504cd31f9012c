"""Applying an edit, and which ones are not given; that those given work is tested with explanations."""

from pathlib import Path
from typing import Any

import pytest

from svcmock.matching.edits import MAX_EDIT, applied
from tests.routes import request, responder


def test_an_edit_that_leads_through_a_value_is_none() -> None:
    with pytest.raises(LookupError):
        applied({"match": {"path": "/a"}}, {"set": {"match.path.x": 1}})
    assert applied({"a": {"b": 1}}, {"remove": ["a.b"], "set": {"c.d": 2}}) == {"a": {}, "c": {"d": 2}}


def test_applying_leaves_the_document_as_it_was() -> None:
    doc: dict[str, Any] = {"match": {"json": {"a": 1}}}
    assert applied(doc, {"set": {"match.json.a": 2}}) == {"match": {"json": {"a": 2}}}
    assert doc == {"match": {"json": {"a": 1}}}


def test_an_edit_of_more_than_a_person_reads_is_not_given(tmp_path: Path) -> None:
    served = responder(tmp_path, {"request": {"path": "/a"}, "respond": {}})
    long = served.explain(request("/" + "b" * MAX_EDIT), 1).nearest[0]
    assert long.edit is None
    short = served.explain(request("/" + "b" * 100), 1).nearest[0]
    assert short.edit == {"set": {"request.path": "/" + "b" * 100}}


def test_a_body_that_would_need_a_file_of_its_own_is_not_suggested(tmp_path: Path) -> None:
    served = responder(tmp_path, {"request": {"method": "POST", "path": "/a", "body": "x"}, "respond": {}})
    asked = request("/a", "POST", body=bytes(range(256)) * 40, kind="application/octet-stream")
    assert served.explain(asked, 1).nearest[0].edit is None
