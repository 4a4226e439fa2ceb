from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from kernelwright.tasks import Graph, TaskInfo, host

Make = Callable[..., host.Reference]
F32 = 4


def info(reference: host.Reference) -> TaskInfo:
    return TaskInfo.model_validate(reference.describe())


def test_shapes_flops_and_bytes_of_a_linear_layer(make: Make) -> None:
    described = info(make("return self.l(x)", init="self.l = nn.Linear(8, 16)"))
    case = described.tune_case
    assert case.inputs[0].tensor is not None
    assert case.inputs[0].tensor.shape == (4, 8)
    assert case.outputs[0].shape == (4, 16)
    assert case.flops == 2 * 4 * 8 * 16
    assert case.bytes == F32 * (4 * 8 + 8 * 16 + 16 + 4 * 16)
    assert [(state.name, state.kind) for state in described.state] == [
        ("l.weight", "parameter"),
        ("l.bias", "parameter"),
    ]


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        ("return x * 2", 32 + 32),
        ("return x[:2] * 2", 16 + 16),
        ("return x[0] + x[0]", 8 + 8),
        ("return x.T + x.T", 32 + 32),
        ("return (x[:, :4] * 2, x[:, 4:] * 3)", 32 + 32),
        ("return x[torch.tensor([1, 1])] + 1", 16 + 16),
        ("y = x + 1; return torch.ones(3)", 3),
        ("return x.view(8, 4)", 0),
        ("return x.sum()", 32 + 1),
        ("return x[:, None].expand(4, 5, 8) + 1", 32 + 160),
    ],
)
def test_least_traffic_counts_what_is_read_and_written_once(make: Make, body: str, elements: int) -> None:
    assert info(make(body)).tune_case.bytes == F32 * elements


def test_parameters_that_forward_does_not_read_cost_nothing(make: Make) -> None:
    case = info(
        make("return x + self.used", init="self.used, self.unused = (nn.Parameter(torch.ones(8)) for _ in 'ab')")
    ).tune_case
    assert case.bytes == F32 * (32 + 8 + 32)


def test_an_embedding_reads_only_its_rows(make: Make) -> None:
    reference = make("return self.e(x)", "torch.randint(0, 1000, (4,))", init="self.e = nn.Embedding(1000, 16)")
    assert info(reference).tune_case.bytes == 4 * 8 + F32 * (64 + 64)


def test_targets_of_a_loss_are_read(make: Make) -> None:
    reference = make(
        "return torch.nn.functional.cross_entropy(x, *more)", "torch.rand(16, 10), torch.randint(0, 10, (16,))"
    )
    assert info(reference).tune_case.bytes == F32 * 160 + 8 * 16 + F32


def test_batch_norm_changes_its_running_statistics(make: Make) -> None:
    described = info(make("return self.n(x)", init="self.n = nn.BatchNorm1d(8)"))
    assert {state.name for state in described.state if state.mutated} == {
        "n.running_mean", "n.running_var", "n.num_batches_tracked",
    }  # fmt: skip


def test_tensors_that_are_not_registered_are_state_too(make: Make) -> None:
    reference = make(
        "self.h = self.h + x; return self.h + self.t", init="self.h, self.t = torch.randn(4, 8), torch.rand(8)"
    )
    described = info(reference)
    assert [(state.name, state.kind, state.mutated) for state in described.state] == [
        ("h", "attribute", True),
        ("t", "attribute", False),
    ]
    one, other = (host.state(reference.model(3, "default")) for _ in range(2))
    assert all(torch.equal(a[2], b[2]) for a, b in zip(one, other, strict=True))


def test_buffers_outside_the_state_dict_are_listed(make: Make) -> None:
    reference = make("return x + self.t", init="self.register_buffer('t', torch.rand(8), persistent=False)")
    assert [(state.name, state.kind) for state in info(reference).state] == [("t", "buffer")]


@pytest.mark.parametrize(("body", "arbitrary"), [("return x.topk(2)[1]", True), ("return x.max(-1)[0]", False)])
def test_whether_any_of_equal_values_may_be_chosen(make: Make, body: str, arbitrary: bool) -> None:
    assert info(make(body, "torch.rand(4, 8)")).tune_case.arbitrary is arbitrary


def test_huge_data_are_described_without_being_made(make: Make) -> None:
    size = 1 << 20
    reference = make("return x @ x", f"torch.rand({size}, {size})")
    assert info(reference).tune_case.flops == 2 * size**3
    with pytest.raises(host.HostError) as refused:
        reference.draw("default", 0)
    assert refused.value.kind == "memory"
    assert refused.value.line > 0
    fairness = reference.fairness(1.0)
    assert [problem["name"] for problem in fairness["problems"]] == ["not_checked"]


