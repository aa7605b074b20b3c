"""A condition over one row: what may stand in it, how it is spelled anew, and what is refused with a reason."""

from __future__ import annotations

import pytest

from sluiceway.sources.services.row_condition import row_condition
from sluiceway.sources.services.sql_code import NotOneSelectError

COLUMNS = ("a", "b", "geom", "Big")


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a >= b", '"a" >= "b"'),
        ("A>B", '"a" > "b"'),
        ('"Big" = 1', '"Big" = 1'),
        ("a", '"a"'),
        ("a = 'x' -- comment", "\"a\" = 'x'"),
        ("a /* c */ = b", '"a" = "b"'),
        ("a = 'it''s \\n; DROP'", "\"a\" = 'it''s \\n; DROP'"),
        ("a - (b - a) > 0", '"a" - ("b" - "a") > 0'),
        ("a LIKE 'x!%' ESCAPE '!'", "\"a\" LIKE 'x!%' ESCAPE '!'"),
        ("a::numeric(10,2) > 1", 'CAST("a" AS DECIMAL(10, 2)) > 1'),
        ("a IS DISTINCT FROM b", '"a" IS DISTINCT FROM "b"'),
        ("st_x(geom) BETWEEN -125 AND -66", 'ST_X("geom") BETWEEN -125 AND -66'),
        ("a > now() - interval '1 day'", "\"a\" > CURRENT_TIMESTAMP - INTERVAL '1 DAY'"),
        ("split_part(a, '-', 2) = reverse(b)", 'SPLIT_PART("a", \'-\', 2) = REVERSE("b")'),
        ("div(a, 10) = mod(b, 10)", 'DIV("a", 10) = "b" % 10'),
        ("CASE WHEN a = 1 THEN b > 1 ELSE true END", 'CASE WHEN "a" = 1 THEN "b" > 1 ELSE TRUE END'),
    ],
)
def test_a_condition_is_spelled_anew_with_its_columns_in_quotes(text: str, spelled: str) -> None:
    assert row_condition(text, COLUMNS).sql == spelled


def test_it_names_its_columns_each_once() -> None:
    assert row_condition("b > a AND a > 1", COLUMNS).columns == ("b", "a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; write a condition such as ends_at >= begins_at"),
        ("-- a > b", "is empty"),
        ("1 = 1", "names no column of the table"),
        ("a + b", "is no condition; write one that is true or false, such as ends_at >= begins_at"),
        ("c = 1", "names 'c', which is no column of this table; known: Big, a, b, geom"),
        ("big = 1", "did you mean 'Big'"),
        ("v.a = 1", "names v.a; write a column's name alone"),
        ("a) OR (b", "has brackets that do not match"),
        ("((a", "has brackets that do not match"),
        ("a = = b", "is no condition that can be read"),
        ("(" * 200 + "a" + ")" * 200 + " > 1", "is no condition that can be read: it is nested too deeply"),
        ("a" + "::text" * 400 + " > 'b'", "is no condition that can be read: it is nested too deeply"),
        ("a = 1; DROP TABLE x", "holds more than one statement"),
        ("a = 1 UNION SELECT 1", "is no condition that can be read"),
        ("a = 1 ORDER BY b", "is no condition that can be read"),
        ("a IN (SELECT 1)", "holds a SELECT; a row is judged by its own columns alone"),
        ("EXISTS (SELECT FROM pg_class)", "holds a SELECT"),
        ("(SELECT count(*) FROM pg_class) > a", "holds a SELECT"),
        ("count(a) > 1", "calls count, which needs many rows, and a condition sees one"),
        ("pg_sleep(a) IS NULL", "none of the functions that a check may call; compute it in a column of its own, by"),
        ("regexp_replace(a, 'x', b) = 'z'", "calls regexp_replace"),
        ("lpad(a, 1000000000) = 'z'", "calls pad"),
        ("sum(a) OVER () > 1", "holds 'SUM(a) OVER ()', which no check can have"),
        ("pg_sleep(9) IS NULL OR a", "calls pg_sleep"),
        ("random() > a", "calls rand"),
        ("nextval('x') = a", "calls nextval"),
        ("set_config('a', 'b', true) = a", "calls set_config"),
        ("dblink('x', a) = 1", "calls dblink"),
        ("lo_import('/etc/passwd') = a", "calls lo_import"),
        ("current_setting('a') = a", "calls current_setting"),
        ("current_user = a", "calls current_user"),
        ("query_to_xml('SELECT 1', true, true, '') = a", "calls query_to_xml"),
        ("public.evil(a)", "holds 'public.evil(a)', which no check can have"),
        ("pg_catalog.pg_sleep(1) = a", "which no check can have"),
        ("a OPERATOR(public.=) b", "which no check can have"),
        ("a ~ '(x+)+y'", "matches a regular expression; write that as the pattern of [checks.columns.<column>]"),
        ("a SIMILAR TO 'x'", "matches a regular expression"),
        ("a::regclass = b", "holds 'REGCLASS', which no check can have"),
        ("a::xml IS NULL", "casts to XML, to which no check can"),
        ("a = $1", "which no check can have"),
        ("a[1] = 2", "which no check can have"),
        ("a = ANY (ARRAY[1])", "which no check can have"),
        ("a = $$x$$", "which no check can have"),
        ("repeat(a, 1000000000) = b", "calls repeat"),
    ],
)
def test_what_asks_for_more_than_the_row_is_refused(text: str, said: str) -> None:
    with pytest.raises(NotOneSelectError) as caught:
        row_condition(text, COLUMNS)
    assert said in str(caught.value)
