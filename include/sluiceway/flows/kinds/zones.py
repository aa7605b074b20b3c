"""Time zones as a flow's file names them."""

from __future__ import annotations

import zoneinfo

from sluiceway.errors import nearest


def known_zone(name: str) -> str:
    """The name; raises ValueError for what is none."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"is no time zone of the IANA database{nearest(name, zoneinfo.available_timezones(), listing=False)}"
        ) from error
    return name
