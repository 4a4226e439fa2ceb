"""One model behind its endpoint: a prompt goes in, an answer or a named failure comes out.

This and what it imports is all that knows pydantic-ai and the providers' libraries; it is imported only when models are
asked.
"""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from genai_prices import calc_price
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from kernelwright.errors import UsageError
from kernelwright.proposers.llm.call import CallFailed, Calling, Prompt, Results, ToolCall, Turn, Usage, clean
from kernelwright.proposers.llm.config import KEY, CallSettings, ModelConfig
from kernelwright.proposers.llm.failures import ERRORS, Compressed, Flood, explained, redacted
from kernelwright.proposers.llm.limits import Amount
from kernelwright.proposers.llm.providers import PROVIDERS

_BYTES_A_TOKEN = 4  # for endpoints that report no tokens; a guess
_TOKENS_A_MESSAGE = 16  # what a provider puts around a text, at most
_TOKENS_FOR_TOOLS = 1000  # what a provider says about tools besides, at most
_MOST_CALLS = 16  # of tools in one reply; the others are dropped
_LONGEST_NAME = 64  # of a tool; OpenAI takes no longer one
_CREDIBLE_TOKENS = 10**9
_SHORTEST_SECRET = 12  # shorter "keys" are placeholders such as EMPTY, which replies may well contain


@dataclass(frozen=True)
class Answer:
    """What a request brought; see `Reply`."""

    text: str
    finish: str
    usage: Usage
    surprisal: float | None
    calls: tuple[ToolCall, ...] = ()
    private: str = ""


class Endpoint:
    """Life cycle: made once a run; `request` as often and as concurrently as you like; `close` at the end.

    Raises:
        UsageError: the key is missing, or a setting or the model has an impossible name.
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
        try:
            self._model = provider.build(config.name, config.base_url, key, self._http)
        except UserError as error:
            raise UsageError(str(error), where=config.spec) from error
        own = {"max_tokens": config.max_tokens, "timeout": call.timeout_s, "request_timeout": call.timeout_s}
        self._settings = cast("ModelSettings", {**config.settings, **own})

    @property
    def priced(self) -> bool:
        """Whether the cost of a call is known."""
        return self._cost(RequestUsage(input_tokens=1)) is not None

    def most(self, prompt: Prompt) -> Amount:
        """The most that a call may take: no token is shorter than a byte."""
        tokens = sum(len(text.encode()) + _TOKENS_A_MESSAGE for text in prompt.texts)
        tokens += _TOKENS_FOR_TOOLS if prompt.tools else 0
        cost = self._cost(RequestUsage(input_tokens=tokens, output_tokens=self._config.max_tokens))
        return Amount(tokens + self._config.max_tokens, cost or 0.0)

    async def request(self, prompt: Prompt) -> Answer:
        """Asks once.

        Raises:
            CallFailed: neither text nor a call of a tool arrived.
        """
        try:
            response = await model_request(
                self._model,
                _messages(prompt),
                model_settings=self._settings,
                model_request_parameters=_parameters(prompt),
            )
            return self._answer(prompt, response)
        except ERRORS as error:
            raise explained(error, self._secrets) from None

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    def _answer(self, prompt: Prompt, response: ModelResponse) -> Answer:
        text = self._without_secrets("".join(part.content for part in response.parts if isinstance(part, TextPart)))
        parts = _renamed(response.parts) if prompt.tools else []
        calls = tuple(
            ToolCall(part.tool_call_id, part.tool_name, self._without_secrets(part.args_as_json_str()))
            for part in parts
            if isinstance(part, ToolCallPart)
        )
        usage, details = self._usage(prompt, response, text, calls), response.provider_details or {}
        finish = response.finish_reason or "stop"
        if finish == "content_filter":
            said = redacted(str(details.get("refusal") or text), self._secrets)
            raise CallFailed("refused", said, usage=usage)
        if not text.strip() and not calls:
            what = "all of max_tokens went into thinking" if finish == "length" else f"it ended with {finish}"
            raise CallFailed("empty", what, usage=usage)
        private = self._without_secrets(_private(parts)) if calls else ""
        return Answer(text, finish, usage, _surprisal(details), calls, private)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return clean(text)

    def _usage(self, prompt: Prompt, response: ModelResponse, text: str, calls: Sequence[ToolCall]) -> Usage:
        """What was reported, or a guess where that is nothing or not credible."""
        used = response.usage
        if not (used.input_tokens or used.output_tokens) or not all(
            0 <= tokens < _CREDIBLE_TOKENS for tokens in (used.input_tokens, used.output_tokens)
        ):
            sent = sum(len(each.encode()) for each in prompt.texts)
            arrived = sum(len(each.encode()) for each in (text, *(call.arguments for call in calls)))
            used = RequestUsage(input_tokens=sent // _BYTES_A_TOKEN, output_tokens=arrived // _BYTES_A_TOKEN)
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
    own_address = config.key_env or config.base_url
    for name in (config.key_env or KEY,) if own_address else provider_keys:
        if key := os.environ.get(name, "").strip():
            # Libraries quote a header that they cannot send, key and all.
            if not (key.isascii() and key.isprintable()):
                raise UsageError("the key holds characters that no key has", where=name, remedy="set it anew")
            return key
    if provider_keys and not own_address:
        raise UsageError(
            f"{config.spec} needs a key", where=provider_keys[0], remedy="set this environment variable to it"
        )
    return None


def _messages(prompt: Prompt) -> list[ModelMessage]:
    first: list[SystemPromptPart | UserPromptPart] = [SystemPromptPart(prompt.system)] if prompt.system else []
    messages: list[ModelMessage] = [ModelRequest(parts=[*first, UserPromptPart(prompt.opening)])]
    for said, asked in zip(prompt.turns[1::2], prompt.turns[2::2], strict=True):
        messages += [ModelResponse(parts=_said(said)), ModelRequest(parts=_asked(said, asked))]
    return messages


def _said(turn: Turn) -> Sequence[ModelResponsePart]:
    """A model's turn as it is sent back."""
    if not isinstance(turn, Calling):
        return [TextPart(str(turn))]
    if turn.private:
        (response,) = ModelMessagesTypeAdapter.validate_json(turn.private)
        assert isinstance(response, ModelResponse)
        return response.parts
    text = [TextPart(turn.text)] if turn.text.strip() else []
    return [*text, *(ToolCallPart(call.name, call.arguments, call.id) for call in turn.calls)]


