"""Tables with every type of a column, geometry, rejects, expressions; each with its source, and with a later one."""

from __future__ import annotations

CSV = """
description = "Cities"
key = "id"
on_missing = "delete"
checks = { max_shrink = 1.0 }
source = { kind = "csv", uri = "city.csv" }
[columns]
id = "integer"
name = "text"
short = "varchar(3)"
area = "numeric(12,3)"
share = "real"
depth = "double precision"
big = "numeric(38,20)"
capital = "boolean"
founded = "date"
seen = "timestamp"
changed = "timestamptz"
code = "uuid"
more = "jsonb"
"""
CITIES = """id,name,short,area,share,depth,big,capital,founded,seen,changed,code,more
1,Mayagüez,MAY,12.5,0.1,1e300,1.00000000000000000001,true,1760-09-18,2024-01-02T03:04:05.678,2024-01-02T03:04:05+02:00,\
00000000-0000-0000-0000-00000000000a,"{""b"": 1, ""a"": [1.10]}"
2,Ponce,,,,,,,,,,,
3,"A, ""B""\n",x,-0.001,,,,false,0001-01-01,9999-12-31T23:59:59,1970-01-01T00:00:00Z,,null
"""
OTHER_CITIES = CITIES.replace("Mayagüez", "Mayaguez").replace("2,Ponce", "4,Ponce")

GEOMETRY = """
description = "Fields"
key = "id"
on_missing = "mark"
checks = { max_shrink = 1.0 }
source = { kind = "csv", uri = "field.csv" }
columns = { id = "integer", crop = "text" }
geometry = { type = "MultiPolygon", source = "wkt", required = false, invalid = "repair", source_crs = "EPSG:4269" }
"""
FIELDS = """id,crop,wkt
1,almonds,"POLYGON ((-120 37, -119.9 37, -119.9 37.1, -120 37.1, -120 37))"
2,grapes,"POLYGON ((-120 38, -119.9 38.1, -119.9 38, -120 38.1, -120 38))"
3,fallow,
4,rice,"MULTIPOLYGON (((-121 39, -120.9 39, -120.9 39.1, -121 39)))"
"""
OTHER_FIELDS = FIELDS.replace("37.1", "37.2").replace("4,rice", "5,rice")

REJECTS = """
description = "Measured"
key = ["site", "day"]
on_missing = "delete"
checks = { max_rejects = 10, max_shrink = 1.0 }
source = { kind = "csv", uri = "measured.csv" }
columns = { site = "text", day = "date", value = { type = "numeric(6,2)", required = true } }
"""
MEASURED = """site,day,value
a,2024-01-01,1.5
a,2024-01-02,much
a,2024-01-01,2.5
b,2024-02-30,1
b,2024-01-03,
b,2024-01-04,4
,2024-01-05,4
"""
OTHER_MEASURED = """site,day,value
a,2024-01-01,2.5
b,2024-01-04,much
b,2024-01-05,1
"""
COMPUTED = """
description = "Inspections"
key = "code"
on_missing = "delete"
checks = { max_rejects = 10, max_shrink = 1.0 }
source = { kind = "csv", uri = "inspection.csv" }
[columns]
county = { type = "text", stored = false }
number = "integer"
code = { type = "text", expression = "lpad(county, 3, '0') || '-' || number" }
part = { type = "integer", stored = false }
whole = { type = "integer", stored = false }
rate = { type = "numeric(6,3)", expression = "100.0 * part / whole" }
more = { type = "jsonb", expression = "('{\\"a\\": ' || number || '}')::jsonb" }
opened = { type = "date", expression = "make_date(2024, number, 1)" }
"""
INSPECTIONS = """county,number,part,whole
1,7,1,8
1,8,1,4
1,9,1,0
2,13,1,2
,1,1,2
1,7,2,8
"""
OTHER_INSPECTIONS = """county,number,part,whole
1,7,2,8
1,8,1,0
3,8,1,4
"""
CHECKED = """
description = "Measured"
key = "site"
on_missing = "delete"
source = { kind = "csv", uri = "checked.csv" }
columns = { site = "text", code = "text", value = "numeric(6,2)", most = "numeric(6,2)" }
[checks]
max_rejects = 10
max_shrink = 1.0
[checks.columns.value]
range = { least = 0 }
null_share = 0.5
[checks.columns.code]
unique = true
[[checks.rows]]
holds = "value <= most"
"""
SITES = """site,code,value,most
a,1,1.5,2
b,2,2,2.00
c,1,3,
d,4,,
e,5,-0.01,
"""
OTHER_SITES = """site,code,value,most
a,1,2.5,2
c,3,3,
f,6,1,1
g,6,1,1
"""
TABLES = {
    "checked": (CHECKED, SITES, OTHER_SITES),
    "city": (CSV, CITIES, OTHER_CITIES),
    "field": (GEOMETRY, FIELDS, OTHER_FIELDS),
    "measured": (REJECTS, MEASURED, OTHER_MEASURED),
    "inspection": (COMPUTED, INSPECTIONS, OTHER_INSPECTIONS),
}
"""Name -> its file, its source, its source later."""
