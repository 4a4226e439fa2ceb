"""What the configuration files and options say, and that what is wrong is named by file and key."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kw_scripted import ScriptedJudge, make_task
from llm_helpers import KEY, finish
from model_server import ModelServer, Say, Script

from kernelwright.errors import UsageError
from kernelwright.proposers.llm.call import Prompt
from kernelwright.proposers.llm.config import PROVIDER_NAMES, Configuration, configure
from kernelwright.proposers.llm.limits import Limits
from kernelwright.proposers.llm.models import make
from kernelwright.proposers.llm.providers import PROVIDERS
from kernelwright.search import Settings, search
from kernelwright.store import Store

WORK = Path("kernelwright.toml")
MODELS = """
[[models]]
spec = "openai:gpt-4o"
settings = { temperature = 0.5, thinking = "high" }
[[models]]
spec = "ollama:qwen3"
price = { input = 0, output = 0 }
[limits]
calls = 100
usd = 5
"""


@pytest.fixture
def user(tmp_path: Path) -> Path:
    path = tmp_path / "user" / "kernelwright" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_without_a_file_the_options_are_enough() -> None:
    configuration = configure(["openai:gpt-4o", "anthropic:claude-x"], limits=Limits(calls=7))
    assert [model.spec for model in configuration.models] == ["openai:gpt-4o", "anthropic:claude-x"]
    assert configuration.limits == Limits(calls=7)
    assert Configuration.model_validate_json(configuration.model_dump_json()) == configuration


def test_no_model_at_all_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="no language model is named; add --model PROVIDER:NAME, or"):
        configure()


def test_options_change_what_files_say(user: Path) -> None:
    user.write_text(MODELS)
    configuration = configure()
    assert [model.spec for model in configuration.models] == ["openai:gpt-4o", "ollama:qwen3"]
    changed = configure(["openai:gpt-4o", "openai:gpt-4o"], base_url="http://localhost:8000/v1", limits=Limits(calls=3))
    assert changed.limits == Limits(calls=3, usd=5)
    assert changed.models == (configuration.models[0].model_copy(update={"base_url": "http://localhost:8000/v1"}),)


def test_a_table_in_the_working_folder_replaces_the_users(user: Path) -> None:
    user.write_text(MODELS)
    WORK.write_text('[[models]]\nspec = "deepseek:chat"\n[call]\ntries = 2\n')
    configuration = configure()
    assert [model.spec for model in configuration.models] == ["deepseek:chat"]
    assert (configuration.limits.calls, configuration.call.tries) == (100, 2)


def test_a_file_of_the_working_folder_takes_away_no_limit_of_the_users(user: Path) -> None:
    user.write_text(MODELS)
    WORK.write_text("[limits]\nusd = 500\ntokens = 7\ncalls = 20\n")
    assert configure().limits == Limits(calls=20, usd=5, tokens=7)
    assert configure(limits=Limits(usd=50)).limits == Limits(calls=20, usd=50, tokens=7)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("[[models]\n", "", "not valid TOML: .*line 1"),
        (f"tries = {'[' * 100_000}", "", "not valid TOML: maximum recursion"),
        (f"tries = {'9' * 10_000}", "", "not valid TOML: Exceeds the limit"),
        ('model = "x"\n', ": model", "there is no such key; docs/models.md"),
        ('[models]\nspec = "openai:x"\n', ": models", r"write \[\[models\]\] above each"),
        ("[[models]]\n", ": models.0.spec", "it is missing"),
        ("limits = 3\n", ": limits", "it must be a table"),
        ('[[models]]\nspec = "openai:x"\nsettings = 3\n', ": models.0.settings", "it must be a table"),
        ('[[models]]\nspec = "gpt-4o"\n', ": models.0.spec", "write PROVIDER:NAME with one of openai, .*'gpt-4o'"),
        ('[[models]]\nspec = "openai:"\n', ": models.0.spec", "PROVIDER:NAME"),
        ('[[models]]\nspec = "openai:x"\napi_key = "s3cret"\n', ": models.0.api_key", "no such key"),
        ('[[models]]\nspec = "openai:x"\nbase_url = "localhost:80"\n', ": models.0.base_url", "write an address"),
        ('[[models]]\nspec = "openai:x"\nbase_url = "http://u:s3cret@h/"\n', ": models.0.base_url", "holds no key"),
        ('[[models]]\nspec = "openai:x"\nbase_url = "http://[::1/"\n', ": models.0.base_url", "Invalid IPv6"),
        (
            '[[models]]\nspec = "openai:x"\nsettings = { timeout = 1 }\n',
            ": models.0.settings",
            r"in \[call\]",
        ),
        ('[[models]]\nspec = "openai:x"\nsettings = { extra_headers = {} }\n', ": models.0.settings", "hold keys"),
        ('[[models]]\nspec = "openai:x"\nmax_tokens = 0\n', ": models.0.max_tokens", "greater than"),
        ('[[models]]\nspec = "openai:x"\nprice = { input = -1, output = 2 }\n', ": models.0.price.input", "greater"),
        ('[[models]]\nspec = "openai:x"\n[[models]]\nspec = "openai:x"\n', ": models", "openai:x is there twice"),
        ('[[models]]\nspec = "openai:x"\nkey_env = "AWS_SECRET"\n', "", "key_env belongs into the user's own"),
        ("[limits]\nusd = 0\n", ": limits.usd", "greater than 0"),
        ("[limits]\nusd = inf\n", ": limits.usd", "finite"),
        ('[call]\ntries = "many"\n', ": call.tries", "valid integer"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(text: str, where: str, what: str) -> None:
    WORK.write_text(text)
    with pytest.raises(UsageError, match=what) as caught:
        configure()
    assert caught.value.where == f"{WORK.absolute()}{where}"
    assert "s3cret" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(user: Path) -> None:
    WORK.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no UTF-8"):
        configure()
    WORK.unlink()
    user.mkdir()
    with pytest.raises(UsageError, match="cannot read the configuration: Is a directory") as caught:
        configure()
    assert caught.value.where == str(user)


def test_wrong_options_are_named() -> None:
    with pytest.raises(UsageError, match="--model: write PROVIDER:NAME"):
        configure(["nonsense"])
    for address in ("localhost", "http://a b/v1", "http://h:0/v1"):
        with pytest.raises(UsageError, match="--base-url: write an address"):
            configure(["openai:x"], base_url=address)
    with pytest.raises(UsageError, match="--base-url: Port out of range"):
        configure(["openai:x"], base_url="http://h:99999/v1")


def test_a_search_whose_model_has_no_key_leaves_no_run(store: Store) -> None:
    settings = Settings(target="scripted", proposers=("operator",), models=configure(["openai:x"]))
    with pytest.raises(UsageError, match="needs a key"):
        asyncio.run(search(make_task(), settings, store, judge_factory=ScriptedJudge))
    assert not store.runs()


def test_every_provider_is_known_to_both_sides() -> None:
    assert tuple(PROVIDERS) == PROVIDER_NAMES


@pytest.mark.parametrize(
    ("spec", "variable"),
    [
        ("openai:gpt-4o", "OPENAI_API_KEY"),
        ("anthropic:claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("google:gemini-2.5-pro", "GOOGLE_API_KEY"),
        ("openrouter:openai/gpt-4o", "OPENROUTER_API_KEY"),
        ("deepseek:deepseek-chat", "DEEPSEEK_API_KEY"),
        ("ollama:qwen3", None),
    ],
)
def test_a_model_needs_its_providers_key_and_has_its_price(
    store: Store, run: str, monkeypatch: pytest.MonkeyPatch, spec: str, variable: str | None
) -> None:
    configuration = configure([spec])
    if variable:
        with pytest.raises(UsageError, match=f"^{variable}: {spec} needs a key; set this environment variable"):
            make(configuration, store.call_log(run))
        monkeypatch.setenv(variable, KEY)
    make(configuration, store.call_log(run))
    limited = configure([spec], limits=Limits(usd=1))
    if variable:
        make(limited, store.call_log(run))
    else:
        with pytest.raises(UsageError, match="the price of ollama:qwen3 is not known; add price = "):
            make(limited, store.call_log(run))


def test_a_key_goes_to_no_other_address_than_its_providers(
    serve: Callable[[Script], ModelServer], user: Path, monkeypatch: pytest.MonkeyPatch, store: Store, run: str
) -> None:
    server = serve([Say("x")])
    names = ("OPENAI", "ANTHROPIC", "GOOGLE", "OPENROUTER", "DEEPSEEK", "OLLAMA")
    for name in names:
        monkeypatch.setenv(f"{name}_API_KEY", f"sk-of-the-provider-{name}")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-of-the-provider-token")
    user.write_text('[[models]]\nspec = "openai:mine"\nkey_env = "MY_KEY"\n')
    monkeypatch.setenv("MY_KEY", "sk-of-my-own")
    sent = {}
    specs = {"openai:x": "v1", "openai:mine": "v1", "deepseek:x": "v1", "openrouter:a/b": "v1", "ollama:x": "v1"}
    for spec, path in {**specs, "anthropic:x": "", "google:x": ""}.items():
        models = make(configure([spec], base_url=f"{server.root}/{path}"), store.call_log(run))
        finish(models, lambda models, spec=spec: models.ask(Prompt("", (spec,), "operator")))
        sent[spec] = server.requests[-1].key
        assert "of-the-provider" not in str(server.requests[-1].headers)
    assert sent.pop("openai:mine") == "sk-of-my-own"
    assert set(sent.values()) == {KEY}


def test_a_file_of_the_working_folder_sends_the_users_key_to_no_other_machine(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come from anybody, with a folder that was downloaded."""
    WORK.write_text('[[models]]\nspec = "openai:gpt-4o"\nbase_url = "https://example.com/v1"\n')
    for asked in ([], ["openai:gpt-4o"]):
        with pytest.raises(
            UsageError, match=r"KERNELWRIGHT_API_KEY would be sent to https://example\.com/v1"
        ) as caught:
            configure(asked)
        assert caught.value.where == str(WORK.absolute())
        assert KEY not in str(caught.value)
    named = configure(["openai:gpt-4o"], base_url="https://example.com/v1")
    monkeypatch.delenv("KERNELWRIGHT_API_KEY")
    assert configure() == named
    monkeypatch.setenv("KERNELWRIGHT_API_KEY", KEY)
    user.write_text(WORK.read_text())
    WORK.write_text('[[models]]\nspec = "ollama:x"\nbase_url = "http://localhost:1/v1"\n[call]\ntries = 1\n')
    assert configure().models[0].base_url == "http://localhost:1/v1"
    WORK.unlink()
    assert configure() == named


