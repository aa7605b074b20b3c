"""How often the encoding of a text is found: real names and sentences, in each encoding of their language.

Run by `make bench-encodings`, results in bench/results/encodings.json. A guess is right when the text comes out as it
was; which of two encodings with the same letters it was called does not matter. The texts of encodings.tsv were looked
at while the rules of sluiceway/infer were written. Those of encodings_unseen.tsv were written afterwards, and one rule,
of texts of signs alone, was narrowed by what both lists were guessed wrong at. What is asked for must hold for each.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from dev.environment import ROOT
from sluiceway.errors import SourceUnreadableError
from sluiceway.infer.encoding import Found, find_encoding

console = Console(highlight=False)
LISTS = {"seen": ROOT / "bench" / "encodings.tsv", "unseen": ROOT / "bench" / "encodings_unseen.tsv"}
RESULT = ROOT / "bench" / "results" / "encodings.json"
LEAST = {"long": 0.95, "short": 0.85}
"""The share of right guesses that is asked for."""

_WESTERN = ("cp1252", "cp850", "mac-roman")
_CENTRAL = ("cp1250", "iso-8859-2", "cp852")
_UNICODE = ("utf-8", "utf-16")
ENCODINGS = {
    **dict.fromkeys(("de", "fr", "es", "pt", "it", "da", "sv", "fi", "is"), _WESTERN),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "hr", "ro"), _CENTRAL),
    **dict.fromkeys(("ru", "bg"), ("cp1251", "koi8-r", "cp866", "iso-8859-5", "mac-cyrillic")),
    "uk": ("cp1251", "koi8-u", "iso-8859-5"),
    "sr": ("cp1251", "iso-8859-5"),
    "el": ("cp1253", "iso-8859-7", "cp737"),
    "tr": ("cp1254", "cp857"),
    **dict.fromkeys(("lt", "lv", "et"), ("cp1257",)),
    "he": ("cp1255",),
    "ar": ("cp1256",),
    "th": ("cp874",),
    "ja": ("cp932", "euc-jp", "iso2022-jp"),
    "zh": ("gb18030",),
    "zht": ("big5",),
    "ko": ("cp949",),
    "vi": (),
    "sign": ("cp1252",),
}


class Case(NamedTuple):
    """A text in an encoding."""

    language: str
    kind: str
    """short or long."""
    encoding: str
    text: str


def cases(path: Path) -> Iterator[Case]:
    """Every text of a list in each encoding of its language that has all of its letters."""
    seen = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        language, kind, rows = line.split("\t")
        text = "id\tname\n" + "".join(f"{number}\t{row}\n" for number, row in enumerate(rows.split(" | "), 1))
        # UTF proves itself: one text of each language is enough
        others = () if language in seen else _UNICODE
        seen.add(language)
        for encoding in (*ENCODINGS[language], *others):
            try:
                text.encode(encoding)
            except UnicodeEncodeError:
                continue
            yield Case(language, kind, encoding, text)


def guess(case: Case) -> tuple[Found | None, bool]:
    """What is found, and whether the text comes out as it was."""
    written = case.text.encode(case.encoding)
    try:
        found = find_encoding(io.BytesIO(written), "a.csv")
        read = written.decode(found.name or "utf-8-sig")
    except (SourceUnreadableError, UnicodeDecodeError):
        return None, False
    return found, read == case.text


def measure(path: Path) -> dict[str, Any]:
    """The shares of right guesses of a list, and the wrong ones."""
    right: dict[str, Counter[bool]] = defaultdict(Counter)
    by_encoding: dict[str, Counter[bool]] = defaultdict(Counter)
    wrong, silent = [], 0
    for case in cases(path):
        found, is_right = guess(case)
        right[case.kind][is_right] += 1
        by_encoding[case.encoding][is_right] += 1
        if not is_right:
            # without a remark a person who reads the draft has nothing to look at
            silent += found is not None and found.sure
            rows = " | ".join(line.split("\t")[1] for line in case.text.splitlines()[1:])
            wrong.append([case.encoding, found.name if found is not None else "error", case.kind, rows[:60]])
    return {
        "texts": len({case.text for case in cases(path)}),
        "encodings": len(by_encoding),
        "cases": sum(count.total() for count in right.values()),
        **{kind: round(count[True] / count.total(), 4) for kind, count in sorted(right.items())},
        "wrong_without_a_remark": silent,
        "by_encoding": {name: f"{count[True]} of {count.total()}" for name, count in sorted(by_encoding.items())},
        "wrong": wrong,
    }


def main() -> int:
    """Measure, write and print; 1 when it is less than what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--result", type=Path, default=RESULT)
    results = {name: measure(path) for name, path in LISTS.items()}
    path = parser.parse_args().result
    path.write_text(json.dumps(results, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    enough = True
    for name, result in results.items():
        console.print(f"{name}: {result['cases']} cases, {result['texts']} texts, {result['encodings']} encodings")
        for kind, least in LEAST.items():
            console.print(f"  {kind}: {result[kind]:.1%} right, {least:.0%} are asked for")
            enough = enough and result[kind] >= least
        console.print(f"  wrong without a remark: {result['wrong_without_a_remark']}")
        enough = enough and not result["wrong_without_a_remark"]
    return 0 if enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
