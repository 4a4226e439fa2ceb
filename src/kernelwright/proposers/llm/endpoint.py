"""One model behind its endpoint: a prompt goes in, an answer or a named failure comes out.

This and what it imports is all that knows pydantic-ai and the providers' libraries; it is imported only when models are
asked.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from genai_prices import calc_price
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from kernelwright.errors import UsageError
from kernelwright.proposers.llm.call import CallFailed, Prompt, Usage, clean
from kernelwright.proposers.llm.config import CallSettings, ModelConfig
from kernelwright.proposers.llm.failures import ERRORS, Compressed, Flood, explained, redacted
from kernelwright.proposers.llm.limits import Amount
from kernelwright.proposers.llm.providers import PROVIDERS

_BYTES_A_TOKEN = 4  # for endpoints that report no tokens; a guess
_TOKENS_A_MESSAGE = 16  # what a provider puts around a text, at most
_CREDIBLE_TOKENS = 10**9
_SHORTEST_SECRET = 12  # shorter "keys" are placeholders such as EMPTY, which replies may well contain


@dataclass(frozen=True)
class Answer:
    """What a request brought; see `Reply`."""

    text: str
    finish: str
    usage: Usage
    surprisal: float | None


class Endpoint:
    """Life cycle: made once a run; `request` as often and as concurrently as you like; `close` at the end.

    Raises:
        UsageError: the key is missing or a setting has a wrong name.
    """

    def __init__(self, config: ModelConfig, call: CallSettings) -> None:
        self.spec, self._config = config.spec, config
        provider = PROVIDERS[config.provider]
        if unknown := config.settings.keys() - provider.settings().__annotations__.keys():
            raise UsageError(
                f"there is no setting {min(unknown)!r}",
                where=config.spec,
                remedy=f"pydantic-ai's {provider.settings().__name__} names them",
            )
        key = _key(config, provider.keys)
        self._secrets = (key,) if key and len(key) >= _SHORTEST_SECRET else ()
        # No compression: a small reply could unpack to a huge one.
        self._http = httpx2.AsyncClient(
            timeout=call.timeout_s,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [_bounded(call.reply_bytes)]},
        )
        self._model = provider.build(config.name, config.base_url, key, self._http)
        own = {"max_tokens": config.max_tokens, "timeout": call.timeout_s, "request_timeout": call.timeout_s}
        self._settings = cast("ModelSettings", {**config.settings, **own})

    @property
    def priced(self) -> bool:
        """Whether the cost of a call is known."""
        return self._cost(RequestUsage(input_tokens=1)) is not None

    def most(self, prompt: Prompt) -> Amount:
        """The most that a call may take: no token is shorter than a byte."""
        texts = (prompt.system, *prompt.turns)
        tokens = sum(len(text.encode()) + _TOKENS_A_MESSAGE for text in texts)
        cost = self._cost(RequestUsage(input_tokens=tokens, output_tokens=self._config.max_tokens))
        return Amount(tokens + self._config.max_tokens, cost or 0.0)

    async def request(self, prompt: Prompt) -> Answer:
        """Asks once.

        Raises:
            CallFailed: no text arrived.
        """
        try:
            response = await model_request(self._model, _messages(prompt), model_settings=self._settings)
            return self._answer(prompt, response)
        except ERRORS as error:
            raise explained(error, self._secrets) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    def _answer(self, prompt: Prompt, response: ModelResponse) -> Answer:
        text = clean("".join(part.content for part in response.parts if isinstance(part, TextPart)))
        for secret in self._secrets:
            text = text.replace(secret, "***")
        usage, details = self._usage(prompt, response, text), response.provider_details or {}
        finish = response.finish_reason or "stop"
        if finish == "content_filter":
            said = redacted(str(details.get("refusal") or text), self._secrets)
            raise CallFailed("refused", said, usage=usage)
        if not text.strip():
            what = "all of max_tokens went into thinking" if finish == "length" else f"it ended with {finish}"
            raise CallFailed("empty", what, usage=usage)
        return Answer(text, finish, usage, _surprisal(details))

    def _usage(self, prompt: Prompt, response: ModelResponse, text: str) -> Usage:
        """What was reported, or a guess where that is nothing or not credible."""
        used = response.usage
        if not (used.input_tokens or used.output_tokens) or not all(
            0 <= tokens < _CREDIBLE_TOKENS for tokens in (used.input_tokens, used.output_tokens)
        ):
            sent = sum(len(each.encode()) for each in (prompt.system, *prompt.turns))
            used = RequestUsage(input_tokens=sent // _BYTES_A_TOKEN, output_tokens=len(text.encode()) // _BYTES_A_TOKEN)
        return Usage(int(used.input_tokens), int(used.output_tokens), self._cost(used))

    def _cost(self, usage: RequestUsage) -> float | None:
        """USD; None where nobody knows. What somebody else's endpoint asks for a well-known name is not known."""
        if self._config.price:
            return self._config.price.of(usage.input_tokens, usage.output_tokens)
        if self._config.base_url:
            return None
        try:
            return float(calc_price(usage, self._config.name, provider_id=self._config.provider).total_price)
        except (LookupError, ValueError):
            return None


def _key(config: ModelConfig, provider_keys: tuple[str, ...]) -> str | None:
    """The key for the endpoint. A provider's own is never sent to another address."""
    if config.key_env or config.base_url:
        return os.environ.get(config.key_env or "KERNELWRIGHT_API_KEY") or None
    for name in provider_keys:
        if key := os.environ.get(name):
            return key
    if provider_keys:
        raise UsageError(
            f"{config.spec} needs a key", where=provider_keys[0], remedy="set this environment variable to it"
        )
    return None


def _messages(prompt: Prompt) -> list[ModelMessage]:
    first: list[SystemPromptPart | UserPromptPart] = [SystemPromptPart(prompt.system)] if prompt.system else []
    messages: list[ModelMessage] = [ModelRequest(parts=[*first, UserPromptPart(prompt.turns[0])])]
    for said, asked in zip(prompt.turns[1::2], prompt.turns[2::2], strict=True):
        messages += [ModelResponse(parts=[TextPart(said)]), ModelRequest(parts=[UserPromptPart(asked)])]
    return messages


def _surprisal(details: dict[str, Any]) -> float | None:
    """The mean negative log-likelihood of tokens, in nats: OpenAI gives each token's, Google their mean."""
    if (mean := details.get("avg_logprobs")) is not None:
        found = [float(mean)]
    else:
        tokens = details.get("logprobs")
        found = [float(token["logprob"]) for token in tokens] if isinstance(tokens, list) else []
    finite = [value for value in found if math.isfinite(value)]
    return -math.fsum(finite) / len(finite) if finite else None


def _bounded(most: int) -> Callable[[httpx2.Response], Awaitable[None]]:
    """A hook that lets no reply grow beyond so many bytes."""

    async def hook(response: httpx2.Response) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Compressed("the reply is compressed, which was not asked for")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, most)

    return hook


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._most:
                raise Flood(f"the reply is larger than {self._most:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
