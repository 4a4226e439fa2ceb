"""The catalogue's Triton: interpreted kernels are right, and compiled ones fit an H100 that is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import catalogue_both_ways
import pytest
import torch
import triton_modules
from triton_modules import MODULES, loaded, planned, programmed

from kernelwright.languages import triton_compile
from kernelwright.proposers import params
from kernelwright.proposers.catalogue.module import write
from kernelwright.tasks import Graph, Task, TaskInfo
from kernelwright.tasks.host import Reference

GPU_TASKS = Path(__file__).parents[2] / "benchmarks" / "gpu_tasks"
GPU_SUITE = GPU_TASKS.with_name("gpu_suite")
BY_NAME = {name: (function, inputs) for name, function, inputs in MODULES}


def text(name: str) -> str:
    """The candidate for one of the modules."""
    _, info, program = programmed(*BY_NAME[name])
    return write(program, info)


class Launches:
    """Stands for a kernel: keeps what it is launched with."""

    def __init__(self, kernel: Any, kept: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> None:
        self.kernel, self.kept = kernel, kept

    def __getitem__(self, grid: Any) -> Any:
        return lambda *args, **kwargs: self.kept.append((self.kernel.fn, args, kwargs))


def compiled(path: Path, folder: Path) -> list[Any]:
    """The kernels of a task's candidate, compiled for an H100."""
    reference = Reference(Task.load(path).source.model_dump())
    info = TaskInfo.model_validate(reference.describe())
    module = loaded(
        write(planned(Graph.model_validate(reference.export(info.tune_case.name))), info), folder, path.stem
    )
    kept: list[Any] = []
    for name, value in list(vars(module).items()):
        if name.startswith("kernel_"):
            setattr(module, name, Launches(value, kept))
    tensors = [each.tensor for each in info.tune_case.inputs if each.tensor is not None]
    module.ModelNew()(*(torch.empty(one.shape, dtype=getattr(torch, one.dtype), device="meta") for one in tensors))
    return [triton_compile.compile_for(90, *launch) for launch in kept]


@pytest.mark.slow
def test_interpreted_kernels_compute_what_torch_does(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, triton_modules.__file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["softmax_4096", "rotary_2048", "cross_entropy_4096", "matmul_2048", "attention_causal_4096"]
)
def test_compiled_kernels_spill_nothing_and_move_16_bytes_at_a_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = compiled(GPU_TASKS / f"{name}.py", tmp_path)
    for kernel in kernels:
        assert triton_compile.resources(kernel)["spilled_bytes"] == 0
        assert triton_compile.resources(kernel)["shared_bytes"] <= triton_modules.H100.l1_bytes
    assert any(copy in kernels[0].asm["ptx"] for copy in (".v4.b32", "cp.async.bulk"))


@pytest.mark.slow
def test_windows_are_read_by_whole_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = {each.metadata.name: each for each in compiled(GPU_SUITE / "conv_grouped_dilated.py", tmp_path)}
    product = kernels["kernel_0"].asm["ptx"]
    assert "wgmma.mma_async" in product and product.count("cp.async.bulk.tensor") >= 2, "boxes and tiles of the weight"
    assert all(triton_compile.resources(kernel)["spilled_bytes"] == 0 for kernel in kernels.values())
    for copy in ("kernel_1", "kernel_2"):
        assert ".v4.b32" in kernels[copy].asm["ptx"], "what is turned around is written in whole lines"


def test_a_row_that_fits_is_read_once_and_a_long_one_in_one_sweep() -> None:
    assert text("softmax").count("tl.load(") == 1
    long = text("cross_entropy")
    assert "online_reduce(exponentials)" in long
    loops = [line.strip() for line in long.splitlines() if "for start in tl.range(" in line]
    assert loops == [
        "for start in tl.range(begin, whole, BLOCK, num_stages=STAGES):",
        "for start in tl.range(whole, end, BLOCK):",
    ]
    blocks = long.split("for start in tl.range(")
    assert "counts" not in blocks[1] and "counts = j < n" in blocks[2], "only the last block looks where the row ends"


