"""Which build of the bundle this is.

A DAG that still runs the previous code is the classic silent failure of a deploy: its run is green and its data is
that of old code. So whoever builds an image or ships a bundle stamps a build id, and each DAG shows it as a tag.
"""

from __future__ import annotations

import json
from functools import cache

from sluiceway.errors import SettingsError
from sluiceway.settings import PACKAGE_DIR

BUILD_TAG = "build:"
"""What a DAG's tag begins with that names its build."""
VERSION_FILE = PACKAGE_DIR / "version.json"


@cache
def build_id() -> str | None:
    """What version.json beside the package says; None in a checkout, where nothing was stamped.

    :raises SettingsError: the file is there and names no build.
    """
    if not VERSION_FILE.is_file():
        return None
    try:
        found = json.loads(VERSION_FILE.read_text(encoding="utf-8"))
        build = found["build_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f'{VERSION_FILE}: write {{"build_id": "..."}} into it; it is no such file') from error
    return str(build)


def build_tags() -> list[str]:
    """The tags that every DAG of the bundle carries."""
    build = build_id()
    return [f"{BUILD_TAG}{build}"] if build else []
