"""Reproducible chance: generators seeded by words, and the few draws that the history makes of them.

Only draws that are exact on every machine are used: integers, and comparisons of `random()`. Functions of the
platform's mathematics library (gauss, log, exp) may differ in the last bit and have no place here.
"""

from random import Random


def seeded(*words: object) -> Random:
    """A generator that depends on the words' text alone, not on the process or PYTHONHASHSEED."""
    return Random(":".join(map(str, words)))  # noqa: S311 - made-up sales are no secret, and have to come out again


def happens(chance: Random, rate: float) -> bool:
    """True in `rate` of the cases; 0 is never and 1 is always. Always uses up exactly one draw."""
    return chance.random() < rate


def make_uuid(chance: Random) -> str:
    """A text of the form of a random UUID (version 4)."""
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