def test_few_results_are_combined_by_many_programs() -> None:
    source = text("one_sum")
    declared = params.read(source)
    assert declared is not None and {"SHARES", "BLOCK", "WARPS"} <= set(declared.space)
    assert "def kernel_0_0(" in source and "def kernel_0_1(" in source


def test_few_results_of_many_steps_are_summed_up_by_many_programs() -> None:
    for name in ("shared_steps", "shared_steps_of_a_batch", "shared_steps_of_halves"):
        source = text(name)
        declared = params.read(source)
        assert declared is not None and declared.values["SHARES"] >= 8, name
        assert "def kernel_0_shares(" in source and "def kernel_0_merged(" in source
    assert "SHARES" not in text("many_tiles") and "SHARES" not in text("batched")


def test_products_are_exact_and_keep_what_follows_in_their_kernel() -> None:
    gelu = text("linear_gelu")
    assert gelu.count("def kernel_") == 1 and "tl.dot(left, right, total)" in gelu
    assert "erf_and_1(" in gelu and "tl.erf(" not in gelu, "16 bits show less than it is off by"
    assert "tl.erf(" in text("gelu")
    assert "input_precision=PRECISION" in text("batched")


def test_products_of_one_side_that_meet_are_one_kernel() -> None:
    gated = text("gated_halves")
    assert gated.count("def kernel_") == 1 and gated.count("tl.dot(left, right, ") == 2
    assert gated.count("left = inputs_0_tiles.load(") == 1, "the left side is read once for both"
    for name, side in (("gate_of_others", "right"), ("gate_of_halves", "left"), ("gate_of_windows", "right")):
        assert text(name).count("tl.dot(left, right, ") == 2 and text(name).count(f"    {side} = ") == 1, name
    assert text("gate_of_others").count("def kernel_") == text("gate_of_halves").count("def kernel_") == 1
    assert "tl.dot(" in text("gate_beside_its_turned_side")
    declared = params.read(text("five_products"))
    assert declared is not None and declared.values["BLOCK_N"] in declared.space["BLOCK_N"]


def test_products_that_are_added_up_have_one_total() -> None:
    for name, dots in (("added", 2), ("added_exact", 3)):
        source = text(name)
        assert source.count("tl.dot(left, right, total") == dots, name
        assert source.count("total = tl.zeros(") == 1, name
    for name in (
        "added_and_doubled",
        "added_and_taken_off",
        "added_and_kept",
        "added_before_one",
        "added_of_two_dtypes",
    ):
        assert text(name).count("= tl.zeros(") == 2, name
    assert text("added_and_more").count("tl.dot(left, right, total") >= 3
    assert text("added_shares").count("def kernel_") == 2, "shares of both, and one that adds them up"


def test_places_that_follow_from_positions_are_counted_in_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tl.int64" not in text("resized")
    monkeypatch.setattr("kernelwright.proposers.catalogue.triton.nests.is_wide", lambda _: True)
    assert ".to(tl.int64)" in text("resized")


def test_what_passes_once_leaves_the_cache_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "evict_first" not in text("softmax"), "it fits in the cache"
    monkeypatch.setattr(triton_modules, "H100", triton_modules.H100.model_copy(update={"l2_bytes": 1000}))
    for name in ("softmax", "gelu_of_a_matrix"):
        passing = [line for line in text(name).splitlines() if "tl.load(" in line or "tl.store(" in line]
        assert passing and all("evict_first" in line for line in passing), name
    monkeypatch.setattr(triton_modules, "H100", triton_modules.H100.model_copy(update={"l2_bytes": 500}))
    assert "evict_first" in text("gelu_of_a_matrix"), "two tensors, each element by itself"
    assert "evict_first" in text("one_sum"), "little is written"
    assert "evict_first" not in text("softmax"), "many times the cache, and written as much as read"


