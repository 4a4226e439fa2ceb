"""The page of a run: complete, self-contained, and safe whatever a candidate or a task wrote."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest
from made_up_run import HOSTILE, make_view

from kernelwright.report.page import render
from kernelwright.report.view import RunView

URL_ATTRIBUTES = {"src", "href", "action", "data", "poster", "srcset", "background", "formaction"}


class Page(HTMLParser):
    """Collects tags with attributes, the text outside scripts and styles, and the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.styles = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(make_view()))


def test_hostile_text_stays_text(page):
    assert [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "link")] == []
    assert len(page.scripts) == 2, "plotly and the page's own"
    assert HOSTILE in page.text, "shown as it is"
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_page_refers_to_nothing_outside(page):
    assert [name for _, attributes in page.tags for name in attributes if name in URL_ATTRIBUTES] == []
    assert not re.search(r"url\(|@import", page.styles)


def test_policy_allows_no_network_and_only_the_pages_scripts(page):
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    assert "default-src 'none'" in policy
    nonces = {attributes.get("nonce") for tag, attributes in page.tags if tag == "script"}
    assert len(nonces) == 1
    assert f"script-src 'nonce-{nonces.pop()}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_nonce_is_fresh_in_every_page(view):
    def nonce(text: str) -> str:
        return re.search(r"nonce-(\w+)", text)[1]

    assert nonce(render(view)) != nonce(render(view))


def test_plots_cannot_leave_their_script(page):
    own = page.scripts[1]
    data = own.split("const plots = ", 1)[1].split(";\n", 1)[0]
    assert "<" not in data
    plots = json.loads(data)
    assert set(plots) == {"search", "roofline", "graph"}
    labels = [text for trace in plots["graph"]["data"] for text in trace.get("text", ())]
    assert labels
    assert all("<script" not in label and "<img" not in label for label in labels), "plotly reads some HTML in labels"


def test_page_shows_comparison_evidence_and_environment(page):
    for wanted in (
        "torch.compile",
        "7.20×",
        "7.05–7.33",
        "85 %",
        "2.4e-07",
        "bubblewrap",
        "aten::empty",
        "AMD EPYC 7B13",
    ):
        assert wanted in page.text


def test_task_with_matrix_products_gets_the_classic_roofline():
    text = render(make_view(10, flops=10**12))
    assert "FLOPs per byte" in text


@pytest.mark.parametrize("count", [0, 1])
def test_runs_with_few_or_no_candidates_render(count):
    assert "Kernelwright" in Page(render(make_view(count))).text


def test_run_without_accepted_candidate_renders(view: RunView):
    rejected = [node for node in view.nodes if not node.verdict.accepted]
    shown = dataclasses.replace(view, nodes=rejected, best=None, comparison=None, outcome="no_kernel")
    assert "no kernel" in Page(render(shown)).text


def test_interrupted_run_renders_from_the_best_verdict(view: RunView):
    shown = dataclasses.replace(view, comparison=None, outcome="interrupted")
    assert "Side by side" not in Page(render(shown)).text
