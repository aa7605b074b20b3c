"""What stands in the project's Markdown: blocks of code, code in sentences, links and anchors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.docs.page import DOCS
from dev.environment import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / ".github" / "SECURITY.md",
    *sorted(DOCS.rglob("*.md")),
]
"""Every page that a person reads."""
PLACEHOLDER = re.compile(r"\$\([^()]*\)|\$\{?\w+\}?")
"""What a shell would put in."""
OPERATORS = {"|", "&&", "||", ";"}


@dataclass(frozen=True)
class Block:
    """A fenced block of code, without its indentation."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it stands, for a test's id."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```([\w{}-]*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [
        Block(page, text[: each.start()].count("\n") + 1, each[2], re.sub(rf"^{each[1]}", "", each[3], flags=re.M))
        for each in found
    ]


def every(language: str) -> list[Block]:
    """The blocks of all pages in that language."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.DOTALL | re.MULTILINE)


def headings(page: Path) -> set[str]:
    """The anchors that GitHub and MyST make of a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")
        number, anchor = 0, slug
        while anchor in found:
            number += 1
            anchor = f"{slug}-{number}"
        found.add(anchor)
    return found


def sentences(page: Path) -> str:
    """A page without any code, and without the marks between which a program writes."""
    return re.sub(r"`[^`\n]*`|<!--.*?-->", "", prose(page))


def links(page: Path) -> list[str]:
    """Where its links and pictures lead."""
    return re.findall(r"\]\(([^)\s]+)\)", sentences(page))


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a block as words, without what a shell does around them; what a shell puts in is a word X."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    for line in text.splitlines():
        one: list[str] = []
        for word in [*words(line), ";"]:
            if word in OPERATORS:
                yield one
                one = []
            else:
                one.append(word)


def words(command: str) -> list[str]:
    """One command as words; none where it is a comment."""
    found = shlex.split(PLACEHOLDER.sub("X", command), comments=True)
    while found and re.fullmatch(r"\w+=.*", found[0], re.DOTALL):
        found.pop(0)
    return found


def in_sentences(page: Path, program: str) -> list[str]:
    """The commands of that program in the sentences of a page."""
    code = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page))
    return [each for each in code if each == program or each.startswith(f"{program} ")]
