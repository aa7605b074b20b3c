"""Generates shapefiles as large and as odd as California's statewide crop mapping (DWR, LandIQ).

    python -m bench.landiq_file 450000 .local/bench/landiq

Names, order and dbf widths are the documented ones; vertices per field, shares of the codes, "**" for none,
right-justified classes, z = 0, urban areas without a county and a few crossing rings are as in the published files.
The same N gives the same bytes.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Strings = np.ndarray[Any, np.dtype[np.bytes_]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]

NAD83_PRJ = (
    'GEOGCS["GCS_North_American_1983",DATUM["D_North_American_1983",SPHEROID["GRS_1980",6378137.0,298.257222101]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)
MEDIAN_VERTICES, SIGMA_VERTICES = 21, 0.74
"""A lognormal with these has a mean of 27.6 and a 95th percentile of 71; measured: 27.6 and 65."""
INVALID_SHARE = 0.003
URBAN_SHARE = 0.008
BENT_SHARE = 0.6
"""Fields that are no star around their middle: 57 of the 100 in DWR's sample of 2023."""
POLYGON_Z = 15
BLOCK = 50_000

CROPS = (
    "P1",
    "P3",
    "P6",
    "D12",
    "D14",
    "V",
    "T15",
    "T18",
    "G2",
    "G6",
    "F1",
    "F2",
    "F16",
    "C",
    "C6",
    "I4",
    "R1",
    "U",
    "X",
)
COUNTIES = (
    "Fresno", "Kern", "Tulare", "San Joaquin", "Merced", "Stanislaus", "Imperial", "Kings", "Madera", "Sutter", "Yolo",
    "Colusa", "Glenn", "Butte", "Sonoma", "Napa", "Monterey", "San Luis Obispo", "Riverside", "Siskiyou",
)  # fmt: skip
REGIONS = ("NCRO", "SCRO", "NRO", "SRO")
HYDRO = ("San Joaquin River", "Tulare Lake", "Sacramento River", "Central Coast", "Colorado River", "North Coast")

FIELDS: list[tuple[str, str, int, int]] = [
    ("DataStatus", "C", 11, 0), ("UniqueID", "C", 80, 0), ("DWR_REVISE", "C", 1, 0), ("SYMB_CLASS", "C", 2, 0),
    ("MULTIUSE", "C", 1, 0),
    *(
        (name.format(n), "C", width, 0)
        for n in range(1, 5)
        for name, width in (
            ("CLASS{}", 2), ("SUBCLASS{}", 7), ("SPECOND{}", 1), ("IRR_TYP{}PA", 1), ("IRR_TYP{}PB", 1), ("PCNT{}", 2)
        )
    ),
    ("UCF_ATT", "C", 37, 0), ("YR_PLANTED", "N", 9, 0), ("SEN_CROP", "C", 4, 0), ("ADOY_SEN", "N", 9, 0),
    *(
        (name.format(n), kind, width, places)
        for n in range(1, 5)
        for name, kind, width, places in (
            ("CROPTYP{}", "C", 4, 0), ("CTYP{}_NOTE", "C", 4, 0), ("ADOY{}", "N", 9, 0)
        )
    ),
    ("EMRG_CROP", "C", 4, 0), ("ADOY_EMRG", "N", 9, 0), ("REGION", "C", 4, 0), ("ACRES", "N", 19, 11),
    ("COUNTY", "C", 80, 0), ("HYDRO_RGN", "C", 17, 0), ("LIQ_REPORT", "C", 20, 0), ("MAIN_CROP", "C", 4, 0),
    ("MAIN_CROP_", "N", 9, 0), ("Shape_Leng", "N", 19, 11), ("Shape_Area", "N", 19, 11),
]  # fmt: skip
"""Name, kind, width and decimals of every column."""


