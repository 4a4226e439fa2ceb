"""What a candidate makes of its build and of the reference's parameters: late builds, other layouts and hooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, KERNEL

IN_FUNCTION = HONEST.replace("kernels = tvm_ffi", "build = lambda: tvm_ffi").replace(
    "kernels.affine", "globals().setdefault('built', build()).affine"
)
FOR_A_SHAPE = (
    HONEST.replace("kernels = tvm_ffi", "built = functools.cache(lambda rows: tvm_ffi")
    .replace(
        '"affine", cpp_sources=CPP', 'f"affine{rows}", cpp_sources=CPP.replace("const long n", f"const {kind(rows)} n")'
    )
    .replace("extra_cflags=FLAGS)", "extra_cflags=FLAGS))")
    .replace("kernels.affine", "built(x.shape[0]).affine")
    .replace("import torch\n", "import functools\n\nimport torch\n", 1)
)
"""A build of its own for each number of rows."""
TRANSPOSED = """
    def __init__(self, width):
        super().__init__()
        self.both = nn.Parameter(torch.zeros(2, width, dtype=torch.float64).t())

    def _load_from_state_dict(self, state, prefix, *args):
        state[prefix + "both"] = torch.stack([state.pop(prefix + "weight"), state.pop(prefix + "bias")], 1)
        super()._load_from_state_dict(state, prefix, *args)

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.affine(x, self.both[:, 0].float(), self.both[:, 1].float(), y)
        return y
"""
WIDE_PARAMETERS = HONEST.replace("torch.ones(width)", "torch.ones(width).double()").replace(
    "self.weight.detach()", "self.weight.detach().float()"
)


def test_what_forward_builds_is_built_before_it_is_judged(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, IN_FUNCTION)
    assert verdict.accepted, verdict.message


def test_a_late_build_that_fails_is_a_failed_build(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, IN_FUNCTION.replace("const long n =", "const lung n ="))
    assert verdict.reason == "build_failed", verdict.message


@pytest.mark.parametrize(("kind", "reason"), [("long", None), ("lung", "fails_held_out")])
def test_what_is_built_for_a_held_out_shape_is_built_apart_and_not_told(
    bench: Bench, kind: str, reason: str | None
) -> None:
    verdict = bench.evaluate(AFFINE, FOR_A_SHAPE.replace("kind(rows)", f"('{kind}' if rows == 77 else 'long')"))

    assert verdict.reason == reason, verdict.message
    assert "lung" not in verdict.shown.model_dump_json()


def test_parameters_of_another_float_type_take_the_references(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, WIDE_PARAMETERS)
    assert verdict.accepted, verdict.message


def test_parameters_that_cannot_hold_the_references_are_named(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, WIDE_PARAMETERS.replace(".double()", ".bfloat16()"))
    assert verdict.reason == "wrong_dtype"
    assert "bfloat16" in verdict.message


def test_a_hook_may_pack_and_rename_parameters(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, f"{KERNEL}\nclass ModelNew(nn.Module):{TRANSPOSED}")
    assert verdict.accepted, verdict.message


@pytest.mark.parametrize("trick", ["os.symlink({victim!r}, 'built.json')", "os.mkdir('built.json')"])
def test_the_build_folder_leads_nowhere_else(bench: Bench, tmp_path: Path, trick: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    lines = [
        "import os",
        "os.chdir(os.environ['TVM_FFI_CACHE_DIR'])",
        "if os.access('.', os.W_OK):",
        "    " + trick.format(victim=str(victim)),
    ]

    verdict = bench.evaluate(AFFINE, HONEST + "\n".join(lines))

    assert verdict.accepted or verdict.reason == "tampering", verdict.message
    assert victim.read_text() == "untouched"
