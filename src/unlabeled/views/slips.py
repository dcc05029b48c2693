"""Texts as a worse keyboard, a worse reader or a worse editor would give them; each kind in five severities."""

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

NEIGHBOURS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
SHARES = (0.02, 0.04, 0.08, 0.12, 0.2)  # of letters with a slip of the finger
WORDS = (0.05, 0.1, 0.2, 0.35, 0.5)  # of words that are changed


def typos(text: str, share: float, chance: random.Random) -> str:
    """Letters doubled, left out, exchanged with the next, or hit beside, as fingers slip."""
    out, skip = [], False
    for letter, after in zip(text, text[1:] + " ", strict=True):
        if skip:
            skip = False
        elif letter.isalpha() and chance.random() < share:
            way = chance.randrange(4)
            skip = way == 1
            out.append(("", after + letter, letter + letter, _beside(letter, chance))[way])
        else:
            out.append(letter)
    return "".join(out)


def case(text: str, share: float, chance: random.Random) -> str:
    """Words in capitals, or all small."""
    return _each(text, share, chance, lambda word: word.lower() if word[:1].isupper() else word.upper())


def deletions(text: str, share: float, chance: random.Random) -> str:
    """Words left out."""
    return _each(text, share, chance, lambda word: "")


def joined(text: str, share: float, chance: random.Random) -> str:
    """Spaces lost, so that words run together."""
    words = text.split()
    return "".join(word + ("" if chance.random() < share else " ") for word in words).strip()


def swapped(text: str, share: float, chance: random.Random) -> str:
    """Words that change places with the next."""
    words = text.split()
    for i in range(len(words) - 1):
        if chance.random() < share:
            words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


KINDS: Mapping[str, tuple[Callable[[str, float, random.Random], str], tuple[float, ...]]] = MappingProxyType(
    {
        "typos": (typos, SHARES),
        "case": (case, WORDS),
        "deletions": (deletions, WORDS),
        "joined": (joined, WORDS),
        "swapped": (swapped, WORDS),
    }
)


def corrupt(text: str, kind: str, severity: int, seed: int) -> str:
    """One text, worse; what is left says something still.

    >>> corrupt("the cat sat on the mat", "deletions", 5, 0)
    'the cat the'
    """
    worse, shares = KINDS[kind]
    found = worse(text, shares[severity - 1], random.Random(seed))
    return found if found.strip() else text


def _each(text: str, share: float, chance: random.Random, change: Callable[[str], str]) -> str:
    found = (change(word) if chance.random() < share else word for word in text.split())
    return " ".join(word for word in found if word)


def _beside(letter: str, chance: random.Random) -> str:
    for row in NEIGHBOURS:
        at = row.find(letter.lower())
        if at >= 0:
            other = row[max(0, at - 1)] if chance.random() < 0.5 else row[min(len(row) - 1, at + 1)]
            return other.upper() if letter.isupper() else other
    return letter
