from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernelwright.tasks.host import HostError, decode, encode, flatten_outputs

DTYPES = [
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.complex64,
]

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(DTYPES)
    | st.just(torch.device("cpu"))
    | st.lists(st.integers(0, 9)).map(torch.Size)
    | st.builds(slice, st.none() | st.integers(), st.none() | st.integers(), st.none() | st.integers())
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["tensor", "tuple", "dict", "size", "slice", "dtype", "float", "x"]), inner)
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_encoded_comes_back_with_its_type(value: object) -> None:
    back = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3)])
def test_tensors_round_trip(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.randn(shape) * 3).to(dtype)
    back = decode(json.loads(json.dumps(encode([tensor]))))[0]
    assert back.dtype == dtype
    assert torch.equal(back, tensor)
    back += back.clone()  # writable


def test_a_transposed_tensor_keeps_its_values() -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(decode(encode(tensor)), tensor)


def test_nan_round_trips() -> None:
    assert math.isnan(decode(encode(math.nan)))


@pytest.mark.parametrize(
    "value", [object(), {1: 2}, {1, 2}, b"x", lambda: 0, torch.zeros(1 << 20), torch.nn.Linear(1, 1)]
)
def test_what_cannot_be_handed_over_is_refused_by_name(value: object) -> None:
    with pytest.raises(HostError) as refused:
        encode([value])
    assert refused.value.kind == "unsupported"


@given(garbage)
def test_decode_raises_nothing_but_host_errors(value: object) -> None:
    try:
        decode(value)
    except HostError as error:
        assert error.kind == "unsupported"


@pytest.mark.parametrize(
    "value",
    [
        {"tensor": {"dtype": "float32", "shape": [1 << 40, 1 << 40], "data": ""}},
        {"tensor": {"dtype": "float32", "shape": [-1], "data": ""}},
        {"tensor": {"dtype": "__class__", "shape": [], "data": "AAAA"}},
        {"tensor": {"dtype": "float32", "shape": [2], "data": "AAAA"}},
        {"size": [1.5]},
        {"dtype": ["float32"]},
        {"device": "cuda"},
        {"float": "1e9"},
        {"a": 1, "b": 2},
        {"slice": [1]},
        {},
    ],
)
def test_damaged_json_is_refused(value: object) -> None:
    with pytest.raises(HostError):
        decode(value)


def test_depth_is_limited() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(HostError):
        decode(deep)
    with pytest.raises(HostError):
        encode(deep)


def test_outputs_are_flattened_in_order() -> None:
    one, two, three = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    assert [t.numel() for t in flatten_outputs((one, [None, {"b": two, "a": (three,)}]))] == [1, 2, 3]
    with pytest.raises(HostError, match="returns a float"):
        flatten_outputs((one, 1.5))