def test_code_that_asks_for_values_is_described_on_small_data(make: Make) -> None:
    reference = make("return x * x.sum().item() + self.n", "torch.rand(int(torch.tensor(4).max()), 8)",
                     init="self.n = torch.linspace(0, 1, 3)[1].item()")  # fmt: skip
    assert info(reference).tune_case.outputs[0].shape == (4, 8)


def test_compiled_code_that_takes_an_address_gets_real_data(make: Make) -> None:
    body = "from ctypes import c_float; return x * c_float.from_address(x.data_ptr()).value"
    assert info(make(body, "torch.rand(4, 8)")).tune_case.outputs[0].shape == (4, 8)


def test_code_that_asks_for_values_of_huge_data_is_refused_with_the_reason(make: Make) -> None:
    with pytest.raises(host.HostError, match="asks for the values of a tensor") as refused:
        make("return x * x.sum().item()", "torch.rand(1 << 15, 1 << 14)").describe()
    assert refused.value.line == 10


def test_nested_outputs_and_plain_inputs(make: Make) -> None:
    described = info(make("return x, (more[0] * x, None, {'sum': x.sum()})", "torch.rand(2), 2.5"))
    assert [output.shape for output in described.tune_case.outputs] == [(2,), (2,), ()]
    assert described.tune_case.inputs[1].value == 2.5


def test_sizes_of_zero(make: Make) -> None:
    reference = make("return x * 2", "torch.rand(0, 8)")
    assert info(reference).tune_case.bytes == 0
    assert reference.fairness(5.0)["problems"] == [{"name": "constant", "reason": "its outputs hold no elements"}]


@pytest.mark.parametrize("layer", ["GRU", "RNN", "LSTM"])
@pytest.mark.parametrize("arguments", ["", ", num_layers=2, bidirectional=True", ", batch_first=True"])
def test_recurrent_layers_are_described_as_they_are(make: Make, layer: str, arguments: str) -> None:
    reference = make("return self.r(x)", "torch.rand(5, 3, 8)", init=f"self.r = nn.{layer}(8, 6{arguments})")
    case = info(reference).tune_case
    (x,) = reference.draw("default", 0)
    outputs = host.flatten_outputs(reference.forward(reference.model(0, "default"), [x]))
    assert [(out.shape, out.strides) for out in case.outputs] == [(tuple(o.shape), o.stride()) for o in outputs]
    weights = sum(parameter.numel() for parameter in reference.model(0, "default").parameters() if parameter.dim() == 2)
    assert case.flops == 2 * 15 * weights
    graph = reference.export("default")
    assert graph is not None
    assert sum(node.get("target", "").endswith(".input") for node in graph["nodes"]) == 1


def test_cases_of_a_file(make: Make) -> None:
    rest = """
def get_cases():
    return [
        {"name": "odd", "inputs": lambda: [torch.rand(3, 8)]},
        {"name": "half", "role": "held_out", "dtype": "float16", "inputs": lambda: [torch.rand(5, 8)]},
    ]
"""
    reference = make("return self.l(x)", init="self.l = nn.Linear(8, 2)", rest=rest)
    assert reference.cases() == [("default", "tune", None), ("odd", "check", None), ("half", "held_out", "float16")]
    assert [case.outputs[0].dtype for case in info(reference).cases] == ["float32", "float32", "float16"]
    (x,) = reference.draw("half", 1)
    assert x.dtype == torch.float16
    assert reference.model(0, "half").l.weight.dtype == torch.float16
    assert Graph.model_validate(reference.export("odd")).case == "odd"


def test_draws_follow_their_seed(make: Make) -> None:
    reference = make("return x", "torch.rand(64) * __import__('random').random() * __import__('numpy').random.rand()")
    assert torch.equal(reference.draw("default", 3)[0], reference.draw("default", 3)[0])
    assert not torch.equal(reference.draw("default", 3)[0], reference.draw("default", 4)[0])


def test_the_model_stays_in_the_mode_it_was_made_in(make: Make) -> None:
    assert make().model(0, "default").training
    assert not make(init="self.eval()").model(0, "default").training


def test_tensors_at_module_level(make: Make) -> None:
    reference = make(
        "return x + TABLE", rest="TABLE = torch.randn(8)\nX = torch.rand(4, 8)\ndef get_inputs(): return [X]"
    )
    assert info(reference).tune_case.outputs[0].shape == (4, 8)
    assert reference.export("default") is not None
    assert reference.fairness(10.0)["problems"][0]["name"] == "ignores_inputs"
