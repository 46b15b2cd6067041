"""The query of v1's list, put in the words of v2's, whose page is the only one that describes a list.

Public clients of v1 write `sort_by`, `sort_order`, `date_from` and `date_to`; whether v1 knows brackets too is
written nowhere.
"""

from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

_FLAT: Final = {"sort_by": "sort[0]", "sort_order": "sort[1]", "date_from": "date[0]", "date_to": "date[1]"}


def translate(text: str, spelling: Literal["both", "flat", "brackets", "none"]) -> str:
    """The query as v2 would be asked; what is not in a spelling that is known is left out."""
    known: list[tuple[str, str]] = []
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name == "page":
            known.append((name, value))
        elif spelling == "none":
            continue
        elif name in _FLAT:
            if spelling != "brackets":
                known.append((_FLAT[name], value))
        elif "[" not in name or spelling != "flat":
            known.append((name, value))
    return urlencode(known)
