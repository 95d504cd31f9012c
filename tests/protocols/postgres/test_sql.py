"""The lexer of SQL text; a real server is asked about it in test_sql_server.py."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import sql


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("SELECT 1", "SELECT 1"),
        ("", ""),
        (" ; ; ", ""),
        ("  SELECT\n\t 1 ;; ", "SELECT 1"),
        ("SELECT 'a  b',  \"c  d\"", "SELECT 'a  b', \"c  d\""),
        ("SELECT 'it''s  ok'", "SELECT 'it''s  ok'"),
        (r"SELECT E'it\'s  -- ok',  1", r"SELECT E'it\'s  -- ok', 1"),
        (r"SELECT 'back\',  1", r"SELECT 'back\', 1"),
        ("SELECT $$a  ' -- b$$,  $x$ $$ $y$  $x$", "SELECT $$a  ' -- b$$, $x$ $$ $y$  $x$"),
        ("SELECT $1,  $2::int", "SELECT $1, $2::int"),
        ("SELECT a$b$  FROM  c$b$", "SELECT a$b$ FROM c$b$"),
        ("SELECT 1 -- one;\n , 2", "SELECT 1 , 2"),
        ("SELECT 1 -- one", "SELECT 1"),
        ("/* a */ SELECT/* b */1 /* c */;/* d */", "SELECT 1"),
        ("SELECT /* a /* b */ ' */ 1", "SELECT 1"),
        ("SELECT /*+ SeqScan(t)  */ 1 /* x */", "SELECT /*+ SeqScan(t)  */ 1"),
        ("/*+ hint */SELECT 1", "/*+ hint */SELECT 1"),
        ("SELECT ';'", "SELECT ';'"),
        ("SELECT U&'d\\0061t  a', u&\"x  y\"", "SELECT U&'d\\0061t  a', u&\"x  y\""),
        ("SELECT 'open  ; --", "SELECT 'open  ; --"),
        ('SELECT "open  ;', 'SELECT "open  ;'),
        ("SELECT $$open  ;", "SELECT $$open  ;"),
        ("SELECT 1 /* open  ;", "SELECT 1"),
        (r"SELECT E'open\\", r"SELECT E'open\\"),
        ("SELECT E'open\\", "SELECT E'open\\"),
        ("SELECT 'a'  'b'", "SELECT 'a' 'b'"),
        ("SELECT\u00a0x,  'é'", "SELECT\u00a0x, 'é'"),
    ],
)
def test_normalise(text, normal):
    assert sql.normalise(text) == normal
    assert sql.normalise(normal) == normal


def test_comments_of_tracers_do_not_make_another_statement():
    plain = "SELECT id FROM users WHERE id = $1"
    for comment in ("traceparent='00-4bf92f-01'", "dddbs='users',ddps='web'", "route='/users/%%3Aid'"):
        assert sql.normalise(f"{plain} /*{comment}*/") == plain
        assert sql.normalise(f"/*{comment}*/ {plain};") == plain
        assert sql.normalise(f"{plain} -- {comment}\n") == plain


def test_a_long_text_is_read_like_a_short_one():
    text = "SELECT  " + "'x', " * sql.MAX_SHORT + "1;"
    assert sql.normalise(text) == text.replace("  ", " ").rstrip(";")
    assert sql.statements(text) == [text.rstrip(";")]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" ;; -- x\n /* y */ ;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;SELECT 2 ; ", ["SELECT 1", "SELECT 2"]),
        ("/* a */ SELECT 1 /* ; */; -- ;\nSELECT ';'", ["SELECT 1", "SELECT ';'"]),
        ("SELECT $$;$$; SELECT E'\\';'", ["SELECT $$;$$", "SELECT E'\\';'"]),
        ('SELECT ";"; SELECT 1', ['SELECT ";"', "SELECT 1"]),
        (
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
            ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"],
        ),
        (
            "CREATE FUNCTION f(int) BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END; SELECT 2",
            [
                "CREATE FUNCTION f(int) BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END",
                "SELECT 2",
            ],
        ),
        (
            'create or replace procedure "p"() begin atomic select 1; end; select 2',
            ['create or replace procedure "p"() begin atomic select 1; end', "select 2"],
        ),
        (
            'CREATE PROCEDURE "p"() BEGIN ATOMIC SELECT 1; END; SELECT 2',
            ['CREATE PROCEDURE "p"() BEGIN ATOMIC SELECT 1; END', "SELECT 2"],
        ),
        ("BEGIN; SELECT 1; END; SELECT 2", ["BEGIN", "SELECT 1", "END", "SELECT 2"]),
        ("SELECT begin atomic; SELECT 1", ["SELECT begin atomic", "SELECT 1"]),
        ("SELECT ) ; SELECT 1", ["SELECT )", "SELECT 1"]),
        ("SELECT ( ; SELECT 1", ["SELECT ( ; SELECT 1"]),
        ("/*+ h */ SELECT 1; SELECT 2", ["/*+ h */ SELECT 1", "SELECT 2"]),
        ("SELECT 'open ; x", ["SELECT 'open ; x"]),
    ],
)
def test_statements(text, parts):
    assert sql.statements(text) == parts


def test_the_list_of_statements_is_the_callers_own():
    sql.statements("SELECT 1; SELECT 2").clear()
    assert sql.statements("SELECT 1; SELECT 2") == ["SELECT 1", "SELECT 2"]


@pytest.mark.parametrize(
    ("text", "count", "words"),
    [
        ("select 1", 2, ("SELECT",)),
        ("  begin ; select", 2, ("BEGIN",)),
        ("/* x */ Set search_path = a", 2, ("SET", "SEARCH_PATH")),
        ("-- x\nROLLBACK TO SAVEPOINT s", 4, ("ROLLBACK", "TO", "SAVEPOINT", "S")),
        ("((select 1))", 2, ("SELECT",)),
        ('DEALLOCATE "a"', 2, ("DEALLOCATE",)),
        ("'x' select", 2, ()),
        ("", 2, ()),
        ("start transaction isolation level", 1, ("START",)),
        ("/*+ hint */ SELECT x", 2, ("SELECT", "X")),
    ],
)
def test_first_words(text, count, words):
    assert sql.first_words(text, count) == words


@pytest.mark.parametrize(
    ("text", "normal", "literals"),
    [
        ("SELECT  1", "SELECT ?", ["1"]),
        (
            "SELECT 'a''b', -1.5e-3, .5, 5., 0xFF, 1_000",
            "SELECT ?, -?, ?, ?, ?, ?",
            ["'a''b'", "1.5e-3", ".5", "5.", "0xFF", "1_000"],
        ),
        (
            "SELECT E'\\'', B'01', x'f', U&'a', $$b$$, $t$c$t$",
            "SELECT ?, ?, ?, ?, ?, ?",
            ["E'\\''", "B'01'", "x'f'", "U&'a'", "$$b$$", "$t$c$t$"],
        ),
        (
            'SELECT t1.c2, "d3" FROM t1 WHERE a=$1 AND b=2 LIMIT 10',
            'SELECT t1.c2, "d3" FROM t1 WHERE a=$1 AND b=? LIMIT ?',
            ["2", "10"],
        ),
        ("SELECT '2024-01-01'::timestamp /* 1 */", "SELECT ?::timestamp", ["'2024-01-01'"]),
        ("SELECT a[1:2], /*+ x(1) */ b", "SELECT a[?:?], /*+ x(1) */ b", ["1", "2"]),
        ("SELECT true, NULL", "SELECT true, NULL", []),
        ("FOR i IN 1..10", "FOR i IN ?..?", ["1", "10"]),
    ],
)
def test_masked(text, normal, literals):
    assert sql.masked(text) == (normal, literals)


SQL = st.text("aeExbU&1.$'\"\\-/*+;( )\n\u00e9", max_size=60)


@given(SQL)
def test_the_tokens_are_the_text(text):
    end = 0
    for _, start, stop in sql._tokens(text):
        assert start == end < stop
        end = stop
    assert end == len(text)


@given(SQL)
def test_the_short_way_is_the_long_way(text):
    plain = sql._is_plain(text)
    if plain:
        kept = [
            text[start:stop]
            for kind, start, stop in sql._tokens(text)
            if kind not in {"space", "other", "word", "number", "parameter"}
        ]
        assert kept == []
    sql.normalise(text)
    sql.statements(text)
    sql.first_words(text)
    sql.masked(text)


@given(
    st.lists(
        st.sampled_from(["SELECT", "a.b", "'x  -- y'", '"  "', "$$ ; $$", "E'\\' ; '", "1", ",", "$1", "é"])
    ),
    st.lists(st.sampled_from([" ", "\n", " /* c */ ", " -- c\n", " /* /* */ ; */ "]), min_size=1),
)
def test_what_stands_between_tokens_does_not_matter(tokens, gaps):
    gapped = "".join(token + gaps[number % len(gaps)] for number, token in enumerate(tokens))
    assert sql.normalise(gapped) == " ".join(tokens)
    parts = [sql.normalise(part) for part in sql.statements(f"{gapped} ; {gapped}")]
    assert parts == [" ".join(tokens)] * 2 * bool(tokens)


@pytest.mark.parametrize(
    "text",
    [
        "'" * 100_000,
        "/*" * 100_000,
        "$a" * 100_000,
        "$" + "a" * 50_000 + "$" + ("$" + "a" * 20) * 10_000,
        "-" * 100_000,
        "E'" + "\\" * 100_001,
        "(" * 100_000,
        '"' * 99_999,
        "1e" * 100_000,
        "0x" * 100_000,
        "U&" * 100_000,
        " ;" * 100_000,
        "/*+" * 50_000 + "*/" * 50_000,
        "$$" * 99_999,
        "1." * 100_000,
    ],
    ids=range(15),
)
def test_no_text_takes_long(text):
    """Each takes about a second if the time grows with the text, and minutes if with its square."""
    began = time.process_time()
    sql.normalise(text)
    sql.statements(text)
    sql.masked(text)
    sql.first_words(text)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT 1", 0),
        ("SELECT $2, $1", 2),
        ("SELECT '$3', \"$4\", $$ $5 $$, E'$6' -- $7\n /* $8 */, $1", 1),
        ("SELECT a$3, $1", 1),
        ("SELECT $99999", 99999),
        ("SELECT $1234567, $2", 2),
        ("CREATE FUNCTION f(int) RETURNS int RETURN $1", None),
        ("PREPARE p AS SELECT $1", None),
    ],
)
def test_parameters(text, count):
    assert sql.parameters(text) == count


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(1, 'a, b') AS x", (["1", "'a, b'"], " AS x")),
        ("()", ([], "")),
        ("(f(1, 2), ARRAY[3, 4], $$,)$$)x", (["f(1, 2)", "ARRAY[3, 4]", "$$,)$$"], "x")),
        ("(1", None),
        ("(1]", None),
        ("", None),
        ("(')", None),
    ],
)
def test_lists_in_brackets(text, parts):
    assert sql.bracketed(text) == parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT $1", {}),
        ("SELECT $1::TEXT[], $2 :: int", {1: "TEXT[]", 2: "int"}),
        ("SELECT $1::NUMERIC(10, 2), $2::varchar(5)[]", {1: "NUMERIC", 2: "varchar[]"}),
        (
            "SELECT $1::TIMESTAMP WITH TIME ZONE, $2::time(3) without time zone[]",
            {1: "TIMESTAMP WITH TIME ZONE", 2: "time without time zone[]"},
        ),
        ("SELECT $1::timestamp, $2::double precision", {1: "timestamp", 2: "double precision"}),
        ("SELECT '$1::int', $2::text || $2::int", {2: "text"}),
        ("SELECT a::int, $123456::int", {}),
    ],
)
def test_casts_of_parameters(text, found):
    assert sql.casts(text) == found
