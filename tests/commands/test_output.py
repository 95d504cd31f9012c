"""Facts for programs and for people."""

import json

import pytest

from svcmock.commands.output import complain, print_json, table


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stand to the right, and no line ends in blanks."""
    table(("name", "hits", "file"), [("a", 7, "-"), ("longer", 1234, "x")])
    assert capsys.readouterr().out == "name    hits  file\na          7  -\nlonger  1234  x\n"


def test_a_table_of_nothing_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name", "hits"), [])
    assert capsys.readouterr().out == "name  hits\n"


def test_json_keeps_letters(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Zoë", "n": [1]})
    text = capsys.readouterr().out
    assert "Zoë" in text
    assert json.loads(text) == {"name": "Zoë", "n": [1]}


def test_complaints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    complain("one", "two")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "svcmock: one\nsvcmock: two\n")
