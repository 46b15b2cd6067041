"""What one answer of Clopos means: a pure function over status and body, the documented status table and its traps.

https://developer.clopos.com/errors; nothing here waits, sends or decodes.
"""

import re
from dataclasses import dataclass
from enum import Enum

_LONGEST_QUOTE = 300
_MOST_PARTS = 5
_CREDENTIALS = "CLOPOS_CLIENT_ID, CLOPOS_CLIENT_SECRET, CLOPOS_BRAND and CLOPOS_INTEGRATOR_ID"
_BASE_URL_ADVICE = "check CLOPOS_BASE_URL: it takes the root of the Open API, without the version"

# Words of a refusal, lower case, and what the reader can do about it. The first that occurs wins. `{credentials}`
# stands for the settings that say who asks.
_KNOWN_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in (
        (
            r"headers? (is|are) missing|missing (authentication )?headers?",
            "check that CLOPOS_BASE_URL is the vendor's and that no proxy in between drops the x- headers",
        ),
        (
            r"\btest\b.*\b(production|live|brand)\b|\b(production|live)\b.*\btest\b",
            "test and production differ by credentials: check that CLOPOS_INTEGRATOR_ID and CLOPOS_BRAND belong "
            "together",
        ),
        (r"integrator", "check CLOPOS_INTEGRATOR_ID, and with Clopos that it is enabled"),
        (r"client.{0,20}disabled", "ask Clopos to enable the client of CLOPOS_CLIENT_ID"),
        (r"client.?secret", "check CLOPOS_CLIENT_ID and CLOPOS_CLIENT_SECRET"),
        # Said of a wrong brand, too.
        (r"credential|invalid.client", "check {credentials}"),
        (r"client.?id", "check CLOPOS_CLIENT_ID"),
        (r"module", "ask Clopos to switch the module on for the brand of CLOPOS_BRAND"),
        (r"brand", "check CLOPOS_BRAND"),
    )
)
# v1's pages speak of an "invalid or expired" and of an "invalid or missing" one.
_STALE_TOKEN = re.compile(
    r"token[ _](has |is )?(been )?(expired|invalid)|(expired|invalid)[ _](or (missing|expired) )?token"
)
_ABSENT = re.compile(r"\bnot_found\b|\breceipt\b")
_OF_VENUE = re.compile(r"\b(venue|brand)\b")
# "with" alone is an English word.
_PARAMETER = re.compile(r"\b(?:(?:per_?)?page(?:_?size)?|limit|sort(?:_by|_order)?|date|filters)\b|\bwith(?=\[)")
# What a refusal may call them otherwise.
_SAME = {"perpage": "limit", "pagesize": "limit", "perpagesize": "limit", "sortby": "sort", "sortorder": "sort"}


class Kind(Enum):
    """What a client does with an answer."""

    OK = "ok"
    ABSENT = "absent"
    REAUTHENTICATE = "reauthenticate"
    RETRY = "retry"
    FINAL = "final"


@dataclass(frozen=True)
class Verdict:
    """`text` is the cause, and for a final verdict what to do; `wait_seconds` the least wait before a repeat.

    `undocumented` marks a final verdict on JSON that the documentation does not describe; `parameter` is the query
    parameter that a refusal names; `maybe_elsewhere` says that the answer looks like another server's than Clopos';
    `may_be_token` that a refusal of status 401 says nothing known, so that the token may have ended.
    """

    kind: Kind
    text: str = ""
    wait_seconds: float = 0.0
    undocumented: bool = False
    parameter: str | None = None
    maybe_elsewhere: bool = False
    may_be_token: bool = False


def judge(
    status: int,
    envelope: object,
    *,
    content_type: str = "",
    rate_limit_reset: float | None = None,
    retry_after: float | None = None,
    venue_id: int | None = None,
    one_resource: bool = False,
    redirect_host: str = "",
    credentials: str = _CREDENTIALS,
) -> Verdict:
    """Read an answer in the order that the documentation demands: redirect, gateway fault, `success`, status.

    `envelope` is the decoded body, None where it is not JSON; `rate_limit_reset` and `retry_after` are seconds from
    the headers of those names; `venue_id` is the venue of the request; `one_resource` says that a single resource was
    asked for by id, so that 404 is an answer; `redirect_host` is the host of a Location header;
    `credentials` names the settings that say who asks.
    """
    if 300 <= status < 400:
        return Verdict(
            Kind.FINAL,
            f"HTTP {status} redirects to {redirect_host or 'the same host'}, which is not followed; {_BASE_URL_ADVICE}",
        )
    success = envelope.get("success") if isinstance(envelope, dict) else None
    # Equality, because PHP may write 0 and 1.
    if 200 <= status < 300 and success == 1:
        return Verdict(Kind.OK)
    quote = _quote(status, envelope, content_type)
    if status == 429:
        return Verdict(Kind.RETRY, quote, max(rate_limit_reset or 0.0, retry_after or 0.0))
    if status >= 500 or status in (408, 425):
        return Verdict(Kind.RETRY, quote, retry_after or 0.0)
    if not isinstance(envelope, dict):
        return _judge_without_envelope(status, envelope, quote, venue_id, credentials)
    # The vendor's OpenAPI schema of an error has no `success`, against its page of errors.
    if success == 0 or (success is None and (_words(envelope) if status >= 400 else told(envelope.get("error")))):
        return _judge_failure(status, envelope, quote, venue_id, one_resource, credentials)
    if status >= 400:
        return _refuse(status, quote, quote, venue_id, credentials)
    # Of the vendor's examples that of stock operations, and one of v1's of a token, come without `success`.
    if success is None and ("data" in envelope or "token" in envelope):
        return Verdict(Kind.OK)
    return Verdict(
        Kind.FINAL,
        f"HTTP {status} with neither success nor data; {_BASE_URL_ADVICE}",
        undocumented=True,
    )


