from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_helpers import KEY, new_run
from model_server import ModelServer, Script

from kernelwright.proposers.llm.config import Configuration
from kernelwright.proposers.llm.models import Models, make
from kernelwright.store import Store

# pydantic-ai needs Python 3.11.
collect_ignore_glob = ["test_*.py"] if sys.version_info < (3, 11) else []

_KEYS = ("OPENAI", "ANTHROPIC", "GOOGLE", "GEMINI", "OPENROUTER", "DEEPSEEK", "OLLAMA")


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, configuration or store of whoever runs the tests."""
    for name in _KEYS:
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("KERNELWRIGHT_API_KEY", KEY)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERNELWRIGHT_STORE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store("sqlite://")
    yield store
    store.close()


@pytest.fixture
def run(store: Store) -> str:
    return new_run(store)


@pytest.fixture
def serve() -> Iterator[Callable[[Script], ModelServer]]:
    """Starts servers that end with the test."""
    servers: list[ModelServer] = []

    def serve(script: Script) -> ModelServer:
        servers.append(ModelServer(script))
        return servers[-1].__enter__()

    yield serve
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def connect(store: Store, run: str) -> Callable[..., Models]:
    """Models behind servers, by default one OpenAI-compatible; back-off is tiny."""

    def connect(*servers: ModelServer, protocol: str = "openai", **more: Any) -> Models:
        call = {"backoff_s": 0.001, "longest_wait_s": 0.2, "timeout_s": 20, **more.pop("call", {})}
        models = [
            {
                "spec": f"{protocol}:model-{number}",
                "base_url": server.url if protocol == "openai" else server.root,
                "max_tokens": 100,
                **more.get("model", {}),
            }
            for number, server in enumerate(servers)
        ]
        configuration = {"models": models, "limits": more.get("limits", {}), "call": call}
        return make(Configuration.model_validate(configuration), store.call_log(run))

    return connect
