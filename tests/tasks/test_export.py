from __future__ import annotations

from collections.abc import Callable

import pytest

from kernelwright.tasks import Graph, GraphNode, host

Make = Callable[..., host.Reference]


def nodes(reference: host.Reference, op: str) -> list[GraphNode]:
    exported = reference.export("default")
    assert exported is not None, reference.export_problem
    return [node for node in Graph.model_validate(exported).nodes if node.op == op]


def test_nodes_refer_to_each_other_by_name(make: Make) -> None:
    reference = make("return torch.relu(self.w * x + 2.5)", init="self.w = nn.Parameter(torch.ones(8))")
    (parameter,), (x,), (output,) = nodes(reference, "state"), nodes(reference, "input"), nodes(reference, "output")
    mul, add, relu = nodes(reference, "call")
    assert parameter.target == "w"
    assert mul.args == ({"node": parameter.name}, {"node": x.name})
    assert add.args == ({"node": mul.name}, 2.5)
    assert [relu.target, relu.outputs[0].shape] == ["aten.relu.default", (4, 8)]
    assert output.args == ({"node": relu.name},)
    assert output.outputs == relu.outputs


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ("return torch.softmax(x, -1)", "aten._softmax.default"),
        ("return nn.functional.gelu(x)", "aten.gelu.default"),
        ("return nn.functional.layer_norm(x, (8,))", "aten.native_layer_norm.default"),
        ("return x.add_(1)", None),
        ("x = x.clone(); x[0] = 1; x.mul_(3); return x", "aten.mul.Tensor"),
    ],
)
def test_operations_stay_recognisable_and_change_nothing_in_place(make: Make, body: str, target: str | None) -> None:
    reference = make(body)
    if target is None:
        assert reference.export("default") is None
        assert "USER_INPUT_MUTATION" in reference.export_problem
        return
    targets = [node.target for node in nodes(reference, "call")]
    assert target in targets
    assert not any(name.split(".")[1].endswith("_") for name in targets if name != "getitem")


def test_changed_buffers_are_named(make: Make) -> None:
    reference = make("return self.n(x)", init="self.n = nn.BatchNorm1d(8)")
    (output,) = nodes(reference, "output")
    assert set(output.kwargs["mutations"]) == {"n.running_mean", "n.running_var", "n.num_batches_tracked"}
    assert len(output.args) == len(output.outputs) == 1


def test_constants_carry_their_values_and_attributes_their_names(make: Make) -> None:
    reference = make("return x * torch.tensor([2.0, 3.0]) + self.t", "torch.rand(4, 2)", init="self.t = torch.rand(2)")
    (constant,) = nodes(reference, "constant")
    assert constant.values == [2.0, 3.0]
    assert [node.target for node in nodes(reference, "state")] == ["t"]


def test_plain_arguments_become_part_of_the_graph(make: Make) -> None:
    reference = make("return torch.softmax(x * more[0], more[1])", "torch.rand(4, 8), 3.0, 0")
    assert len(nodes(reference, "input")) == 1
    assert nodes(reference, "call")[0].args[1] == 3.0


def test_what_cannot_be_exported_says_why(make: Make) -> None:
    reference = make("return x * (2 if x.sum() > 3 else 1)")
    assert reference.export("default") is None
    assert reference.export_problem


def test_outputs_come_flat_and_in_order(make: Make) -> None:
    (output,) = nodes(make("return x + 1, (x, {'sum': x.sum()}), None"), "output")
    assert [out.shape for out in output.outputs] == [(4, 8), (4, 8), ()]
    assert len(output.args) == 3
