"""landiq_crop: the statewide crop mapping's codes as names, whatever the year calls its columns.

2018 and later have UniqueID, CROPTYP1 to 4, PCNT1 to 4 and MAIN_CROP, in changing case. 2014 and 2016 have no UniqueID
and one crop by name (Crop2014, Crop2016): there the field's outline gives the id. The codes are those of DWR's land use
legend, https://data.cnra.ca.gov/dataset/statewide-crop-mapping.
"""

from __future__ import annotations

import hashlib
import re

import geopandas
import pandas as pd

CROPS = {
    "G2": "Wheat",
    "G6": "Miscellaneous Grain and Hay",
    "R1": "Rice",
    "R2": "Wild Rice",
    "F1": "Cotton",
    "F2": "Safflower",
    "F5": "Sugar beets",
    "F10": "Beans (Dry)",
    "F11": "Miscellaneous Field Crops",
    "F12": "Sunflowers",
    "F16": "Corn, Sorghum and Sudan",
    "P1": "Alfalfa & Alfalfa Mixtures",
    "P3": "Mixed Pasture",
    "P4": "Native Pasture",
    "P5": "Induced high water table native pasture",
    "P6": "Miscellaneous Grasses",
    "P7": "Turf Farms",
    "YP": "Young Perennials",
    "T4": "Cole Crops",
    "T6": "Carrots",
    "T9": "Melons, Squash and Cucumbers",
    "T10": "Onions and Garlic",
    "T12": "Potatoes",
    "T13": "Sweet Potatoes",
    "T16": "Flowers, Nursery and Christmas Tree Farms",
    "T18": "Miscellaneous Truck Crops",
    "T19": "Bush Berries",
    "T20": "Strawberries",
    "T21": "Peppers",
    "T27": "Greenhouse",
    "T30": "Lettuce/Leafy Greens",
    "T32": "Tomatoes",
    "D1": "Apples",
    "D2": "Apricots",
    "D3": "Cherries",
    "D5": "Peaches/Nectarines",
    "D6": "Pears",
    "D7": "Plums",
    "D8": "Prunes",
    "D10": "Miscellaneous Deciduous",
    "D12": "Almonds",
    "D13": "Walnuts",
    "D14": "Pistachios",
    "D15": "Pomegranates",
    "D17": "Pecans",
    "C": "Citrus",
    "C4": "Dates",
    "C5": "Avocados",
    "C6": "Olives",
    "C7": "Miscellaneous Subtropical Fruits",
    "C8": "Kiwis",
    "C10": "Eucalyptus",
    "V": "Grapes",
    "I1": "Idle – Short Term",
    "I4": "Idle – Long Term",
    "U": "Urban",
    "X": "Unclassified Fallow",
}
CODES = {name.casefold(): code for code, name in CROPS.items()}
NONE = re.compile(r"\**")
"""One or more stars mean none, however wide the column is."""
PLACES = (1, 2, 3, 4)


def transform(batch: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """The batch with the columns of landiq_crop.toml."""
    shape = batch.geometry
    source = pd.DataFrame(batch.drop(columns=shape.name))
    source.columns = [name.upper() for name in source.columns]
    result = pd.DataFrame(index=source.index)
    result["unique_id"] = _texts(source, "UNIQUEID") if "UNIQUEID" in source else shape.map(_outline_id)
    result["county"] = _texts(source, "COUNTY")
    result["region"] = _texts(source, "REGION")
    result["hydrologic_region"] = _texts(source, "HYDRO_RGN")
    result["area_acres"] = source["ACRES"]
    result["multi_use_code"] = _texts(source, "MULTIUSE")
    result["irrigated"] = _irrigated(source)
    result["planted_year"] = source.get("YR_PLANTED")
    by_name = next((str(name) for name in source if re.fullmatch(r"CROP20\d\d", str(name))), None)
    if by_name is not None:
        names = _texts(source, by_name)
        source["CROPTYP1"] = source["MAIN_CROP"] = names.str.casefold().map(CODES).where(names.notna(), None)
        source["PCNT1"] = "00"
    result["main_crop_code"] = _texts(source, "MAIN_CROP")
    result["main_crop"] = result["main_crop_code"].map(CROPS)
    for place in PLACES:
        code = _texts(source, f"CROPTYP{place}")
        result[f"crop_{place}_code"] = code
        result[f"crop_{place}"] = names if by_name is not None and place == 1 else code.map(CROPS)
        # two digits have no room for 100: the whole field is 00
        result[f"crop_{place}_percent"] = _texts(source, f"PCNT{place}").replace("00", "100").where(code.notna(), None)
    return geopandas.GeoDataFrame(result, geometry=shape)


def _texts(source: pd.DataFrame, name: str) -> pd.Series:
    """A column's texts without the stars that mean none; nothing where the year has no such column."""
    if name not in source:
        return pd.Series(None, index=source.index, dtype=object)
    texts = source[name].astype("string").str.strip()
    return texts.mask(texts.str.fullmatch(NONE), None).astype(object)


def _irrigated(source: pd.DataFrame) -> pd.Series:
    """True where one use of the field says so, false where one says not, else unknown."""
    said = pd.DataFrame({place: _texts(source, f"IRR_TYP{place}PA").str.lower() for place in PLACES})
    result = pd.Series(None, index=source.index, dtype=object)
    result[(said == "n").any(axis=1)] = False
    result[(said == "i").any(axis=1)] = True
    return result


def _outline_id(shape: object) -> str | None:
    wkb = getattr(shape, "wkb", None)
    return None if wkb is None else "outline-" + hashlib.sha256(wkb).hexdigest()[:24]
