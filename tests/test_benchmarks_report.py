"""Rows, tables and the plot of the benchmarks."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plot import bars, curves, svg
from benchmarks.report import BEGIN, END, Against, Goal, Result, Row, markdown, replaced, spread, table

NGINX = Against("nginx", (100.0,))


@pytest.mark.parametrize(
    ("ours", "theirs", "goal", "reached"),
    [
        ((40.0, 70.0, 50.0), (90.0, 100.0, 110.0), Goal(0.5), True),
        ((49.0,), (100.0,), Goal(0.5), False),
        ((2.0,), (1.0,), Goal(1, most=True, of="difference"), True),
        ((2.1,), (1.0,), Goal(1, most=True, of="difference"), False),
    ],
)
def test_a_goal_is_about_medians(
    ours: tuple[float, ...], theirs: tuple[float, ...], goal: Goal, reached: bool
) -> None:
    other = Against("nginx", theirs, goal=goal)
    assert Row("a", "requests/s", ours, (other,)).reached(goal, other) is reached


def test_a_goal_of_its_own() -> None:
    assert Row("a", "s", (0.4, 0.5, 0.6)).reached(Goal(0.5, most=True, of="value"))
    assert not Row("a", "s", (0.6,)).reached(Goal(0.5, most=True, of="value"))


def cells(rows: list[Row]) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()[2:]]


def test_a_table() -> None:
    rows = [
        Row("one", "s", (1.0, 3.0, 2.0), goal=Goal(5, most=True, of="value")),
        Row(
            "two",
            "r/s",
            (1000.0,),
            (
                Against("nginx", (4000.0,), 0.3, Goal(0.5)),
                Against("WireMock", (10.0,)),
            ),
        ),
        Row("three", "ms", (2.0,), (Against("nginx", (1.5,), goal=Goal(1, most=True, of="difference")),)),
        Row("four", "", (0,), goal=Goal(0, most=True, of="value")),
    ]
    assert cells(rows) == [
        ["one", "s", "2.00 (1.00-3.00)", "", "", "", "", "<= 5", "yes"],
        ["two", "r/s", "1,000", "nginx", "4,000", "0.25", "0.30", ">= 0.5", "NO"],
        ["", "", "", "WireMock", "10.0", "100.00", "", "", ""],
        ["three", "ms", "2.00", "nginx", "1.50", "1.33", "", "<= +1", "yes"],
        ["four", "", "0", "", "", "", "", "<= 0", "yes"],
    ]
    assert spread(()) == ""


def test_a_row_with_a_goal_of_its_own_and_others() -> None:
    row = Row("a", "ms", (2.0,), (Against("nginx", (4.0,)),), Goal(1, most=True, of="value"))
    assert [line[0] for line in cells([row])] == ["a", ""]
    assert [line[-1] for line in cells([row])] == ["NO", ""]


def test_a_section_of_a_document_is_replaced_and_nothing_else() -> None:
    old = f"a\n{BEGIN}\nold\n{END}\nz\n"
    new = replaced(old, "new\n")
    assert new == f"a\n{BEGIN}\n\nnew\n\n{END}\nz\n"
    assert replaced(new, "new\n") == new
    with pytest.raises(ValueError, match="has no lines"):
        replaced("nothing here", "x")


def result(*rows: Row, notes: tuple[str, ...] = ()) -> Result:
    return Result("2026-01-02", "2 cores <&>", "wrk", "svcmock, nginx", rows, notes)


def test_who_was_left_out_is_said() -> None:
    assert "\nLeft out:\n\n- WireMock: no java\n" in markdown(result(notes=("WireMock: no java",)))
    assert "Left out" not in markdown(result())


# --- the plot -----------------------------------------------------------------------------------------


def test_bars_are_ratios_to_nginx() -> None:
    rows = [
        Row("a", "requests/s", (50.0,), (NGINX, Against("WireMock", (10.0,)), Against("its own hit", (7.0,)))),
        Row("no nginx", "requests/s", (50.0,), (Against("WireMock", (10.0,)),)),
        Row("no rate", "ms", (50.0,), (NGINX,)),
        Row("a point of the curve", "requests/s", (50.0,), (NGINX,), routes=10),
    ]
    assert bars(rows) == [("a", {"svcmock": (0.5, 50.0), "WireMock": (0.1, 10.0)})]


def test_curves_are_rates_by_routes_for_whoever_held_that_many() -> None:
    rows = [
        Row("b", "requests/s", (40.0,), (NGINX, Against("WireMock, 10 stubs", (1.0,))), routes=100),
        Row("a", "requests/s", (50.0,), (NGINX, Against("WireMock", (10.0,))), routes=10),
        Row("c", "requests/s", (50.0,), (NGINX,)),
    ]
    assert curves(rows) == {
        "svcmock": [(10, 50.0), (100, 40.0)],
        "nginx": [(10, 100.0), (100, 100.0)],
        "WireMock": [(10, 10.0)],
    }


def drawn(*rows: Row) -> ET.Element:
    return ET.fromstring(svg(result(*rows)))


def words(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def test_the_plot_says_what_it_shows_and_where_it_was_measured() -> None:
    told = words(drawn(Row("<b> & `c`", "requests/s", (50.0,), (NGINX,))))
    assert "<b> & c" in told
    assert "0.50  (50/s)" in told
    assert "nginx = 1" in told
    assert {"svcmock", "nginx", "WireMock", "mountebank"} <= set(told)
    assert any("2026-01-02" in text and "2 cores <&>" in text for text in told)


def test_a_run_with_nothing_to_draw_is_a_picture_all_the_same() -> None:
    assert drawn().tag == "{http://www.w3.org/2000/svg}svg"


positive = st.floats(0.001, 1e7)


@given(
    st.lists(st.tuples(positive, positive, positive), max_size=4),
    st.lists(st.tuples(positive, positive, st.integers(1, 10**7)), max_size=4, unique_by=lambda one: one[2]),
)
def test_everything_is_drawn_inside_the_card(cases: list[Any], points: list[Any]) -> None:
    rows = [
        Row(f"case {number}", "requests/s", (ours,), (Against("nginx", (base,)), Against("WireMock", (other,))))
        for number, (ours, base, other) in enumerate(cases)
        # ratios that no two servers have would make a picture of one bar
        if 0.01 < ours / base < 5 and 0.01 < other / base < 5
    ]
    rows += [
        Row("point", "requests/s", (ours,), (Against("WireMock", (other,)),), routes=routes)
        for ours, other, routes in points
    ]
    picture = drawn(*rows)
    width, height = (float(picture.attrib[name]) for name in ("width", "height"))
    namespace = "{http://www.w3.org/2000/svg}"
    for element in picture.iter():
        if element.tag == f"{namespace}rect":
            x, y, wide, high = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + wide <= width
            assert 0 <= y <= y + high <= height
        elif element.tag == f"{namespace}circle":
            assert 0 <= float(element.attrib["cx"]) <= width
            assert 0 <= float(element.attrib["cy"]) <= height
    assert len(picture.findall(f".//{namespace}circle")) == 2 * len(points)
