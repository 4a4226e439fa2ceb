"""Which models to ask and how: `kernelwright.toml`, the user's configuration, and the one place of their defaults."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from kernelwright.errors import UsageError
from kernelwright.proposers.llm.limits import Limits

FILE = "kernelwright.toml"
KEY = "KERNELWRIGHT_API_KEY"
"""The environment variable with the key for endpoints that are not a provider's own."""
PROVIDER_NAMES = ("openai", "anthropic", "google", "openrouter", "deepseek", "ollama")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_OWN_SETTINGS = {"max_tokens", "max_retries", "timeout", "request_timeout", "first_event_timeout"}
_KEY_SETTINGS = {"extra_headers"}
_PLAIN_WORDS = {
    "extra_forbidden": "there is no such key",
    "missing": "it is missing",
    "tuple_type": "it must be a list: write [[models]] above each",
    "model_type": "it must be a table",
    "dict_type": "it must be a table",
}
"""For what pydantic says of a file."""


class Price(BaseModel):
    """USD for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """USD for so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


class ModelConfig(BaseModel):
    """One model.

    `spec` is `provider:name`. `base_url` is an endpoint that speaks the provider's protocol; it never gets the
    provider's own key but the one in the environment variable `key_env`, by default KERNELWRIGHT_API_KEY. `max_tokens`
    bounds a reply, thinking included. `settings` go to pydantic-ai as they are, e.g. `temperature`, `thinking`,
    `openai_logprobs`. `price` replaces the known one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: str
    base_url: str | None = None
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    max_tokens: int = Field(default=16_384, ge=1)
    settings: dict[str, Any] = {}
    price: Price | None = None

    @field_validator("spec")
    @classmethod
    def _known(cls, spec: str) -> str:
        provider, _, name = spec.partition(":")
        if provider not in PROVIDER_NAMES or not name.strip():
            raise ValueError(f"write PROVIDER:NAME with one of {', '.join(PROVIDER_NAMES)}, not {spec!r}")
        return spec

    @field_validator("base_url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://none")
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"\S+", parts.hostname or "") or parts.port == 0:
            raise ValueError("write an address such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address holds no key, password or query; keys come from the environment")
        return url

    @field_validator("settings")
    @classmethod
    def _passed_on(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if own := _OWN_SETTINGS & settings.keys():
            raise ValueError(
                f"{min(own)} is no setting; max_tokens stands beside settings, timeout_s and tries in [call]"
            )
        if keys := _KEY_SETTINGS & settings.keys():
            raise ValueError(f"{min(keys)} could hold keys, which come from the environment only")
        return settings

    @property
    def provider(self) -> str:
        """What comes before the colon."""
        return self.spec.partition(":")[0]

    @property
    def name(self) -> str:
        """What comes after the colon."""
        return self.spec.partition(":")[2]


class CallSettings(BaseModel):
    """How one prompt is asked.

    A request may take `timeout_s` in all and bring `reply_bytes`. What is worth repeating is sent up to `tries` times:
    after about `backoff_s`, then twice as long each time, or as long as the endpoint asks, but never after more than
    `longest_wait_s`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    timeout_s: float = Field(default=600.0, gt=0)
    tries: int = Field(default=4, ge=1)
    backoff_s: float = Field(default=2.0, ge=0)
    longest_wait_s: float = Field(default=60.0, ge=0)
    reply_bytes: int = Field(default=16 * 2**20, ge=1)