def test_tiles_that_lie_in_memory_as_they_are_are_copied_by_the_device() -> None:
    assert "TensorDescriptor" not in text("batched"), "its products are in float32"
    gelu = text("linear_gelu")
    assert "left = inputs_0_tiles.load([tile_m * BLOCK_M, start])" in gelu
    assert "right = inputs_1_tiles.load([tile_n * BLOCK_N, start]).T" in gelu
    # Beyond the last step of one of a batch lies the next one, so that there are no zeros.
    assert "right = tl.load(" in text("half_batched_down") and "left = inputs_0_tiles.load(" in text(
        "half_batched_down"
    )


def test_functions_take_fewer_bits_where_no_more_show() -> None:
    assert "sigmoid_16(" in text("a_cell_of_halves") and "tanh_16(" in text("a_cell_of_halves")
    assert "log1p_to_1(exp_nonpos(" in text("a_cell_of_halves")
    assert "_16(" not in text("decided_by_a_sigmoid"), "half of one more or less decides"
    assert "_16(" not in text("softplus"), "its results have 32 bits"
    assert "tl.exp(" in text("softplus"), "a power that may be large has its error in proportion"


def test_windows_that_overlap_read_what_they_share_once() -> None:
    modules = {name: (function, inputs) for name, function, inputs in triton_modules.SEVERAL_AT_ONCE}

    def made(name: str, multiprocessors: int) -> str:
        device = triton_modules.H100.model_copy(update={"multiprocessors": multiprocessors})
        _, info, program = programmed(*modules[name], device)
        return write(program, info)

    windows = made("one_below_the_other", 1)
    assert "# 4 results along" in windows and windows.count("tl.load(x_ptr") == (4 + 2) * 3
    assert "tl.static_range" in made("one_below_the_other", 132), "it has too few results for several a thread"
    assert "# 2 results along" in made("long_windows_below", 1), "more would be a long text"
    assert "at once" not in made("windows_in_windows", 1) + made("windows_apart_below", 1)
    assert "at once" not in text("pooled_alone")


def test_convolutions_of_16_bits_are_products_that_read_channels_together() -> None:
    plain = text("windows")
    assert plain.count("@triton.jit") == 3 and "torch.ops.aten.convolution" not in plain
    assert "left = convolution_weight_tiles.load([tile_m * BLOCK_M, start])" in plain, "the weight has no batch"
    assert plain.count("# Read along ROWS, written along BLOCK.") == 2
    along = ("windows_of_48_channels", "windows_turned_along_one", "windows_in_three_dimensions")
    for name in ("windows", "windows_of_groups", "windows_turned_evenly", *along):
        assert "reshape(BLOCK_N, BLOCK_K).T" in text(name) and "tl.load(convolution_input_ptr" not in text(name), name
    assert "tl.load(convolution_input_ptr" in text("windows_of_eight_channels"), "a tile has 16 steps at least"
    assert "tl.load(convolution_input_ptr" in text("windows_turned"), "what is small fills no box"
    assert text("windows_by_channel").count("@triton.jit") == 1, "without a copy of the input"
    assert "torch.ops.aten.convolution" in text("exact_windows")
    assert "tl.dot(" in text("windows_turned_unevenly")


def test_both_phases_of_a_line_are_written_at_once_where_they_read_other_places() -> None:
    for name, kernels in (("windows_turned_evenly", 3), ("windows_turned_along_one", 3), ("windows_turned_by_two", 4)):
        assert text(name).count("def kernel_") == kernels, name
        assert ("tl.interleave(" in text(name)) == (kernels == 3), name


def test_halves_of_a_product_are_made_apart_only_where_nothing_else_is_made_of_it() -> None:
    assert text("gate_of_halves").count("tl.dot(") == 2
    assert text("turned_and_kept").count("tl.dot(") == 1


def test_rows_of_several_blocks_are_read_once() -> None:
    for name, loads in (("rows_of_several_blocks", 6), ("groups_of_several_blocks", 9)):
        assert text(name).count("tl.load(") == loads and " // BLOCK * BLOCK" not in text(name), name
    _, info, program = programmed(lambda x: (x.softmax(-1), x.argmax(-1)), (torch.randn(264, 17000).half(),))
    assert " // BLOCK * BLOCK" in write(program, info), "where the largest is comes from what a loop has seen"


