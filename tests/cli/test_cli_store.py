"""Commands on runs that are in the store, without any search."""

from __future__ import annotations

import ast
import dataclasses

from cli_helpers import make_view, parsed, store_run

from kernelwright.errors import EXIT_NEGATIVE, EXIT_OK, EXIT_USAGE


def test_runs_of_an_empty_store(invoke):
    assert parsed(invoke("runs", "--json")) == []
    assert "no runs yet" in invoke("runs").stdout


def test_runs_as_json(invoke, made_up):
    run = store_run(made_up)
    listed = parsed(invoke("runs", "--json"))
    assert [entry["run"] for entry in listed] == [run]
    assert listed[0]["outcome"] == "faster"
    assert listed[0]["speedup"] == 7.2
    assert listed[0]["task"] == made_up.task.name
    assert "started" in listed[0]


def test_runs_as_a_table_shows_hostile_names_as_they_are(invoke, made_up):
    task = made_up.task.model_copy(update={"name": "[red]x[/red]"})
    run = store_run(dataclasses.replace(made_up, task=task))
    result = invoke("runs")
    assert run in result.stdout
    assert "[red]x[/red]" in result.stdout


def test_show_has_comparison_and_candidates(invoke, made_up):
    run = store_run(made_up)
    shown = parsed(invoke("show", run, "--json"))
    assert shown["best"]["candidate"] == made_up.best
    assert len(shown["candidates"]) == len(made_up.nodes)
    assert [row["name"] for row in shown["comparison"]["rows"]][:2] == ["eager", "torch.compile"]
    text = invoke("show", run[:-1]).stdout
    assert "torch.compile" in text
    assert "7.20×" in text


def test_node_has_source_and_verdict(invoke, made_up):
    run = store_run(made_up)
    found = parsed(invoke("node", run, 1, "--json"))
    assert found["source"] == made_up.nodes[0].candidate.source
    assert found["verdict"]["candidate"] == found["candidate"] == made_up.nodes[0].candidate.id
    assert "class ModelNew" in invoke("node", run, 1).stdout
    missing = invoke("node", run, 99)
    assert missing.exit_code == EXIT_USAGE
    assert "it has 12, from 1" in missing.stderr


def test_guide_is_the_languages(invoke):
    assert "class ModelNew" in invoke("guide").stdout


def test_export_writes_kernel_and_report(invoke, made_up, tmp_path):
    run = store_run(made_up)
    result = invoke("export", run, "--out", tmp_path / "there", "--json")
    assert result.exit_code == EXIT_OK
    found = parsed(result)
    assert set(found) == {
        "outcome", "best", "source_path", "report_path", "run", "evaluated", "seconds", "fair", "comparison",
        "models",
    }  # fmt: skip
    kernel = tmp_path / "there" / found["source_path"].rpartition("/")[2]
    ast.parse(kernel.read_text())
    assert made_up.best_node.candidate.source.rstrip() in kernel.read_text()
    assert "<html" in (tmp_path / "there" / found["report_path"].rpartition("/")[2]).read_text()
    assert str(kernel) in invoke("export", run, "--out", tmp_path / "there").stdout.replace("\n", "")


def test_export_of_an_interrupted_run_takes_the_best_so_far(invoke, made_up, tmp_path):
    run = store_run(made_up, finished=False)
    result = invoke("export", run, "--out", tmp_path, "--json")
    assert result.exit_code == EXIT_NEGATIVE
    found = parsed(result)
    assert found["outcome"] == "interrupted"
    accepted = [node.verdict.speedup for node in made_up.nodes if node.verdict.accepted]
    assert found["best"]["speedup"] == max(accepted)


def test_export_of_a_run_without_a_kernel_writes_the_report_alone(invoke, tmp_path):
    view = make_view(12)
    rejected = [node for node in view.nodes if not node.verdict.accepted]
    run = store_run(dataclasses.replace(view, nodes=rejected, best=None, comparison=None, outcome="no_kernel"))
    result = invoke("export", run, "--out", tmp_path, "--json")
    assert result.exit_code == EXIT_NEGATIVE
    assert parsed(result)["source_path"] is None
    assert "no kernel" in invoke("export", run, "--out", tmp_path).stdout
