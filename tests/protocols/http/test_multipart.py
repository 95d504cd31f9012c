"""Multipart bodies, taken apart and put together."""

import pytest

from svcmock_protocols.http.multipart import (
    MAX_PARTS,
    CommonBoundary,
    Part,
    Parts,
    boundary_of,
    disposition,
    form_block,
    parse,
    unused_boundary,
    with_common_boundary,
    write,
)

BODY = (
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b"--b\r\n\r\nno fields\r\n"
    b"--b\r\nX: y\r\n\r\n\r\n--b--\r\n"
)


def test_parts_are_put_together_as_they_were():
    found = parse(BODY, b"b")
    assert found == Parts(
        (
            Part(b'Content-Disposition: form-data; name="a"\r\n', b"1"),
            Part(b"", b"no fields"),
            Part(b"X: y\r\n", b""),
        ),
        b"\r\n",
    )
    assert write(found, b"b") == BODY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b--",
        b"--b\r\n",
        b"--b\r\n\r\nx",
        b"--b\r\n\r\nx\r\n--b",
        b"preamble\r\n--b\r\n\r\nx\r\n--b--",
        b"--b\nX: y\n\nx\n--b--",
        b"--b\r\nno colon\r\n\r\nx\r\n--b--",
        b"--b\r\nX: y\r\n folded\r\n\r\nx\r\n--b--",
        b"--b\r\nX: " + b"y" * 20_000 + b"\r\n\r\nx\r\n--b--",
        b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 2) + b"--b--",
        b"--bb\r\n\r\nx\r\n--bb--",
    ],
)
def test_what_is_not_well_formed_is_left_alone(body):
    found = parse(body, b"b")
    assert found is None or not found.parts


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Mixed; charset=x; Boundary="a b"', b"a b"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; boundary=", None),
        (b"multipart/form-data; boundary=" + b"x" * 71, None),
        (b"text/plain; boundary=abc", None),
    ],
)
def test_boundaries(content_type, boundary):
    assert boundary_of(content_type) == boundary


def test_form_parts():
    block = form_block(b'a"b', b"c\\d", b"x/y")
    assert block == b'Content-Disposition: form-data; name="a\\"b"; filename="c\\\\d"\r\nContent-Type: x/y\r\n'
    assert disposition(Part(block, b"")) == (b'a"b', b"c\\d")
    assert disposition(Part(b"X: y\r\n", b"")) == (None, None)


def test_a_boundary_that_occurs_is_not_used():
    assert unused_boundary([b"x"]) == b"svcmock-boundary-0"
    assert unused_boundary([b"x svcmock-boundary-0"]) == b"svcmock-boundary-1"


@pytest.mark.parametrize("boundary", [b"b", b"aab", b"aaaa", b"-x-", b"0" * 70])
def test_a_common_boundary_does_not_depend_on_how_the_body_was_cut(boundary):
    delimiter = b"--" + boundary
    body = delimiter + b"\r\n\r\n--aa-" + boundary + b"--aaa-\r\n" + delimiter + b"--\r\n-" + delimiter[:-1]
    whole = body.replace(delimiter, b"--svcmock-boundary")
    assert with_common_boundary(body, boundary) == whole
    for size in (1, 2, 3, 7, len(body)):
        stream = CommonBoundary(boundary)
        made = b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size))
        assert made + stream.flush() == whole
