"""How docs/conf.py makes a site of pages, seen on a page of our own: the whole one is `make docs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dev.docs.page import DOCS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one page."""
    pages = tmp_path_factory.mktemp("pages")
    (pages / "index.md").write_text('# Site\n\nIt is waited for with --wait, and "quoted".\n', encoding="utf-8")
    (pages / "_static").symlink_to(DOCS / "_static")
    built = pages / "_build"
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--conf-dir", DOCS, pages, built]
    subprocess.run(command, check=True)
    return built


def test_an_option_stays_what_a_shell_takes(site: Path) -> None:
    assert "with --wait, and “quoted”" in (site / "index.html").read_text(encoding="utf-8")


def test_no_page_leads_to_an_index_of_nothing(site: Path) -> None:
    assert "genindex" not in (site / "index.html").read_text(encoding="utf-8")
    assert not (site / "genindex.html").exists()
