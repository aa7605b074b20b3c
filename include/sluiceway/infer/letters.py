"""How well an encoding of one byte a letter explains words: whether they are the letters of one language, where letters
stand. Every byte means some letter in each of them, so nothing is ever proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sluiceway.infer.alphabets import APOSTROPHES, LANGUAGES, PLAIN_SIGNS, SIGNS

_SIGN = 0.97
"""A sign says a little less than a letter."""
_SMALL = 0.02
"""And a small letter at a word's beginning than a capital: names begin with one."""
_BELIEVED = {"cp1252": 0.05, "mac-roman": -0.02, "mac-cyrillic": -0.02}
"""How much sooner than another one that fits as well: what programs of Windows write, and what those of old Macs do."""
_ONLY_SIGNS = 1.2
_RUN = 3
"""So many letters with accents in a row no Latin word has."""


def letters_score(words: Mapping[bytes, int], name: str) -> float:
    """About 1 at most; 0 where the bytes mean nothing in this encoding."""
    try:
        # the reader is strict: one byte that means nothing ends the load
        texts = {word.decode(name): count for word, count in words.items()}
    except UnicodeDecodeError:
        return 0.0
    languages = LANGUAGES[name]
    latin = languages[0][0] < "\u0370"
    known = frozenset("".join(languages))
    letters: Counter[str] = Counter()
    signs = misplaced = small = 0
    for text, count in texts.items():
        run = 0
        for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
            run = 0 if char.isascii() else run + 1
            if char.isascii():
                continue
            if char in SIGNS:
                bad = before.isalpha() and after.isalpha() and char not in APOSTROPHES
                signs += count * (not bad)
                misplaced += count * bad
                continue
            letter = char if char in known else char.lower()
            if letter not in known or (latin and run >= _RUN) or _is_misplaced(before, char, after):
                misplaced += count
            else:
                letters[letter] += count
                small += count * (before == " " and char.islower())
    total = sum(letters.values()) + signs + misplaced
    if not total:
        return 0.0
    if name == "cp1252" and signs == total and all(map(_plain_signs, texts)):
        # pounds, degrees and quotes alone are no evidence of another language's letters
        return _ONLY_SIGNS
    one = max(sum(letters[char] for char in language) for language in languages)
    # several languages in one file are less likely than one, and more likely than the wrong encoding
    several = 0.9 * sum(letters.values())
    return (max(one, several) + _SIGN * signs - _SMALL * small) / total + _BELIEVED.get(name, 0.0)


def _plain_signs(word: str) -> bool:
    """Whether a word has no other signs than those that texts in English have, where they have them."""
    marks = [
        (before, char, after)
        for before, char, after in zip(" " + word, word, word[1:] + " ", strict=False)
        if not char.isascii()
    ]
    return all(
        char in PLAIN_SIGNS
        and (char not in APOSTROPHES or char == "\u00a0" or (char == "\u2019" and before.isalpha() and after.isalpha()))
        for before, char, after in marks
    )


def _is_misplaced(before: str, char: str, after: str) -> bool:
    beside = before + after
    if beside == "  " or any(each.isdigit() for each in beside):
        # no letter stands alone, and none beside a digit
        return True
    if char >= "\u0370" and any(each.isascii() and each.isalpha() for each in beside):
        # no word has letters of two scripts
        return True
    return (char.isupper() and before.islower()) or (char.islower() and after.isupper())
