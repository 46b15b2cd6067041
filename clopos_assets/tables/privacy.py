"""What becomes of personal data: the fields `customer`, `address` and `description`, wherever an answer holds them.

The only place that knows which fields those are and what is done to them. It works on answers before they are read
into rows, so that no column, no text of an error and nothing kept for later has met a value that was not to be kept.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from functools import cached_property, lru_cache
from typing import Literal

import msgspec

from clopos_assets.tables.values import RowError, write_json

Handling = Literal["keep", "hash", "drop"]

_NAMES = re.compile(r"(?:^|_)(?:customer|\w*address|description)(?:e?s)?(?:_|$)")
_IDS = re.compile(r"(?:customer|address)_ids?")
# No longer than that: of a text that is cut short, each quote may be the first of a key that has no end.
_KEY = re.compile(r'"((?:[^"\\]|\\.){0,100})"\s*:')
_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^\w]+")
_DEEPEST = 64
_NESTING = frozenset({dict, list})
_OPENING = ("{", "[")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_RULES = 2
"""Raised whenever more, or less, of an answer counts as personal, or is hashed otherwise: what was stored by older
rules is then stored anew when its shift date is made again."""
_SALT = b"clopos-assets personal data "
# Guessing the secret behind a key costs 16 MB and some 50 ms a guess.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


@lru_cache(maxsize=64)
def derive_key(client_secret: str, brand: str) -> bytes:
    """The key of a brand's hashes. Neither it nor a hash made with it tells the secret; another secret, another key."""
    return hashlib.scrypt(client_secret.encode(), salt=_SALT + brand.encode(), **_SCRYPT)


@lru_cache(maxsize=4096)
def is_personal(name: str) -> bool:
    """Whether a field is one of the three, or by its name a part of one (`customer_phone`), but no `customer_id`."""
    snake = _JOINT.sub("_", name).lower()
    return _NAMES.search(snake) is not None and _IDS.fullmatch(snake) is None


def names_personal(text: str) -> bool:
    """Whether JSON text, be it cut short or otherwise malformed, has a personal field, be its value kept or not."""
    # Without escapes, what text within the text holds is read alike.
    return any(map(is_personal, _KEY.findall(text) + _KEY.findall(text.replace("\\", ""))))


@dataclass(frozen=True)
class Privacy:
    """How personal values are stored: as they came, as a hash, or not at all.

    A hash is BLAKE2b under a secret `key`, 32 hexadecimal digits: equal values have equal hashes, in every receipt
    and run, and whoever lacks the key can't try values out, however few there are (as with telephone numbers).
    Structures keep their shape, and each value in them is hashed by itself. NULL and empty text stay what they are.
    """

    handling: Handling = "keep"
    key: bytes = field(default=b"", repr=False)

    @cached_property
    def mark(self) -> str:
        """What a partition notes of how its personal values are stored; hashes of another key are another way."""
        if self.handling == "keep":
            return self.handling
        key = f".{self._hash('which key this is')[:8]}" if self.handling == "hash" else ""
        return f"{self.handling}.{_RULES}{key}"

    def forms(self, item: Mapping[str, object]) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """An answer's object as it may be stored, and as it is to be compared with what was stored before.

        The latter has hashes whatever is stored, so that a receipt is the same under each handling, and so that what
        is kept of the comparison does not give away by trial what was dropped. The given object itself is returned
        where it holds nothing personal. Raises RowError for an object that is nested too deeply.
        """
        hashed = _replaced(item, self._hashed)
        if hashed is item or self.handling == "hash":
            return hashed, hashed
        return item if self.handling == "keep" else _replaced(item, _dropped), hashed

    def stored(self, item: Mapping[str, object]) -> Mapping[str, object]:
        """The first of `forms`."""
        return item if self.handling == "keep" else self.forms(item)[0]

    def _hashed(self, value: object) -> object:
        if isinstance(value, dict):
            return {name: self._hashed(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._hashed(inner) for inner in value]
        if value is None or value == "":
            return value
        return self._hash(value if isinstance(value, str) else write_json(value))

    def _hash(self, text: str) -> str:
        return hashlib.blake2b(text.encode(), digest_size=16, key=self.key).hexdigest()


def _dropped(_value: object) -> object:
    return None


def _replaced(item: Mapping[str, object], treat: Callable[[object], object]) -> Mapping[str, object]:
    replaced = _walk(item, treat, 0)
    assert isinstance(replaced, Mapping)  # as it was given
    return replaced


@lru_cache(maxsize=4096)
def _personal_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of an object's field names that are personal: objects of an answer have few different sets of them."""
    return tuple(name for name in names if is_personal(name))


def _walk(value: object, treat: Callable[[object], object], depth: int) -> object:
    """The value with personal fields treated, in JSON within text too; the same object where there is none."""
    if depth > _DEEPEST:
        raise RowError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        personal = _personal_of(tuple(value))
        changed = {}
        for name in personal:
            now = treat(value[name])
            if now is not value[name]:
                changed[name] = now
        for name, inner in value.items():
            if (type(inner) in _NESTING or _may_be_json(inner)) and name not in personal:
                now = _walk(inner, treat, depth + 1)
                if now is not inner:
                    changed[name] = now
        return value | changed if changed else value
    if isinstance(value, list):
        walked = [_walk(inner, treat, depth + 1) for inner in value]
        return walked if any(now is not inner for now, inner in zip(walked, value, strict=True)) else value
    return _walk_text(value, treat, depth) if isinstance(value, str) and _may_be_json(value) else value


def _may_be_json(value: object) -> bool:
    return type(value) is str and value.lstrip()[:1] in _OPENING


def _walk_text(text: str, treat: Callable[[object], object], depth: int) -> object:
    """JSON within a text, as some senders pack it; the text itself where nothing personal is in it, or no JSON.

    What is cut short, too deep or beyond what can be read is treated as one value where a personal field is named.
    """
    try:
        value: object = _DECODER.decode(text)
    except (ValueError, DecimalException, RecursionError):
        return treat(text) if names_personal(text) else text
    try:
        now = _walk(value, treat, depth + 1)
    except RowError:  # as text it may be kept, and nobody can say what is in it
        return treat(text)
    return text if now is value else write_json(now)