def _asked(said: Turn, turn: Turn) -> list[ModelRequestPart]:
    """A user's turn, after what the model said."""
    if not (isinstance(said, Calling) and isinstance(turn, Results)):
        return [UserPromptPart(str(turn))]
    *others, last = turn.results
    # In the last result: not all servers take a user's message after those of tools.
    results = [*others, f"{last}\n\n{turn.left}" if turn.left else last]
    returned = zip(said.calls, results, strict=True)
    text = [UserPromptPart(turn.text)] if turn.text.strip() else []
    return [*(ToolReturnPart(call.name, result, call.id) for call, result in returned), *text]


def _parameters(prompt: Prompt) -> ModelRequestParameters:
    tools = [
        # Not all servers know strict schemas, and arguments are checked here anyway.
        ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=dict(tool.parameters),
            strict=False,
        )
        for tool in prompt.tools
    ]
    return ModelRequestParameters(function_tools=tools)


def _renamed(parts: Sequence[ModelResponsePart]) -> list[TextPart | ThinkingPart | ToolCallPart]:
    """What can be sent back of a reply, to any endpoint: names that all take, and ids that are there only once in a
    conversation, whatever the endpoint made of them."""
    kept = [part for part in parts if isinstance(part, TextPart | ThinkingPart | ToolCallPart)]
    calls = [part for part in kept if isinstance(part, ToolCallPart)]
    renamed = {
        id(part): ToolCallPart(
            tool_name=re.sub(r"[^A-Za-z0-9_-]", "_", str(part.tool_name))[:_LONGEST_NAME] or "_",
            tool_call_id=f"call_{secrets.token_hex(12)}",
            args=part.args_as_json_str(),
            id=part.id,
            provider_name=part.provider_name,
            provider_details=part.provider_details,
        )
        for part in calls[:_MOST_CALLS]
    }
    return [renamed.get(id(part), part) for part in kept if id(part) in renamed or not isinstance(part, ToolCallPart)]


def _private(parts: Sequence[TextPart | ThinkingPart | ToolCallPart]) -> str:
    """The parts as JSON, where some of them hold what a text and calls cannot say."""
    if any(isinstance(part, ThinkingPart) or part.provider_details for part in parts):
        return ModelMessagesTypeAdapter.dump_json([ModelResponse(parts=list(parts))]).decode()
    return ""


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
