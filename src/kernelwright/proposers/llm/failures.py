"""What errors of pydantic-ai and of the wire mean to a run."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
from pydantic_ai import exceptions as errors

from kernelwright.proposers.llm.call import NOTHING, CallFailed, Reason, clean

_LONGEST_DETAIL = 300

ERRORS = (
    httpx2.HTTPError,
    RuntimeError,  # pydantic-ai's own errors are of this class
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a request may raise: errors that have a name, and those that replies of a strange form cause inside the
libraries."""


class Flood(httpx2.ReadError):
    """The reply is larger than allowed. A read error, so that the libraries treat it as one."""


class Compressed(httpx2.ReadError):
    """The reply is compressed, which was not asked for: nobody knows how large it is."""


# The first class that an error belongs to counts.
_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (Flood, "flood"),
    (Compressed, "garbled"),
    (errors.ModelRequestTimeout, "timeout"),
    (errors.ModelTimeoutError, "timeout"),
    (errors.ModelRateLimitError, "rate_limited"),
    (errors.ModelQuotaExceededError, "quota"),
    (errors.ModelUnavailableError, "server"),
    (errors.ModelServerError, "server"),
    (errors.ModelContextWindowExceededError, "too_long"),
    (errors.ModelAuthenticationError, "auth"),
    (errors.ModelHTTPError, "bad_request"),
    (errors.UserError, "bad_request"),
    (errors.ContentFilterError, "refused"),
    (errors.ModelConnectionError, "disconnected"),
    (httpx2.TransportError, "disconnected"),
)


def explained(error: Exception, keys: tuple[str, ...]) -> CallFailed:
    """The failure that an error stands for; its detail holds none of the keys."""
    ours = next((each for each in _causes(error) if isinstance(each, Flood | Compressed)), None)
    reason: Reason = next((name for kind, name in _REASONS if isinstance(ours or error, kind)), "garbled")
    never_charged = isinstance(error, errors.ModelHTTPError | errors.UserError) or (
        isinstance(error, errors.ModelConnectionError) and error.phase in ("pool", "connect")
    )
    wait = error.retry_after if isinstance(error, errors.ModelAPIError) else None
    return CallFailed(
        reason,
        redacted(_said(ours or error), keys),
        usage=NOTHING if never_charged else None,
        retry_after=max(0.0, wait) if wait is not None else None,
    )


def redacted(text: str, keys: tuple[str, ...]) -> str:
    """The text on one short line, without keys."""
    for key in keys:
        text = text.replace(key, "***")
    line = " ".join(clean(text).split())
    return line if len(line) <= _LONGEST_DETAIL else f"{line[:_LONGEST_DETAIL]}…"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, innermost last."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _said(error: BaseException) -> str:
    """What the endpoint says about an error, or the error itself."""
    if isinstance(error, errors.ModelConnectionError | httpx2.TransportError):
        # The outermost says that it failed, the innermost why: no such host, refused, a wrong protocol.
        said = (str(each).rstrip(".") for each in (error, *list(_causes(error))[-1:]))
        return ": ".join(dict.fromkeys(filter(None, said))) or type(error).__name__
    if not isinstance(error, errors.ModelHTTPError):
        return str(error) or type(error).__name__
    body = error.body
    while isinstance(body, dict) and (inner := body.get("error") or body.get("message")):
        body = inner
    return f"HTTP {error.status_code}: {body if isinstance(body, str) else error.message}"
