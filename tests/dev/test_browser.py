"""Where the browser of the tests comes from, and what axe-core must be to be run in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import browser
from dev.errors import BrowserMissingError


def test_without_a_browser_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "PROGRAMS", ("no-such-browser",))
    monkeypatch.setattr(browser, "PLACES", ())
    with pytest.raises(BrowserMissingError, match="apt-get install chromium"):
        browser.chromium()


def test_another_file_than_the_pinned_one_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "axe.tgz").write_bytes(b"something else")
    monkeypatch.setattr(browser, "AXE_URL", (tmp_path / "axe.tgz").as_uri())
    monkeypatch.setattr(browser, "AXE", tmp_path / "axe.js")
    with pytest.raises(BrowserMissingError, match="is another file than was pinned"):
        browser.ensure()
    assert not (tmp_path / "axe.js").exists()
