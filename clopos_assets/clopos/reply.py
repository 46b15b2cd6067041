"""One answer, decoded and judged, with the words of its refusal free of secrets."""

import re
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from urllib.parse import urlsplit

from clopos_assets.clopos.decode import decode_json
from clopos_assets.clopos.dialect import Dialect
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError
from clopos_assets.clopos.verdict import Verdict, judge, told
from clopos_assets.clopos.window import RateLimit, read_seconds
from clopos_assets.clopos.wire import Answer


@dataclass(frozen=True)
class Reply:
    """`envelope` is the decoded body, None where it is not JSON."""

    answer: Answer
    verdict: Verdict
    envelope: object = field(repr=False)

    def read(self) -> dict[str, object]:
        """The envelope of an answer that was judged good."""
        assert isinstance(self.envelope, dict), "only objects are judged good"
        return self.envelope


def read_reply(
    answer: Answer,
    *,
    secrets: Collection[str],
    dialect: Dialect,
    venue_id: int | None = None,
    one_resource: bool = False,
) -> Reply:
    """`secrets` are cut out of whatever Clopos says about the request; the rest is as in `judge`."""
    envelope: object
    try:
        envelope = decode_json(answer.body)
    except ValueError:
        envelope = None
    headers = dialect.read_headers(answer.headers)
    verdict = judge(
        answer.status,
        _without_secrets(envelope, secrets),
        content_type=_without(answer.headers.get("content-type", ""), secrets),
        # As the quota reads it: a moment, or what else is no number of seconds, is nothing to wait for.
        rate_limit_reset=RateLimit.read(headers).reset_seconds,
        retry_after=read_seconds(answer.headers.get("Retry-After")),
        venue_id=venue_id,
        one_resource=one_resource,
        credentials=dialect.variables,
        redirect_host=_host(answer.headers.get("location", "")),
    )
    return Reply(answer, verdict, envelope)


def refusal(name: str, verdict: Verdict) -> CloposError:
    """The error of a final verdict on the request called `name`."""
    message = f"{name}: {verdict.text}"
    return CloposAnswerError(message) if verdict.undocumented else CloposRefusedError(message, verdict.parameter)


def refusal_of_new_token(name: str, verdict: Verdict, dialect: Dialect) -> CloposRefusedError:
    """The error where a token is not taken although it was just issued: another one would not be taken either."""
    return CloposRefusedError(
        f"{name}: {verdict.text}, also for a token just issued; check that CLOPOS_BASE_URL belongs to "
        f"{dialect.variables}"
    )


def _without_secrets(envelope: object, secrets: Collection[str]) -> object:
    if not isinstance(envelope, dict):
        return envelope
    clean = dict(envelope)
    for key in ("error", "message"):
        text = _without(told(clean.pop(key, None)), secrets)
        if text:
            clean[key] = text
    return clean


def _without(text: str, secrets: Collection[str]) -> str:
    if text:
        for secret in filter(None, secrets):
            text = _spelled(secret).sub("***", text)
    return text


@lru_cache(maxsize=16)
def _spelled(secret: str) -> re.Pattern[str]:
    """A secret as servers write what they were sent: as it is, as in an address, in JSON or in HTML, or mixed."""
    return re.compile("".join(map(_ways_of, secret)), re.IGNORECASE)


def _ways_of(letter: str) -> str:
    if letter.isascii() and letter.isalnum():
        return letter  # nobody writes these in another way
    in_address = "".join(f"%{byte:02X}" for byte in letter.encode(errors="surrogatepass"))
    in_utf_16 = struct.iter_unpack(">H", letter.encode("utf-16-be", errors="surrogatepass"))
    in_json = "".join(rf"\u{unit:04X}" for (unit,) in in_utf_16)
    ways = [in_address, in_json, f"\\{letter}", escape(letter), letter, "+" if letter == " " else letter]
    return f"(?:{'|'.join(map(re.escape, ways))}|&#0*{ord(letter)};|&#x0*{ord(letter):X};)"


def _host(location: str) -> str:
    """The host of a redirect; the rest of the address may hold anything. Empty for a path on the same host."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""
