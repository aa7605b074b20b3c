"""The family of each column of a layer, by what GDAL calls its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FAMILY_OF_OGR = {
    "OFTInteger": "number",
    "OFTInteger64": "number",
    "OFTReal": "number",
    "OFTString": "text",
    "OFTDate": "time",
    "OFTTime": "time",
    "OFTDateTime": "time",
    "OFTBinary": "binary",
}


def families(info: Mapping[str, Any]) -> dict[str, str]:
    """Column -> family.

    :param info: as pyogrio tells it of the layer.
    """
    return {
        str(name): "boolean" if subtype == "OFSTBoolean" else _FAMILY_OF_OGR.get(kind, "other")
        for name, kind, subtype in zip(info["fields"], info["ogr_types"], info["ogr_subtypes"], strict=True)
    }
