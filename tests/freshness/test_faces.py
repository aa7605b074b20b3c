"""Who may read a face without a token, as faces.toml says; and the badge, which tells nobody anything else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import pytest

from sluiceway.errors import ConfigError
from sluiceway.freshness.badge import COLORS, badge, svg
from sluiceway.freshness.faces import Faces, read_faces
from sluiceway.freshness.model import State


def test_without_a_file_every_face_is_closed(tmp_path: Path) -> None:
    found = read_faces(tmp_path)
    assert not any(found.of(face).public for face in ("status", "badge", "metrics"))


def test_one_face_is_opened_and_the_others_stay_closed(tmp_path: Path) -> None:
    (tmp_path / "faces.toml").write_text("[badge]\npublic = true\nper_minute = 5\n")
    found = read_faces(tmp_path)
    assert (found.badge.public, found.badge.per_minute) == (True, 5)
    assert not found.status.public and not found.metrics.public


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[bagde]\npublic = true", "faces.toml: bagde: no such key; did you mean 'badge'?"),
        ("[badge]\npublik = true", "faces.toml: badge.publik = True: no such key; did you mean 'public'?"),
        ('[badge]\npublic = "true"', "faces.toml: badge.public = 'true': is neither true nor false"),
        ("[badge]\nper_minute = 0", "faces.toml: badge.per_minute = 0: must be more than 0"),
        ("badge = true", "faces.toml: badge = True: is no table; write its keys in braces, {...}"),
        ("[badge", "faces.toml: is not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "faces.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_faces(tmp_path)


@pytest.mark.parametrize("state", get_args(State))
def test_a_badge_says_the_state_in_shields_own_keys(state: State) -> None:
    found = badge(state).model_dump()
    # what shields takes, and refuses anything beside
    known = {"schemaVersion", "label", "message", "color", "labelColor", "isError", "namedLogo", "logoSvg", "logoColor"}
    assert set(found) <= known | {"style", "cacheSeconds"}
    assert found["schemaVersion"] == 1 and found["message"] == state and found["cacheSeconds"] >= 300
    assert ET.fromstring(svg(state)).get("aria-label") == f"data: {state}"


def test_every_state_has_a_colour_of_its_own() -> None:
    assert set(COLORS) == set(get_args(State)) and len(set(COLORS.values())) == len(COLORS)


def test_no_setting_opens_more_than_one_face() -> None:
    assert [name for name in Faces.model_fields if name in {"public", "all"}] == []
