"""The documents that ship with Kernelwright: short, found by what one would ask, and no snippet of them is wrong."""

from __future__ import annotations

import ast
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from kernelwright import toolchain
from kernelwright.errors import MachineError
from kernelwright.knowledge import open_library
from kernelwright.languages import ptxas

FIRST = ["cpp/vectors", "cpp/exp", "cpp/reductions"]
"""What the snippets of other documents build on."""


def blocks(language: str) -> list[str]:
    documents = open_library().documents()
    names = FIRST + [name for name in documents if name not in FIRST]
    fence = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [block for name in names for block in fence.findall(documents[name].text)]


@pytest.fixture
def snippets(tmp_path: Path) -> Path:
    (tmp_path / "snippets.h").write_text("\n".join(blocks("cpp")))
    return tmp_path


def compile_snippets(folder: Path, *flags: str) -> None:
    source = Path(__file__).with_name("snippets.cpp")
    command = [*toolchain.compiler(), "-std=c++17", "-fopenmp", "-Wall", "-Wno-unused-function", "-Wno-psabi"]
    done = subprocess.run([*command, f"-I{folder}", str(source), *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["native", "x86-64-v3", "x86-64"])
def test_all_snippets_compile_without_a_warning_and_compute_what_they_say(snippets: Path, arch: str) -> None:
    program = snippets / "program"
    compile_snippets(snippets, "-O3", f"-march={arch}", "-o", str(program))
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_python_snippets_are_python() -> None:
    for block in blocks("python"):
        ast.parse(textwrap.dedent(block))


def test_documents_are_short() -> None:
    for name, document in open_library().documents().items():
        assert 25 <= document.text.count("\n") <= 100, name


def test_what_every_prompt_holds_is_short() -> None:
    for language, target in (("cpp", "cpu"), ("triton", "cuda"), ("cuda", "cuda")):
        documents = open_library().always(language, target)
        assert {document.kind for document in documents} == {"constraint", "hardware"}
        assert sum(len(document.text) for document in documents) < 20_000


def test_a_language_and_a_device_have_what_belongs_into_every_prompt() -> None:
    for language, target in (("cpp", "cpu"), ("triton", "cuda"), ("cuda", "cuda")):
        known = open_library().documents(language=language, target=target)
        always = {name for name, each in known.items() if each.kind in ("constraint", "hardware")}
        assert {f"{target}/machine", f"{target}/bottlenecks", f"{language}/rules", "general/accepted"} <= always


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("aten.addmm.default aten.relu.default", "Product or linear layer"),
        ("aten._scaled_dot_product_flash_attention_for_cpu.default", "Attention"),
        ("attention with a mask", "Masks and biases"),
        ("aten.convolution.default aten.relu.default", "Direct convolution"),
        ("aten._softmax.default", "Softmax of a row that fits into L2"),
        ("aten.native_layer_norm.default", "Layer norm and RMS norm"),
        ("aten.native_group_norm.default", "Group and instance norm"),
        ("aten.gelu.default", "tanh, expm1, erf and GELU"),
        ("aten.cumsum.default", "cumsum of one long row"),
        ("aten.gru.input", "GRU and LSTM"),
        ("aten.index_add.default", "Scattering sums"),
        ("aten.embedding.default aten.sum.dim_IntList", "Gathering rows"),
        ("aten.permute.default aten.clone.default", "Transpose or permute"),
        ("top-k gate", "Top-k"),
        ("2-D stencil", "Stencils"),
        ("aten.slice.Tensor aten.slice_scatter.default aten.add.Tensor", "A stencil written with slices"),
        ("aten.arange.start_step aten.fmod.Scalar aten.index_select.default aten.add.Tensor", "A stencil written"),
        ("aten.arange.start_step aten.clamp.default aten.index.Tensor aten.slice.Tensor", "A stencil written"),
        ("aten.select.int aten.mul.Tensor aten.add.Tensor aten.cat.default", "Linear recurrences"),
        ("aten.full.default aten.index_put.default", "Scattering sums"),
        ("three steps of heat diffusion on a grid", "Several time steps"),
        ("segmented sum", "Segmented sums"),
        ("sum over columns", "Sums of columns"),
        ("cross-entropy with label smoothing", "Cross-entropy"),
        ("bfloat16 rounding", "bfloat16"),
        ("false sharing between threads", "False sharing"),
        ("denormals are slow", "Denormals"),
        ("small tensors overhead of a call", "Where the time goes"),
        ("streaming stores", "Streaming stores"),
    ],
)
def test_questions_lead_to_the_section(query: str, heading: str) -> None:
    found = open_library().search(query, language="cpp", target="cpu", kinds=("guidance",), k=3)
    assert [passage for passage in found if passage.heading.startswith(heading)]


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("aten._softmax.default", "A row in one program"),
        ("aten.native_layer_norm.default", "Layer norm and RMS norm"),
        ("aten.logsumexp.default", "Rows that do not fit"),
        ("aten.addmm.default aten.relu.default", "A product with what follows it"),
        ("aten._scaled_dot_product_flash_attention.default", "Attention"),
        ("aten.sum.dim_IntList", "Sums over columns"),
        ("aten.cumsum.default", "Running sums"),
        ("aten.embedding.default", "Gathering and scattering rows"),
        ("aten.topk.default", "The largest and where it is"),
    ],
)
def test_questions_about_triton_lead_to_the_section(query: str, heading: str) -> None:
    found = open_library().search(query, language="triton", target="cuda", kinds=("guidance",), k=3)
    assert [passage for passage in found if passage.heading.startswith(heading)]


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("aten._softmax.default", "Softmax of a row"),
        ("reduction over a block", "Combining a value over a block"),
        ("aten.sum.dim_IntList over columns", "Sums over columns"),
    ],
)
def test_questions_about_cuda_lead_to_the_section(query: str, heading: str) -> None:
    found = open_library().search(query, language="cuda", target="cuda", kinds=("guidance",), k=3)
    assert [passage for passage in found if passage.heading.startswith(heading)]


@pytest.mark.slow
def test_cuda_snippets_compile_without_a_warning_and_spill_nothing(tmp_path: Path) -> None:
    try:
        nvcc = toolchain.cuda_home() / "bin" / "nvcc"
    except MachineError as error:
        pytest.skip(str(error))
    uses = """
template __global__ void softmax_rows<256, 4>(const float4*, float4*, int);
template __global__ void column_shares<128>(const float*, float*, int64_t, int64_t);
"""
    source = tmp_path / "snippets.cu"
    source.write_text("\n".join(["#include <cstdint>", *blocks("cuda"), uses]))
    command = [
        str(nvcc),
        "-arch=sm_90a",
        "-std=c++17",
        "-cubin",
        "-Xptxas",
        "-v",
        "-o",
        str(tmp_path / "cubin"),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    kernels = ptxas.read(done.stderr)
    assert len(kernels) == 2
    assert all(facts["spilled_bytes"] == 0 for facts in kernels.values())
