"""The query of v1's list, put in the words of v2's.

The page of v1's list has the brackets of v2, https://developer.clopos.com/api-reference/receipts/get-receipts; public
clients of v1 write `sort_by`, `sort_order`, `date_from` and `date_to`.
"""

from datetime import date, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

from clopos_assets.sandbox.quirks import V1Parameters

_FLAT: Final = {"sort_by": "sort[0]", "sort_order": "sort[1]", "date_from": "date[0]", "date_to": "date[1]"}


def translate(text: str, spelling: V1Parameters) -> str:
    """The query as v2 would be asked; what is not in a spelling that is known is left out."""
    known: list[tuple[str, str]] = []
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name == "page":
            known.append((name, value))
        elif spelling == "none":
            continue
        elif name in _FLAT:
            if spelling != "brackets":
                is_over = spelling == "moments" and name == "date_to"
                known.append((_FLAT[name], _day_before(value) if is_over else value))
        elif "[" not in name or spelling not in ("flat", "moments"):
            known.append((name, value))
    return urlencode(known)


def _day_before(value: str) -> str:
    """The last day that is over at a day's midnight."""
    return (date.fromisoformat(value) - timedelta(days=1)).isoformat()
