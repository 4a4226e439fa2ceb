from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kernelwright.cli import app
from kernelwright.errors import EXIT_ENVIRONMENT, EXIT_OK, EXIT_USAGE
from kernelwright.serve.agents import FILES

SKILL = ".agents/skills/kernelwright/SKILL.md"


def init(folder: Path) -> Result:
    return CliRunner().invoke(app, ["agent", "init", str(folder)])


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_what_each_agent_reads(tmp_path: Path) -> None:
    result = init(tmp_path / "new")
    assert result.exit_code == EXIT_OK
    written = contents(tmp_path / "new")
    assert set(written) == set(FILES)
    assert all(name in result.stdout.replace("\n", "") for name in written)
    for name in (".mcp.json", ".gemini/settings.json"):
        server = json.loads(written[name])["mcpServers"]["kernelwright"]
        assert [server["command"], *server["args"]] == ["kernelwright", "mcp"]
    skills = {name: text for name, text in written.items() if name.endswith("SKILL.md")}
    assert {name.split("/")[0] for name in skills} == {".claude", ".agents"}
    for skill in skills.values():
        assert skill.startswith("---\nname: kernelwright\ndescription: ")
        assert "## The loop" in skill
    for name in ("AGENTS.md", "GEMINI.md"):
        assert re.findall(r"`(\S+/SKILL\.md)`", written[name]) == [SKILL]
    assert not any(mark in text for text in written.values() for mark in ("{%", "{{"))


def test_it_names_only_commands_and_tools_that_exist(tmp_path: Path) -> None:
    tools = pytest.importorskip("kernelwright.serve.tools")
    init(tmp_path)
    rows = [row for row in (tmp_path / SKILL).read_text().splitlines() if row.startswith("| `")]
    # A command is one or two words in lower case, before its arguments.
    named = {
        row.split("`")[1]: tuple(re.findall(r"\b[a-z]+", re.split("[A-Z-]", row.split("`")[3])[0]))[1:] for row in rows
    }
    assert all(callable(getattr(tools.Tools, tool, None)) for tool in named)
    for command in set(named.values()):
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == EXIT_OK


def test_again_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = init(tmp_path)
    assert result.exit_code == EXIT_OK
    assert "wrote" not in result.stdout
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_what_is_missing_is_added(tmp_path: Path) -> None:
    init(tmp_path)
    whole = contents(tmp_path)
    (tmp_path / "GEMINI.md").unlink()
    assert init(tmp_path).exit_code == EXIT_OK
    assert contents(tmp_path) == whole


def test_a_file_of_the_users_is_never_touched_and_then_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("mine\n")
    (tmp_path / ".mcp.json").write_text("{}\n")
    result = init(tmp_path)
    assert result.exit_code == EXIT_USAGE
    assert all(name in result.stderr for name in ("AGENTS.md", ".mcp.json", "move it away"))
    assert contents(tmp_path) == {"AGENTS.md": "mine\n", ".mcp.json": "{}\n"}


@pytest.mark.parametrize("name", ["GEMINI.md", ".claude", ".codex"])
@pytest.mark.parametrize("made", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_whatever_is_in_the_place_of_a_file_or_folder_stays_and_nothing_is_written(
    tmp_path: Path, name: str, made: Callable[[Path], object]
) -> None:
    made(tmp_path / name)
    result = init(tmp_path)
    if (tmp_path / name).is_dir() and "." not in name[1:]:
        assert (result.exit_code, set(contents(tmp_path))) == (EXIT_OK, set(FILES))
    else:
        assert result.exit_code == EXIT_USAGE
        assert f"{tmp_path / name}: there is something else already" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = init(tmp_path / "file" / "inside")
    assert result.exit_code == EXIT_ENVIRONMENT
    assert result.stderr.startswith("error: ")
