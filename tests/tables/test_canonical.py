"""The canonical form of a table's file: one order, one spacing, every comment, and the same table."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest

from dev.environment import ROOT
from sluiceway.tables.canonical import NotFormattedError, canonical, source_order
from sluiceway.tables.source_spec import SOURCE_KINDS

SHIPPED = sorted((ROOT / "include" / "config" / "tables").glob("*.toml"))
WITHOUT_COMMENTS = [path for path in SHIPPED if "#" not in path.read_text(encoding="utf-8")]
CANONICAL = """\
#:schema ../table.schema.json

# whose data this is
description = "Cities"  # say more
group = "own"
key = ["country", "id"]

# where it comes from
[source]
kind = "csv"
uri = "a.csv"  # for now
encoding = "cp1252"
null = ["", "NA"]
max_bytes = 2_000_000_000

# the code first
[columns]  # all of them
country = "text"
id = { source = "ID", type = "integer" }  # unique here

# people
people = { type = "bigint", required = true, description = "Of 2020" }
"odd.name" = "text"
# 'x' is left out: it is bytes

[geometry]
type = "Point"
x = "lon"
y = "lat"

[checks]
min_rows = 5
max_rejects = 0.1
"""
MESSY = """\
#:schema ../table.schema.json

# whose data this is
description="Cities"    # say more

# the code first
[columns] # all of them
country = 'text'
id = {type="integer",source = "ID"}# unique here


# people
people = { description = "Of 2020", type = "bigint", required=true }
"odd.name" = "text"
# 'x' is left out: it is bytes


[checks]
max_rejects=0.1
min_rows = 5
# where it comes from
[source]
max_bytes = 2_000_000_000
uri = "a.csv"   # for now
kind = "csv"
null = [
  "", "NA"
]
encoding = "cp1252"

[geometry]
y = "lat"
x = "lon"
type = "Point"
"""


def test_keys_sections_and_blanks_come_into_one_order_and_comments_go_along() -> None:
    # what stands above the first header belongs to no section
    messy = MESSY.replace(
        '"Cities"    # say more\n', '"Cities"    # say more\nkey = [\n"country",\n"id"]\ngroup = "own"\n'
    )
    assert canonical(messy) == CANONICAL.replace('country = "text"', "country = 'text'")


def test_what_is_canonical_stays_as_it_is() -> None:
    assert canonical(CANONICAL) == CANONICAL


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_files_are_canonical(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert canonical(text) == text


@pytest.mark.parametrize("path", WITHOUT_COMMENTS, ids=lambda path: path.stem)
def test_the_form_does_not_depend_on_the_order_of_keys_sections_and_blanks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    chance = random.Random(path.stem)
    top, *sections = text.strip().split("\n\n")
    shuffled = []
    for block in sections:
        header, *lines = block.splitlines()
        if header != "[columns]":
            chance.shuffle(lines)
        shuffled.append("\n".join([header, *lines]).replace(" = ", "="))
    chance.shuffle(shuffled)
    head = top.splitlines()
    chance.shuffle(head)
    assert canonical("\n\n\n".join(["\n\n".join(head), *shuffled])) == text


@pytest.mark.parametrize(
    ("written", "formed"),
    [
        ('source.kind = "csv"\nsource.uri = "a"\n', '[source]\nkind = "csv"\nuri = "a"\n'),
        ('source = { uri = "a", kind = "csv" } # c\n', '[source]  # c\nkind = "csv"\nuri = "a"\n'),
        ("columns = {}\n", "[columns]\n"),
        ('[columns.a]\ntype = "text"\nsource = "A"\n', '[columns]\na = { source = "A", type = "text" }\n'),
        (
            '[columns]\na.type = "text" # x\na.source = "A"\nb = "text"\n',
            '[columns]\n# x\na = { source = "A", type = "text" }\nb = "text"\n',
        ),
        (
            '[columns]\nz = "text"\n[columns.a]\n# why\ntype = "text"\n[columns.b]\ntype="date"\n',
            '[columns]\nz = "text"\n\n[columns.a]\n# why\ntype = "text"\n\n[columns.b]\ntype = "date"\n',
        ),
        (
            '[columns]\na = {type = "text", map = {b="1",a="2"}}\n',
            '[columns]\na = { type = "text", map = { b = "1", a = "2" } }\n',
        ),
        (
            '[source]\nkind="http_json"\n[source.paging]\nparam="p"\ntype="page"\n',
            '[source]\nkind = "http_json"\npaging = { type = "page", param = "p" }\n',
        ),
        ("key = [ # why\n  'a', # b\n]\n", "key = [ # why\n  'a', # b\n]\n"),
        ('description = """\na\n  # no comment\n"""\n', 'description = """\na\n  # no comment\n"""\n'),
        ("description = 'C:\\new' \r\ngroup = 'a'\r\n", "description = 'C:\\new'\ngroup = 'a'\n"),
        ('[columns]\n"a" = "text"\n"ä" = "text"\n', '[columns]\na = "text"\n"ä" = "text"\n'),
        ("# nothing else", "# nothing else\n"),
        ("description = 'a' #b", "description = 'a'  #b\n"),
        ('nonsense = 1\ndescription = "a"\n', 'description = "a"\nnonsense = 1\n'),
    ],
    ids=range(15),
)
def test_every_way_to_write_it_has_one_form(written: str, formed: str) -> None:
    assert canonical(written) == formed
    assert canonical(formed) == formed
    before = tomllib.loads(written.replace("\r\n", "\n"))
    assert tomllib.loads(formed) == before
    assert list(tomllib.loads(formed).get("columns", {})) == list(before.get("columns", {}))