def _judge_without_envelope(
    status: int, envelope: object, quote: str, venue_id: int | None, credentials: str
) -> Verdict:
    if status >= 400:
        return Verdict(Kind.FINAL, f"{quote}; {_advise(status, '', venue_id, credentials)}")
    if envelope is None:
        return Verdict(Kind.RETRY, quote, maybe_elsewhere=True)
    return Verdict(Kind.FINAL, f"HTTP {status} with JSON that is no object; {_BASE_URL_ADVICE}", undocumented=True)


def _judge_failure(
    status: int,
    envelope: dict[str, object],
    quote: str,
    venue_id: int | None,
    one_resource: bool,
    credentials: str,
) -> Verdict:
    """An answer with `success: false`, whatever its status below 500, or one that only says what is wrong."""
    words = _words(envelope).lower()
    if _STALE_TOKEN.search(words):
        return Verdict(Kind.REAUTHENTICATE, quote)
    # A router's 404 is about the address, not about the receipt; a proxy's has other words. Where the venue is not
    # found, nothing is said of the receipt.
    is_of_clopos = "success" in envelope or _ABSENT.search(words) is not None
    is_of_receipt = "route" not in words and ("receipt" in words or not _OF_VENUE.search(words))
    if status == 404 and one_resource and is_of_receipt and is_of_clopos:
        return Verdict(Kind.ABSENT, quote)
    named = _name_parameter(f"{words} {_fields(envelope)}".lower()) if status in (400, 422) else None
    if named is not None:
        return Verdict(
            Kind.FINAL,
            f"{quote}; the query parameter {named} is not taken, check CLOPOS_API_VERSION and CLOPOS_BASE_URL",
            parameter=named,
        )
    return _refuse(status, quote, words, venue_id, credentials)


def _refuse(status: int, quote: str, words: str, venue_id: int | None, credentials: str) -> Verdict:
    is_known = "venue" in words.lower() or any(pattern.search(words.lower()) for pattern, _ in _KNOWN_CAUSES)
    advice = _advise(status, words, venue_id, credentials)
    return Verdict(Kind.FINAL, f"{quote}; {advice}", may_be_token=status == 401 and not is_known)


def _name_parameter(words: str) -> str | None:
    """The query parameter that the words of a refusal are about: the first, but of a page's limit the limit."""
    named = [_SAME.get(name.replace("_", ""), name) for name in _PARAMETER.findall(words)]
    if not named:
        return None
    return "limit" if {"page", "limit"} <= set(named) else named[0]


def _fields(envelope: dict[str, object]) -> str:
    """The parameters that a refusal names apart: in `details`, as on v1's overview, or as Laravel's `errors` do."""
    details, errors = envelope.get("details"), envelope.get("errors")
    named = [details.get("parameter")] if isinstance(details, dict) else []
    return " ".join(name for name in [*named, *(errors if isinstance(errors, dict) else ())] if isinstance(name, str))


def _advise(status: int, words: str, venue_id: int | None, credentials: str) -> str:
    """What to do about a final refusal. A venue of other brands is refused in no documented way, so it is named."""
    venue = f"that venue {venue_id} in CLOPOS_VENUE_IDS is one of the brand's"
    if "venue" in words.lower():
        return f"check {venue}" if venue_id is not None else "name the brand's venues in CLOPOS_VENUE_IDS"
    for pattern, advice in _KNOWN_CAUSES:
        if pattern.search(words.lower()):
            return advice.format(credentials=credentials)
    match status:
        case 403:
            advice = "check with Clopos that the user behind CLOPOS_CLIENT_ID may read receipts (receipts:read)"
        case 404 | 405:
            advice = _BASE_URL_ADVICE
        case 407:
            return "check the proxy in HTTPS_PROXY and its password"
        case 401:
            advice = f"check {credentials}"
        case _:
            advice = "ask Clopos what it means, quoting this line"
    return advice if venue_id is None else f"{advice}, and {venue}"


def _quote(status: int, envelope: object, content_type: str) -> str:
    """The status and the cause in Clopos' words, for a message."""
    if isinstance(envelope, dict):
        words = _words(envelope)
        return f'HTTP {status} "{words}"' if words else f"HTTP {status}"
    if envelope is None:
        kind = content_type.partition(";")[0].strip() or "no content type"
        return f"HTTP {status} with a body that is not whole JSON ({one_line(kind)})"
    return f"HTTP {status}"


def _words(envelope: dict[str, object]) -> str:
    """`error` and `message`, which hold a sentence or a slug, on one line."""
    said = [text for key in ("error", "message") if (text := told(envelope.get(key)))]
    return one_line(": ".join(dict.fromkeys(said)))


def told(value: object) -> str:
    """The words in a field of a refusal; public clients of v1 know `error` as a list of objects with a `message`."""
    parts = value[:_MOST_PARTS] if isinstance(value, list) else [value]
    texts = [part.get("message") if isinstance(part, dict) else part for part in parts]
    return "; ".join(text for text in texts if isinstance(text, str) and text.strip())


def one_line(text: str) -> str:
    """`text` fit for a message: no line break or control character, and not endless."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"