def test_each_kernels_numbers_are_among_those_that_are_tried() -> None:
    for name in BY_NAME:
        declared = params.read(text(name))
        assert declared is not None, name
        assert all(declared.values[key] in values for key, values in declared.space.items()), name


def test_what_is_turned_around_is_read_and_written_in_lines() -> None:
    source = text("transposed")
    assert "i0 = place // columns % rows * ROWS + tl.arange(0, ROWS)[:, None]" in source
    assert "j = place % columns * BLOCK + tl.arange(0, BLOCK)[None, :]" in source
    assert "mask=inside & counts" in source
    assert "ROWS" not in text("few_transposed")


def test_what_follows_from_the_row_alone_is_found_once_a_row() -> None:
    for name in ("pooled_alone", "enlarged", "scaled_by_groups", "windows_by_channel"):
        assert "rows, columns = tl.cdiv(" in text(name), name
    assert "rows, columns" not in text("broadcast"), "what it reads once a row has short rows"


def test_tiles_of_float32_are_smaller() -> None:
    for name, exact in (("batched", True), ("half_batched", False)):
        assert ("'BLOCK_N': [32, 64, 128]," in text(name)) == exact


def test_attention_is_one_kernel_that_reads_no_key_that_is_masked_for_all_of_its_queries() -> None:
    for name in ("causal", "grouped", "masked", "windowed", "half_attention"):
        assert text(name).count("def kernel_") == 1, name
    causal = text("causal")
    assert "for start in tl.range(0, whole, BLOCK_N):" in causal and "for start in tl.range(whole, last" in causal
    assert causal.count("<= 0, 0.0, ") == 1, "the mask is looked at where it may matter"
    assert "tl.range(0, K, BLOCK_N)" in text("windowed")


def test_a_number_a_row_goes_to_memory_rather_than_what_it_is_made_of() -> None:
    loss = text("cross_entropy")
    assert "part_0" in loss and "part_1" not in loss


def test_what_it_has_no_kernel_for_stays_a_library_call() -> None:
    source = text("running_along_one")
    assert "torch.ops.aten.cumsum" in source and "@triton.jit" in source


def test_running_results_are_part_of_a_kernel() -> None:
    rows = ("running", "running_share", "running_backward", "running_turned", "running_twice")
    loops = ("running_down", "running_up", "running_along_long_rows", "running_back_along_long_rows")
    for name in (*rows, *loops):
        source = text(name)
        assert "tl.cum" in source and source.count("def kernel_") == 1 and "torch.ops" not in source, name
        assert ("end = tl.full(" in source) == (name in loops), name


def test_logarithms_of_softmaxes_lose_nothing_also_beside_a_rounding_function() -> None:
    source = text("beside_rounding")
    assert "tl.log(total)" in source and source.count("tl.log(") == 1, source


def test_one_and_tanh_is_a_sigmoid_where_nothing_else_needs_tanh() -> None:
    assert "tanh(" not in text("gate_by_tanh")
    assert "tl.sigmoid(" not in text("functions")


def test_sums_of_columns_are_found_by_the_kernel_that_goes_along_rows() -> None:
    layer_norm = catalogue_both_ways.both_ways(*catalogue_both_ways.MODULES["layer norm"])
    back = write(planned(layer_norm.graph), layer_norm.info).split("class Passes")[0]
    for source in (back, text("columns_beside_rows"), text("running_then_down")):
        assert source.count("for row in tl.range(") == source.count("_sums(\n") == 1
    assert back.count("@triton.jit") == 3, "one forward, two back"
    assert "for row in" not in text("columns_of_doubles"), "sums are kept in float32"


def test_new_tensors_lie_where_the_inputs_do() -> None:
    source = text("one_sum")
    made = [line for line in source.splitlines() if "torch.empty(" in line]
    assert made and all("device=inputs_0.device" in line for line in made)