class Configuration(BaseModel):
    """Everything that decides about calls, without keys: it may be stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ModelConfig, ...] = ()
    limits: Limits = Limits()
    call: CallSettings = CallSettings()

    @field_validator("models")
    @classmethod
    def _different(cls, models: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
        specs = [model.spec for model in models]
        if twice := [spec for spec in specs if specs.count(spec) > 1]:
            raise ValueError(f"{twice[0]} is there twice")
        return models


def configure(
    specs: Sequence[str] = (), *, base_url: str | None = None, limits: Limits | None = None, folder: Path | None = None
) -> Configuration:
    """What the files say, changed by what the user asks for now.

    The files are `kernelwright.toml` in `folder` (None: the working folder) and `kernelwright/config.toml` in
    XDG_CONFIG_HOME, else ~/.config. A table in the first replaces the one of that name in the second, but for limits:
    of each the lowest counts.

    Args:
        specs: the models to use, with what the files say about them; none: all models in the files.
        base_url: an endpoint for `specs`, instead of the providers' or the files'.
        limits: these replace the files' one by one; None changes none.

    Raises:
        UsageError: a file cannot be read or says something wrong, naming file and key, or there is no model; or the
            file in the working folder would have a key sent to another machine.
    """
    if sys.version_info < (3, 11):
        raise UsageError("language models need Python 3.11 or newer, as pydantic-ai does")
    path = (folder or Path.cwd()) / FILE
    users, anybodys = _read(_user_file(), own=True), _read(path, own=False)
    tightest = _tightest([read["limits"] for read in (users, anybodys) if "limits" in read])
    stored = Configuration().model_copy(update={**users, **anybodys, "limits": tightest})
    known = {model.spec: model for model in stored.models}
    wanted = tuple(known.get(spec) or _parsed(ModelConfig, {"spec": spec}, "--model") for spec in dict.fromkeys(specs))
    if base_url is not None:
        wanted = tuple(
            _parsed(ModelConfig, {**model.model_dump(), "base_url": base_url}, "--base-url") for model in wanted
        )
    chosen = wanted or stored.models
    if not chosen:
        raise UsageError("no language model is named", remedy=f"add --model PROVIDER:NAME, or [[models]] to {FILE}")
    if base_url is None:
        _keep_key([model for model in chosen if model in anybodys.get("models", ())], path)
    changed = limits.model_dump(exclude_none=True) if limits else {}
    return stored.model_copy(update={"models": chosen, "limits": stored.limits.model_copy(update=changed)})


def _user_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kernelwright" / "config.toml"


def _read(path: Path, *, own: bool) -> dict[str, Any]:
    """The tables of a file as fields of `Configuration`; nothing where there is no file. `own`: it is the user's, while
    one in a working folder may come from anybody and may not choose which secrets are sent."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read the configuration: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError("the configuration is no UTF-8 text", where=str(path)) from error
    read: Configuration = _parsed(Configuration, _toml(text, path), str(path))
    if not own and any(model.key_env for model in read.models):
        raise UsageError(
            "key_env belongs into the user's own configuration", where=str(path), remedy=f"move it to {_user_file()}"
        )
    return {name: getattr(read, name) for name in read.model_fields_set}


def _tightest(several: Sequence[Limits]) -> Limits:
    """Of each limit the lowest, so that a file that may come from anybody takes away none of the user's."""
    said = [(name, value) for limits in several for name, value in limits if value is not None]
    return Limits(**{name: min(value for other, value in said if other == name) for name, _ in said})


def _keep_key(models: Sequence[ModelConfig], path: Path) -> None:
    """Lets no file that may come from anybody choose who gets the user's key."""
    for model in models:
        host = urlsplit(model.base_url or "").hostname
        if host and host not in _THIS_MACHINE and os.environ.get(KEY, "").strip():
            raise UsageError(
                f"{KEY} would be sent to {model.base_url}, as this file says",
                where=str(path),
                remedy=f"name the address by --base-url, or move the model to {_user_file()}; or unset the variable",
            )


def _toml(text: str, path: Path) -> dict[str, Any]:
    import tomllib  # new in Python 3.11, which `configure` makes sure of

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # the file may be anybody's: numbers of many digits, deep nesting
        raise UsageError(f"not valid TOML: {error}", where=str(path)) from error


def _parsed(kind: type[BaseModel], values: dict[str, Any], where: str) -> Any:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        message = _PLAIN_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
        if where.startswith("--"):
            raise UsageError(message, where=where) from None
        raise UsageError(message, where=f"{where}: {key}", remedy="docs/models.md describes the file") from None
