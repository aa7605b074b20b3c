"""The verdict as a badge: for shields.io, and drawn here. It names no table, no commit and no environment."""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape

from pydantic import Field

from sluiceway.freshness.model import Frozen, State

LABEL = "data"
MAX_AGE_S = 60
SHIELDS_CACHE_S = 300
"""Shields takes nothing shorter."""
Color = Literal["green", "yellow", "red", "lightgrey"]
COLORS: dict[State, Color] = {"in step": "green", "behind": "yellow", "stale": "red", "unknown": "lightgrey"}
_HEX: dict[Color, str] = {"green": "#2d7d32", "yellow": "#8a6100", "red": "#b3261e", "lightgrey": "#6b6b6b"}
"""Dark enough for white letters: 4.5 to 1 at least."""
_LABEL_HEX = "#444"
_LETTER, _MARGIN, _HEIGHT = 7, 6, 20
"""Pixels. `textLength` has the letters take the room that they are given, whatever font there is."""


class Badge(Frozen):
    """What shields' endpoint badge reads; it refuses a key that it does not know."""

    schemaVersion: Literal[1] = 1  # noqa: N815 - the format's own names
    label: str = LABEL
    message: str = Field(min_length=1)
    color: Color
    cacheSeconds: int = SHIELDS_CACHE_S  # noqa: N815


def badge(state: State) -> Badge:
    """The badge of a verdict."""
    return Badge(message=state, color=COLORS[state])


def svg(state: State) -> str:
    """The same as a drawing, which loads nothing and says in words what it shows."""
    said = f"{LABEL}: {state}"
    label, message = (len(text) * _LETTER + 2 * _MARGIN for text in (LABEL, state))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + message}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(said)}">\n<title>{escape(said)}</title>\n'
        f'<clipPath id="r"><rect width="{label + message}" height="{_HEIGHT}" rx="3"/></clipPath>\n'
        f'<g clip-path="url(#r)"><rect width="{label}" height="{_HEIGHT}" fill="{_LABEL_HEX}"/>'
        f'<rect x="{label}" width="{message}" height="{_HEIGHT}" fill="{_HEX[COLORS[state]]}"/></g>\n'
        f'<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">'
        f"{_text(LABEL, _MARGIN)}{_text(state, label + _MARGIN)}</g>\n</svg>\n"
    )


def _text(text: str, x: int) -> str:
    return f'<text x="{x}" y="14" textLength="{len(text) * _LETTER}">{escape(text)}</text>'