def test_a_long_list_stands_on_several_lines() -> None:
    names = ", ".join(f'"column_{n}"' for n in range(12))
    formed = canonical(f"key = [{names}]\n")
    assert formed.splitlines()[:2] == ["key = [", '    "column_0",']
    assert canonical(formed) == formed


def test_comments_at_the_end_of_a_section_stay_there() -> None:
    text = '[source]\nkind = "csv"\n\n# no [geometry]: see below\n\n# of the columns\n[columns]\na = "text"\n'
    assert canonical(text) == text


def test_what_is_no_part_of_a_tables_file_is_refused() -> None:
    with pytest.raises(NotFormattedError, match=r"holds \[\[triggers\]\], which is no part"):
        canonical("[[triggers]]\nid = 1\n")


@pytest.mark.parametrize("kind", sorted(SOURCE_KINDS))
def test_each_kind_of_source_has_an_order_of_all_its_keys(kind: str) -> None:
    order = source_order(kind)
    assert sorted(order) == sorted(SOURCE_KINDS[kind].model_fields)
    assert order[0] == "kind"
    bounds = [name.startswith("max_") for name in order]
    assert bounds == sorted(bounds)


CHECKED = """\
description = "Crashes"
key = "id"

[source]
kind = "csv"
uri = "crashes/*.csv"
max_files = 500

[columns]
id = "text"
speed = "integer"

[checks]
min_rows = 300
max_rejects = 0.01

[checks.columns.speed]
range = { least = 5, most = 85 }
null_share = 0.2  # many are blank

# a person's rule
[[checks.rows]]
holds = "speed > 3"
failing = "fail"

[[checks.rows]]
unique = ["speed", "id"]
"""
MESSY_CHECKED = """\
key = "id"
description = "Crashes"
[checks]
max_rejects = 0.01
min_rows = 300
[checks.columns.speed]
null_share = 0.2 # many are blank
range = { most = 85, least = 5 }

# a person's rule
[[checks.rows]]
failing="fail"
holds = "speed > 3"
[[checks.rows]]
unique = ["speed", "id"]
[columns]
id = "text"
speed = "integer"
[source]
uri = "crashes/*.csv"
max_files = 500
kind = "csv"
"""


@pytest.mark.parametrize("text", [CHECKED, MESSY_CHECKED])
def test_checks_of_values_have_their_order_too(text: str) -> None:
    assert canonical(text) == CHECKED
    assert tomllib.loads(canonical(text)) == tomllib.loads(text)


@pytest.mark.parametrize(
    "checks",
    [
        "checks.columns.speed.accepted = [1, 2]\n",
        "[checks.columns]\nspeed = { accepted = [1, 2] }\n",
        "[checks]\ncolumns = { speed = { range = { most = 2, least = 1 } } }\n",
        '[checks]\nrows = [{ holds = "speed > 1" }]\n',
    ],
)
def test_checks_that_are_written_in_another_way_say_the_same(checks: str) -> None:
    text = f'description = "a"\nkey = "speed"\n{checks}'
    written = canonical(text)
    assert tomllib.loads(written) == tomllib.loads(text)
    assert canonical(written) == written
