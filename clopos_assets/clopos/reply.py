"""One answer, decoded and judged, with the words of its refusal free of secrets."""

from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from clopos_assets.clopos.decode import decode_json
from clopos_assets.clopos.dialect import Dialect
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError
from clopos_assets.clopos.verdict import Verdict, judge, told
from clopos_assets.clopos.window import read_seconds
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
        rate_limit_reset=read_seconds(headers.get("RateLimit-Reset")),
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
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def _host(location: str) -> str:
    """The host of a redirect; the rest of the address may hold anything. Empty for a path on the same host."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""
