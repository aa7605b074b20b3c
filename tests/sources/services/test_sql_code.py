"""One SELECT that only reads: proved by a parser, in the SQL of the database that it is for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sluiceway.sources.services.sql_code import (
    NotOneSelectError,
    UnreadSqlError,
    check_condition,
    check_reads,
    check_select,
    columns_of,
    unqualified,
)

READS = [
    "SELECT g FROM t WHERE g && ST_MakeEnvelope(0, 0, 1, 1, 4326) ORDER BY g <-> ST_Point(0, 0) LIMIT 1",
    "SELECT DISTINCT ON (a) a, b::geometry(Point, 4326) FROM t ORDER BY a, b DESC NULLS LAST;\n",
    "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    "WITH x AS MATERIALIZED (SELECT 1) SELECT (SELECT count(*) FILTER (WHERE true) FROM x)",
    "(SELECT 1 AS n) UNION ALL (SELECT 2) ORDER BY 1 FETCH FIRST 3 ROWS ONLY",
    "SELECT $$a; DELETE FROM b$$ AS x, E'it\\'s; INTO' AS y, ';' AS \"update; into\" -- ; DELETE\n/* a /* ; */ INTO */",
    "SELECT substring(a FROM 1 FOR 2), j @> '{}', j ->> 'for' FROM t, LATERAL jsonb_array_elements(t.j) AS e (v)",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) WITH ORDINALITY AS f",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE t",
]
WRITES = {
    "SELECT 1; CREATE TABLE x (a integer); DELETE FROM etl.trigger_event; GRANT ALL ON x TO PUBLIC": "more than one",
    "SELECT 1; -- a\nSELECT 2": "more than one",
    "DELETE FROM t": "DELETE",
    "GRANT ALL ON t TO PUBLIC": "GRANT",
    "DO $$ BEGIN DELETE FROM t; END $$": "DO",
    "CALL f()": "CALL",
    "EXPLAIN ANALYZE SELECT 1": "EXPLAIN",
    "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d": "holds DELETE; it must only read",
    "SELECT (WITH d AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM d)": "holds UPDATE; it must only read",
    "WITH x AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM x": "INSERT",
    "WITH m AS (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT * FROM m": "MERGE",
    "SELECT 1 AS a INTO x": "INTO",
    "SELECT * FROM t FOR UPDATE": "FOR UPDATE",
    "SELECT * FROM (SELECT * FROM t FOR SHARE) AS q": "FOR UPDATE or FOR SHARE",
    "SELECT dblink_exec('host=x', 'DELETE FROM t')": "calls dblink_exec",
    "SELECT pg_catalog.\"lo_import\"('/etc/passwd')": "calls lo_import",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity": "calls pg_terminate_backend",
}


@pytest.mark.parametrize("text", READS)
def test_a_select_that_reads_is_right_whatever_stands_in_its_texts_and_comments(text: str) -> None:
    check_select(text)


@pytest.mark.parametrize(("text", "said"), WRITES.items())
def test_what_does_more_than_read_is_refused_and_the_sentence_says_what(text: str, said: str) -> None:
    with pytest.raises(NotOneSelectError) as caught:
        check_select(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", WRITES)
@pytest.mark.parametrize("dialects", [["postgres"], ["postgres", "sqlite"]])
def test_a_source_and_a_sensor_are_refused_the_same(text: str, dialects: list[str]) -> None:
    with pytest.raises(NotOneSelectError):
        check_reads(text, dialects)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("mysql", "SELECT a FROM t INTO OUTFILE '/tmp/x'"),
        ("mysql", "SELECT a INTO @x FROM t"),
        ("mysql", "SELECT 'it\\'s' AS a; DELETE FROM t -- '"),
        ("mysql", "SELECT a FROM t LOCK IN SHARE MODE"),
        ("tsql", "SELECT a INTO x FROM t"),
        ("tsql", "SELECT 1 AS a EXEC sp_who"),
        ("tsql", "SELECT 1 AS a DROP VIEW x"),
        ("tsql", "SELECT * FROM OPENROWSET('x', 'y', 'DELETE FROM t')"),
        ("oracle", "SELECT a FROM t FOR UPDATE"),
        ("sqlite", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d"),
        ("sqlite", "REPLACE INTO t VALUES (1)"),
        ("bigquery", "SELECT * FROM EXTERNAL_QUERY('x', 'DELETE FROM t')"),
        ("bigquery", "WITH x AS (SELECT 1) DELETE FROM t WHERE true"),
        ("", "SELECT 1 AS a DELETE FROM t"),
    ],
)
def test_each_database_is_read_by_its_own_grammar(dialect: str, text: str) -> None:
    with pytest.raises(NotOneSelectError):
        check_reads(text, [dialect])


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("tsql", "SELECT TOP 3 [a b] FROM t WITH (NOLOCK)"),
        ("oracle", "SELECT a FROM t CONNECT BY PRIOR a = b START WITH c = 1"),
        ("mysql", "SELECT `a` FROM t WHERE b = 'it\\'s; DELETE'"),
        ("sqlite", "SELECT a, group_concat(b) FROM t GROUP BY a"),
        ("bigquery", "SELECT * EXCEPT (a) FROM `p.d.t`"),
        ("", "WITH x AS (SELECT 1 AS a) SELECT a FROM x"),
    ],
)
def test_what_only_one_kind_of_database_writes_so_is_right_there(dialect: str, text: str) -> None:
    check_reads(text, [dialect])


@pytest.mark.parametrize(
    "text", ["status = 'new' -- only these", "a IN (1, 2) AND NOT (b OR c)", "(a) = (SELECT max(b) FROM t)"]
)
def test_a_condition_is_what_stands_behind_where(text: str) -> None:
    check_condition(text, ["postgres", "sqlite"])


@pytest.mark.parametrize(
    "text",
    [
        "true); DELETE FROM t; SELECT (1",
        "true) UNION SELECT (1",
        "true) OR (true) ORDER BY (1",
        "id IN (WITH d AS (DELETE FROM t RETURNING id) SELECT id FROM d)",
        "EXISTS (SELECT FROM t FOR UPDATE)",
        "dblink_exec('x', 'y') = ''",
    ],
)
def test_a_condition_stays_within_its_brackets_and_reads(text: str) -> None:
    with pytest.raises(NotOneSelectError):
        check_condition(text, ["postgres", "sqlite"])


def test_what_the_parser_does_not_understand_is_refused_and_the_sentence_says_where() -> None:
    with pytest.raises(
        UnreadSqlError, match=r"is no SELECT that can be read: .* Line 2, Col: \d+; write it in another way, or"
    ):
        check_select("SELECT a\nFROM t WHERE WHERE")


def test_functions_of_the_callers_choice_are_refused_too() -> None:
    check_select("SELECT nextval('s')")
    with pytest.raises(NotOneSelectError, match="calls nextval"):
        check_select("SELECT nextval ('s')", refused="nextval|pg_sleep")


def test_a_select_says_the_names_of_its_columns_where_they_stand_in_it() -> None:
    assert columns_of("SELECT a, t.b, c + 1 AS d FROM t") == ["a", "b", "d"]
    assert columns_of("SELECT a, * FROM t") is None
    assert columns_of("SELECT a, count(*) FROM t GROUP BY a") is None


def test_only_tables_of_those_names_lose_their_schema() -> None:
    text = 'SELECT \'public.v\', v.a, x.public FROM public.v, "public" . "w" AS x -- public.v\nJOIN public.t USING (a)'
    assert unqualified(text, "public", ["v", "w"]) == (
        "SELECT 'public.v', v.a, x.public FROM v, \"w\" AS x -- public.v\nJOIN public.t USING (a)"
    )


def test_a_query_that_plainly_reads_costs_a_sensor_no_parser() -> None:
    look = (
        "import sys; from sluiceway.sources.services.sql_code import check_condition, check_reads;"
        "check_reads(\"SELECT max(id) FROM imports WHERE state = 'done'\", ['postgres', 'sqlite']);"
        "check_condition(\"status = 'new'\", ['postgres', 'sqlite']); print('sqlglot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