@pytest.mark.parametrize("key", ["sk-secret-0123456789\nmore", "sk-secret-0123456789–0", "\x1bsk-secret-0123456789"])
def test_a_key_that_no_header_takes_is_named_and_not_shown(
    store: Store, run: str, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY: the key holds characters") as caught:
        make(configure(["openai:gpt-4o"]), store.call_log(run))
    assert "secret" not in str(caught.value)


def test_settings_with_a_wrong_name_are_named(store: Store, run: str) -> None:
    WORK.write_text('[[models]]\nspec = "ollama:x"\nsettings = { temprature = 0.5 }\n')
    with pytest.raises(UsageError, match="ollama:x: there is no setting 'temprature'; pydantic-ai's OpenAI"):
        make(configure(), store.call_log(run))


def test_names_that_a_provider_does_not_take_are_named(store: Store, run: str) -> None:
    with pytest.raises(UsageError, match=r"^openrouter:gpt-4o: OpenRouter model names must be prefixed"):
        make(configure(["openrouter:gpt-4o"], base_url="http://127.0.0.1:1/v1"), store.call_log(run))


def test_without_the_packages_it_says_what_to_install() -> None:
    script = (
        "import sys\n"
        "sys.modules['pydantic_ai'] = None\n"
        "import kernelwright.api\n"
        "from kernelwright.errors import UsageError\n"
        "from kernelwright.proposers.llm.config import configure\n"
        "from kernelwright.proposers.llm.models import make\n"
        "try: make(configure(['ollama:x']), None)\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'kernelwright[llm]'" in done.stdout


def test_nothing_heavy_is_imported_before_a_model_is_made() -> None:
    script = (
        "import sys, kernelwright.store, kernelwright.proposers.llm.models, kernelwright.proposers.llm.replay\n"
        "print({'pydantic_ai', 'openai', 'anthropic', 'google.genai', 'httpx2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
