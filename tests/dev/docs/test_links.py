"""Every link within the project leads somewhere, on GitHub too; `make docs` sees to it for the site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dev.environment import ROOT
from tests.dev.docs.markdown import PAGES, blocks, headings, links, sentences

OUTSIDE = re.compile(r"https?://|mailto:")
SHOWN = [*PAGES, ROOT / "CHANGELOG.md"]


def dead(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for link in links(page):
        if OUTSIDE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def anchors(page: Path) -> set[str]:
    """Of a page, and of the one that it includes."""
    included = re.search(r"^```\{include\} (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return headings(page) | (headings((page.parent / included[1]).resolve()) if included else set())


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](page.md#two) [c](other.md) `[d](x.md)`\n", encoding="utf-8")
    assert dead(page) == ["page.md#two", "other.md"]


def test_there_are_links_to_look_at() -> None:
    assert sum(len(links(page)) for page in PAGES) > 100


def as_a_browser_would_not_show_them(page: Path) -> list[str]:
    """What a browser takes for a tag, and shows nothing of: `<sha>` is a name only in code."""
    return re.findall(r"</?[A-Za-z](?![A-Za-z+.-]*:)[^>]*>", sentences(page))


@pytest.mark.parametrize("page", SHOWN, ids=[str(page.relative_to(ROOT)) for page in SHOWN])
def test_no_name_in_angle_brackets_is_swallowed_as_a_tag(page: Path) -> None:
    assert as_a_browser_would_not_show_them(page) == []


def test_a_name_that_would_be_swallowed_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("plan_<queue> of `<sha>` &lt;id> <https://example.org> <!-- end --> 1 < 2 > 0\n", encoding="utf-8")
    assert as_a_browser_would_not_show_them(page) == ["<queue>"]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_block_of_code_says_its_language(page: Path) -> None:
    """An indented one would be tested by nobody."""
    assert [block.name for block in blocks(page) if not block.language] == []
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\n\n    \S.*", text) == []


def test_every_page_is_reached_from_the_start_of_the_docs() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    trees = "\n".join(re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL))
    for page in PAGES:
        if page.is_relative_to(ROOT / "docs") and page.name != "index.md":
            name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
            assert re.search(rf"^{name}$", trees, re.MULTILINE) or f"{Path(name).parent}/*" in trees, name


def test_a_mention_of_a_page_in_the_code_names_one_that_is_there() -> None:
    files = [
        path
        for folder in ("include", "dags", "dev", "tests", "bench", ".github", "plugins")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yml", ".toml"} and path != Path(__file__)
    ]
    named = {(path, name) for path in files for name in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text("utf-8"))}
    assert len(named) > 20
    assert sorted(str(path) for path, name in named if not (ROOT / name).is_file()) == []