def write_shapefile(folder: Path, count: int, *, seed: int = 1) -> Path:
    """Write `count` fields as <folder>/i15_crop_mapping.{shp,shx,dbf,prj,cpg} and return the .shp."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "i15_crop_mapping.shp"
    random = np.random.default_rng(seed)
    with (
        path.open("wb") as shapes,
        path.with_suffix(".shx").open("wb") as index,
        path.with_suffix(".dbf").open("wb") as table,
    ):
        shapes.write(b"\0" * 100)
        index.write(b"\0" * 100)
        table.write(_dbf_header(count))
        bounds = []
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            bounds.append(_write_shapes(shapes, index, random, start, size, count))
            table.write(_attributes(random, start, size).tobytes())
        table.write(b"\x1a")
        extent = (*np.min(bounds, axis=0)[:2], *np.max(bounds, axis=0)[2:])
        for file in (shapes, index):
            words = file.tell() // 2
            file.seek(0)
            file.write(struct.pack(">7i", 9994, 0, 0, 0, 0, 0, words))
            file.write(struct.pack("<2i8d", 1000, POLYGON_Z, *extent, 0, 0, 0, 0))
    path.with_suffix(".prj").write_text(NAD83_PRJ)
    path.with_suffix(".cpg").write_text("UTF-8")
    return path


def _write_shapes(
    shapes: Any, index: Any, random: np.random.Generator, start: int, size: int, count: int
) -> tuple[float, float, float, float]:
    corners = np.clip(random.lognormal(np.log(MEDIAN_VERTICES), SIGMA_VERTICES, size), 4, 4000).astype(int)
    crossed = (random.random(size) < INVALID_SHARE) & (corners > 6)
    bent = (random.random(size) < BENT_SHARE) & (corners > 8)
    side = int(np.ceil(np.sqrt(count)))
    number = np.arange(start, start + size)
    step = 9.0 / side
    centre_x = -124.0 + (number % side) * step
    centre_y = 32.6 + (number // side) * step
    low, high = [], []
    offset = shapes.tell() // 2
    for i in range(size):
        n = int(corners[i])
        outline = _bent(random, n) if bent[i] else _star(random, n)
        ring = np.empty((n + 1, 2))
        ring[:n, 0] = centre_x[i] + step * outline[0]
        ring[:n, 1] = centre_y[i] + step * outline[1]
        if crossed[i]:
            ring[[1, n // 2]] = ring[[n // 2, 1]]
        ring[n] = ring[0]
        box = (*ring.min(axis=0), *ring.max(axis=0))
        content = b"".join(
            (
                struct.pack("<i4d3i", POLYGON_Z, *box, 1, n + 1, 0),
                ring.tobytes(),
                b"\0" * (16 + 8 * (n + 1)),
            )
        )
        words = len(content) // 2
        shapes.write(struct.pack(">2i", start + i + 1, words))
        shapes.write(content)
        index.write(struct.pack(">2i", offset, words))
        offset += words + 4
        low.append(box[:2])
        high.append(box[2:])
    return (*np.min(low, axis=0), *np.max(high, axis=0))


def _star(random: np.random.Generator, corners: int) -> tuple[Numbers, Numbers]:
    """A ring around (0, 0) that never crosses itself, clockwise, within 0.45."""
    angle = -(np.arange(corners) + 0.8 * random.random(corners)) * (2 * np.pi / corners)
    radius = 0.2 + 0.25 * random.random(corners)
    return radius * np.cos(angle), radius * np.sin(angle)


def _bent(random: np.random.Generator, corners: int) -> tuple[Numbers, Numbers]:
    """A ring between two lines along an arc, which never meet: no star from anywhere inside, within 0.45."""
    above = (corners + 1) // 2
    x = np.concatenate([np.linspace(-0.4, 0.4, above), np.linspace(0.4, -0.4, corners - above)])
    thick = 0.02 + 0.03 * random.random(corners)
    thick[above:] *= -1
    return x, 2.5 * x**2 - 0.2 + thick


def _dbf_header(count: int) -> bytes:
    length = 1 + sum(width for _, _, width, _ in FIELDS)
    fields = b"".join(
        struct.pack("<11sc4xBB14x", name.encode()[:10], kind.encode(), width, places)
        for name, kind, width, places in FIELDS
    )
    header = struct.pack("<4BIHH20x", 3, 124, 11, 27, count, 32 + len(fields) + 1, length)
    return header + fields + b"\r"


def _attributes(random: np.random.Generator, start: int, size: int) -> np.ndarray[Any, Any]:
    kinds: list[tuple[str, str]] = [("deleted", "S1"), *((name, f"S{width}") for name, _, width, _ in FIELDS)]
    rows = np.zeros(size, dtype=kinds)
    rows["deleted"] = b" "
    widths = {name: width for name, _, width, _ in FIELDS}

    def put(name: str, values: Strings | Sequence[str] | str) -> None:
        rows[name] = np.char.ljust(np.asarray(values, dtype=np.bytes_), widths[name])

    def number(name: str, values: Numbers, shown: np.ndarray[Any, Any] | None = None) -> None:
        width, places = next((width, places) for field, _, width, places in FIELDS if field == name)
        text = np.char.rjust(np.char.mod(f"%.{places}f", values).astype(np.bytes_), width)
        rows[name] = text if shown is None else np.where(shown, text, b" " * width)

    def pick(values: Sequence[str], shares: Sequence[float] | None = None) -> Strings:
        return np.asarray(values, dtype=np.bytes_)[random.choice(len(values), size, p=shares)]

    multiuse = pick(["S", "D", "T", "Q"], [0.937, 0.0535, 0.0085, 0.001])
    uses = {b"S": 1, b"D": 2, b"T": 3, b"Q": 4}
    several = np.vectorize(uses.__getitem__)(multiuse)
    urban = random.random(size) < URBAN_SHARE
    put("DataStatus", "Provisional")
    put("UniqueID", np.char.mod("%d", 1_000_000 + start + np.arange(size)).astype(np.bytes_))
    put("DWR_REVISE", pick(["", "r"], [0.97, 0.03]))
    put("MULTIUSE", multiuse)
    main = np.full(size, b"****", dtype="S4")
    for n in range(1, 5):
        # single-cropped fields have their crop in the second place
        used = {1: several >= 2, 2: several >= 1, 3: several >= 3, 4: several >= 4}[n]
        crop = np.where(used, pick(CROPS), b"****")
        letter = np.char.rjust(np.array([code[:1] for code in crop], dtype="S2"), 2)
        put(f"CLASS{n}", np.where(used, letter, b"**"))
        put(f"SUBCLASS{n}", np.where(used, pick([" 3", " 6", "18", "**"]), b"**"))
        put(f"SPECOND{n}", "*")
        put(f"IRR_TYP{n}PA", np.where(used, pick(["*", "n"], [0.9, 0.1]), b"*"))
        put(f"IRR_TYP{n}PB", "*")
        put(f"PCNT{n}", np.where(used, pick(["00", "50", "75"], [0.96, 0.02, 0.02]), b"**"))
        put(f"CROPTYP{n}", crop)
        put(f"CTYP{n}_NOTE", "****")
        number(f"ADOY{n}", random.integers(1, 366, size).astype(float), used)
        main = np.where(used & (main == b"****"), crop, main)
    put("SYMB_CLASS", np.array([code[:1] for code in main], dtype="S2"))
    put("UCF_ATT", np.char.add(multiuse, b"********* P 3***00******************"))
    number("YR_PLANTED", random.integers(1984, 2023, size).astype(float), random.random(size) < 0.35)
    put("SEN_CROP", "****")
    number("ADOY_SEN", np.zeros(size), np.zeros(size, dtype=bool))
    put("EMRG_CROP", "****")
    number("ADOY_EMRG", np.zeros(size), np.zeros(size, dtype=bool))
    put("REGION", pick(REGIONS))
    acres = random.lognormal(2.6, 1.2, size)
    number("ACRES", acres)
    put("COUNTY", np.where(urban, b"****", pick(COUNTIES)))
    put("HYDRO_RGN", pick(HYDRO))
    put("LIQ_REPORT", np.char.add(main, b" **** **** ****"))
    put("MAIN_CROP", main)
    number("MAIN_CROP_", random.integers(1, 366, size).astype(float))
    number("Shape_Leng", np.sqrt(acres) * 0.0025)
    number("Shape_Area", acres * 4e-7)
    return rows


def main() -> None:
    """Write a file of argv[1] fields into the folder argv[2]."""
    write_shapefile(Path(sys.argv[2]), int(sys.argv[1]))


if __name__ == "__main__":
    main()
