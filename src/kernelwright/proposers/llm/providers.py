"""The providers of models, as pydantic-ai builds them: always with our HTTP client and key, never repeating by
themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI
    from pydantic_ai.models import Model

_NO_KEY = "none"  # the libraries insist on one

Build = Callable[[str, "str | None", "str | None", "httpx2.AsyncClient"], "Model[Any]"]


@dataclass(frozen=True)
class Provider:
    """A provider: the environment variables with its key (the first that is set counts), the class that names a model's
    settings, and how a model is built from name, base URL, key and HTTP client."""

    keys: tuple[str, ...]
    settings: Callable[[], type]
    build: Build


def _openai(name: str, base_url: str | None, key: str | None, http: httpx2.AsyncClient) -> Model[Any]:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider

    # Other servers of this protocol know the older name of the limit, max_tokens, and not all know the newer one.
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False) if base_url else None
    client = _openai_client(base_url or "https://api.openai.com/v1", key, http)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client), profile=profile)


def _openrouter(name: str, base_url: str | None, key: str | None, http: httpx2.AsyncClient) -> Model[Any]:
    from pydantic_ai.models.openrouter import OpenRouterModel
    from pydantic_ai.providers.openrouter import OpenRouterProvider

    client = _openai_client(base_url or "https://openrouter.ai/api/v1", key, http)
    return OpenRouterModel(name, provider=OpenRouterProvider(openai_client=client))


def _deepseek(name: str, base_url: str | None, key: str | None, http: httpx2.AsyncClient) -> Model[Any]:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.deepseek import DeepSeekProvider

    client = _openai_client(base_url or "https://api.deepseek.com", key, http)
    return OpenAIChatModel(name, provider=DeepSeekProvider(openai_client=client))


def _ollama(name: str, base_url: str | None, key: str | None, http: httpx2.AsyncClient) -> Model[Any]:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.ollama import OllamaProvider

    client = _openai_client(base_url or "http://localhost:11434/v1", key, http)
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=False)
    return OllamaModel(name, provider=OllamaProvider(openai_client=client), profile=profile)


def _openai_client(base_url: str, key: str | None, http: httpx2.AsyncClient) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(base_url=base_url, api_key=key or _NO_KEY, http_client=http, max_retries=0)


def _anthropic(name: str, base_url: str | None, key: str | None, http: httpx2.AsyncClient) -> Model[Any]:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    address = base_url or "https://api.anthropic.com"
    client = AsyncAnthropic(base_url=address, api_key=key or _NO_KEY, http_client=http, max_retries=0)
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def _google(name: str, base_url: str | None, key: str | None, http: httpx2.AsyncClient) -> Model[Any]:
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(api_key=key or _NO_KEY, http_client=http, base_url=base_url)
    return GoogleModel(name, provider=provider)


def _openai_settings() -> type:
    from pydantic_ai.models.openai import OpenAIChatModelSettings

    return OpenAIChatModelSettings


def _openrouter_settings() -> type:
    from pydantic_ai.models.openrouter import OpenRouterModelSettings

    return OpenRouterModelSettings


def _anthropic_settings() -> type:
    from pydantic_ai.models.anthropic import AnthropicModelSettings

    return AnthropicModelSettings


def _google_settings() -> type:
    from pydantic_ai.models.google import GoogleModelSettings

    return GoogleModelSettings


PROVIDERS = {
    "openai": Provider(("OPENAI_API_KEY",), _openai_settings, _openai),
    "anthropic": Provider(("ANTHROPIC_API_KEY",), _anthropic_settings, _anthropic),
    "google": Provider(("GOOGLE_API_KEY", "GEMINI_API_KEY"), _google_settings, _google),
    "openrouter": Provider(("OPENROUTER_API_KEY",), _openrouter_settings, _openrouter),
    "deepseek": Provider(("DEEPSEEK_API_KEY",), _openai_settings, _deepseek),
    "ollama": Provider((), _openai_settings, _ollama),
}
