"""Modules whose Triton kernels differ in kind. As a program: interprets the kernels of all of them, or runs those of
every so many on a GPU, and prints what is wrong with which as JSON.

    TRITON_INTERPRET=1 python triton_modules.py FOLDER
    python triton_modules.py FOLDER FIRST EVERY
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import catalogue_both_ways
import torch
import torch.nn.functional as F
from catalogue_harness import Lambda, check, describe
from catalogue_modules import Module, _ints, _module, _positive, _x
from torch import nn

from kernelwright.proposers.catalogue import RENDERERS
from kernelwright.proposers.catalogue.module import write
from kernelwright.proposers.catalogue.program import Program, plan
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Graph, TaskInfo

H100 = TargetInfo(
    name="cuda",
    model="H100",
    cores=16,
    simd="sm_90",
    vector_bytes=16,
    l1_bytes=227 << 10,
    l2_bytes=50 << 20,
    l3_bytes=0,
    memory_bytes=80 << 30,
    key="any",
    multiprocessors=132,
)


def rotated_pairs(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of interleaved pairs."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def rotated_queries(x: torch.Tensor, w: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of a product's results, halves of which change places."""
    q = F.linear(x, w)
    a, b = q.chunk(2, -1)
    return q * cos + torch.cat((-b, a), -1) * sin


def doubled(x: torch.Tensor, mode: str) -> torch.Tensor:
    """Twice as many positions each way."""
    return F.interpolate(x, scale_factor=2, mode=mode)


def causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention to what comes before."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def grouped(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Causal attention of two heads to one of keys and values."""
    return causal(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))


def windowed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention to the 30 places before."""
    at = torch.arange(q.shape[1])
    apart = at[:, None] - at[None, :]
    scores = torch.where((apart >= 0) & (apart < 30), q @ k.mT / 6, float("-inf"))
    return scores.softmax(-1) @ v


def plain_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention."""
    return (q @ k.mT / 5).softmax(-1) @ v


def shifted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Weights that are no softmax: what is taken off the scores does not cancel out."""
    weights = (q @ k.mT / 5 - 3).exp()
    return (weights / (1 + weights.sum(-1, keepdim=True))) @ v


def very_low(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A mask of the lowest number; one row has nothing but it."""
    mask = mask | (torch.arange(48)[:, None] == 5)
    return (q @ k.mT / 5).masked_fill(mask, torch.finfo(torch.float32).min).softmax(-1) @ v


def _half(*shape: int) -> torch.Tensor:
    return _x(*shape, dtype=torch.float16)


def maximum_by_itself(x: torch.Tensor) -> Any:
    """A softmax, and how often its row's largest value comes."""
    most = x.amax(-1, keepdim=True)
    weight = (x - most).exp()
    return weight / weight.sum(-1, keepdim=True), (x == most).sum(-1)


def turned_gate(x: torch.Tensor, w: torch.Tensor, v: torch.Tensor) -> Any:
    """A gate that is a result as well, with its dimensions exchanged."""
    gate = x @ w
    return gate.T.contiguous(), F.silu(gate) * (x @ v)


def five_products(x: torch.Tensor, *w: torch.Tensor) -> Any:
    """More products than a tile can be halved for."""
    a, b, c, d, e = (x @ each for each in w)
    return a * b + c * d + e.sigmoid()


def gate_that_is_kept(x: torch.Tensor, w: torch.Tensor, v: torch.Tensor, scale: torch.Tensor) -> Any:
    """A gate that is a result as well, and a batch."""
    gate = F.linear(x, w)
    return gate, F.silu(gate) * F.linear(x, v) * scale


def gates_of_a_cell(x: torch.Tensor, h: torch.Tensor, w: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> Any:
    """Gates that two products are added up for."""
    i, f = (F.linear(x, w, bias) + F.linear(h, v)).chunk(2, -1)
    return torch.sigmoid(f) * torch.tanh(i)


def added_of_two_dtypes(x: torch.Tensor, w: torch.Tensor, y: torch.Tensor, v: torch.Tensor) -> Any:
    """A product of 16 bits and one of 32."""
    return x.float() @ w.float() + y @ v


def added_windows(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, v: torch.Tensor) -> Any:
    """Two convolutions that are added up."""
    return (F.conv2d(x, w) + F.conv2d(y, v)).relu()


def sum_before_one(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, v: torch.Tensor) -> Any:
    """A sum of two products, then one of these."""
    one = x @ w
    return one + y @ v, one


def sum_and_more(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, v: torch.Tensor) -> Any:
    """A sum of two products that goes into one of three, into a gate, and into something of more dimensions."""
    both = x @ w + y @ v
    return both.relu(), both + y @ w, both * (y @ w), both[:, None, :] * x[:, :2, None]


def sum_of_one_that_is_kept(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, v: torch.Tensor) -> Any:
    """A sum of two products of which one is a result as well."""
    one = x @ w
    return one, one + y @ v


def columns_beside_rows(x: torch.Tensor, columns_0: torch.Tensor) -> Any:
    """Rows that are normalised, and what they sum to, by an input whose name a kernel might take."""
    scaled = (x - x.mean(-1, keepdim=True)) * columns_0
    return scaled.softmax(-1), scaled.sum((0, 1)), (scaled * x).sum((0, 1)).sqrt().nan_to_num()


class Convolution(nn.Module):
    """A convolution by windows, and what follows it."""

    def __init__(
        self,
        dims: int,
        channels: int = 16,
        *,
        transposed: bool = False,
        window: int = 3,
        filters: int = 32,
        **options: Any,
    ) -> None:
        super().__init__()
        kind = getattr(nn, f"Conv{'Transpose' if transposed else ''}{dims}d")
        self.conv = kind(channels, filters, window, dtype=torch.float16, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The convolution, halved where it is negative."""
        return F.leaky_relu(self.conv(x), 0.5)


class GatedConvolution(nn.Module):
    """A convolution of whose results one half opens the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(32, 96, 3, dilation=2, dtype=torch.float16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """tanh(a) * sigmoid(b)."""
        a, b = self.conv(x).chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)


NOT_ON_A_GPU = frozenset({"pooled_whole_numbers"})
"""What torch has no kernel for there, and the catalogue leaves to it."""
NAN = torch.tensor([[1.0, float("nan")], [2.0, 3.0]])
MODULES: list[Module] = [
    ("broadcast", lambda x, y: torch.where(x > 0, x * y, x.exp()), (_x(5, 7, 9), _x(7, 1))),
    ("transposed", lambda x, y: x.T + y, (_x(9, 33), _x(33, 9))),
    ("few_transposed", lambda x, y: x.T + y, (_x(9, 3), _x(3, 9))),
    ("pairs", rotated_pairs, (_half(2, 3, 20, 16), _half(20, 8), _half(20, 8))),
    ("pairs_of_odd_rows", rotated_pairs, (_x(3, 5, 6), _x(5, 3), _x(5, 3))),
    ("functions", lambda x: (x.tanh(), x.expm1(), x.log1p(), x.round(), torch.fmod(x, 0.7)), (_positive(40),)),
    ("gelu", F.gelu, (_x(40),)),
    ("gelu_of_a_matrix", F.gelu, (_half(30, 40),)),
    ("softmax", lambda x: x.softmax(-1), (_half(6, 100),)),
    ("layer_norm", _module(nn.LayerNorm(60)), (_x(6, 60),)),
    ("nan", lambda x: (x.amax(-1), x.clamp(min=0)), (NAN,)),
    ("nan_beside_the_largest", lambda x: (x - x.amax(-1, keepdim=True), x.softmax(-1)), (NAN,)),
    ("columns", lambda x: (x.std(0), x.argmax(0)), (_x(70, 20),)),
    ("few_columns", lambda x: (x.mean(0), x.var(0)), (_x(9000, 4),)),
    ("batch_norm", nn.BatchNorm2d(3), (_x(4, 3, 20, 20),)),
    ("long_rows", lambda x: (x.log_softmax(-1), x.argmin(-1)), (_half(2, 20000),)),
    ("rows_of_several_blocks", lambda x, w: x.softmax(-1) * w + x.mean(1, True), (_half(264, 20000), _x(20000))),
    ("groups_of_several_blocks", nn.GroupNorm(33, 99), (_half(8, 99, 75, 75),)),
    ("long_rows_of_whole_blocks", lambda x: x.log_softmax(-1), (_half(2, 20480),)),
    ("equal_along_rows", lambda x: x.expand(2, 20000).log_softmax(-1), (_half(2, 1),)),
    ("maximum_by_itself", maximum_by_itself, (_half(2, 20000).clamp(max=14).index_fill(1, torch.tensor([7, 99]), 15),)),
    ("one_sum", F.mse_loss, (_x(40, 600), _x(40, 600, seed=1))),
    ("one_logarithm", lambda x: x.logsumexp(-1), (_x(1, 40000),)),
    ("one_logarithm_of_halves", lambda x: x.logsumexp(-1), (_half(1, 40000) * 100,)),
    ("cross_entropy", F.cross_entropy, (_half(5, 20000), _ints(20000, 5))),
    ("pooled", lambda x: F.max_pool2d(x, 3, 2, 1).softmax(1), (_x(2, 3, 8, 10),)),
    ("linear_gelu", lambda x, w, b: F.gelu(F.linear(x, w, b)), (_half(4, 18, 130), _half(100, 130), _half(100))),
    ("many_tiles", lambda x, y: F.gelu(x @ y), (_half(300, 40) * 3, _half(40, 600))),
    ("turned", lambda x, y: x.T @ y, (_half(48, 70), _half(48, 100))),
    ("half_batched", lambda x, y: x @ y.mT, (_half(3, 40, 50), _half(3, 60, 50))),
    ("half_batched_down", lambda x, y: x @ y, (_half(3, 40, 50), _half(3, 50, 60))),
    ("half_residual", lambda x, w: x @ w + x, (_half(40, 64), _half(64, 64))),
    ("batched", lambda x, y: torch.relu(x) @ y, (_x(3, 40, 50), _x(3, 50, 60))),
    ("shared_steps", lambda x, y: x.T @ y, (_x(5000, 40), _x(5000, 24))),
    ("shared_steps_of_a_batch", lambda x, y, z: torch.relu(x @ y) + z, (_x(2, 20, 2500), _x(2, 2500, 30), _x(30))),
    ("shared_steps_of_halves", lambda x, y: F.gelu(x.T @ y), (_half(9000, 70) / 9, _half(9000, 48) / 9)),
    ("gated", lambda x, w, v: F.silu(x @ w) * (x @ v), (_x(64, 64), _x(64, 96), _x(64, 96, seed=1))),
    ("gated_halves", lambda x, w, v: F.silu(x @ w.T) * (x @ v.T), (_half(200, 40), _half(300, 40), _half(300, 40))),
    ("gates_and_bias", lambda x, a, b, c: F.gelu(x @ a + c) * (x @ b) + x @ b.T, (*[_half(64, 64)] * 3, _half(64))),
    ("gate_of_others", lambda x, y, w: F.silu(x @ w) * (y @ w), (_half(48, 64), _half(48, 64), _half(64, 80))),
    ("added", gates_of_a_cell, (_half(200, 40), _half(200, 72), _half(96, 40), _half(96, 72), _half(96))),
    ("added_exact", lambda x, y, w, v: (x @ w + 1 + (y @ w + y @ v)).relu(), (*[_x(3, 48, 64)] * 2, *[_x(64, 70)] * 2)),
    ("added_and_doubled", lambda x, y, w: F.silu(x @ w + x @ w + y @ w), (*[_half(48, 64)] * 2, _half(64, 80))),
    ("added_and_taken_off", lambda x, y, w: F.silu(x @ w - y @ w), (*[_half(48, 64)] * 2, _half(64, 80))),
    ("added_before_one", sum_before_one, (*[_half(48, 64)] * 2, *[_half(64, 80)] * 2)),
    ("added_and_more", sum_and_more, (*[_half(48, 64)] * 2, *[_half(64, 80)] * 2)),
    ("added_of_two_dtypes", added_of_two_dtypes, (_half(48, 64), _half(64, 80), _x(48, 64), _x(64, 80))),
    ("added_shares", lambda x, y, w: x.T @ w + y.T @ w, (_x(5000, 40), _x(5000, 40, seed=1), _x(5000, 24))),
    ("added_windows", added_windows, (*[_half(2, 16, 7, 9)] * 2, *[_half(24, 16, 3, 3)] * 2)),
    ("added_and_kept", sum_of_one_that_is_kept, (*[_half(48, 64)] * 2, *[_half(64, 80)] * 2)),
    ("gate_that_is_kept", gate_that_is_kept, (_half(3, 40, 64), _half(80, 64), _half(80, 64), _half(3, 40, 1))),
    ("gate_beside_its_turned_side", turned_gate, (_half(64, 64), _half(64, 96), _half(64, 96))),
    ("five_products", five_products, (_half(64, 64), *[_half(64, 96)] * 5)),
    ("attention", lambda q, k, v: (q @ k.mT / 5).softmax(-1) @ v, (_x(2, 48, 32), _x(2, 40, 32), _x(2, 40, 32))),
    ("causal", causal, (_half(2, 3, 70, 32), _half(2, 3, 70, 32), _half(2, 3, 70, 32))),
    ("causal_whole_blocks", causal, (_half(1, 2, 256, 16), _half(1, 2, 256, 16), _half(1, 2, 256, 16))),
    ("grouped", grouped, (_half(2, 4, 48, 24), _half(2, 2, 48, 24), _half(2, 2, 48, 24))),
    ("masked", F.scaled_dot_product_attention, (*(_half(2, 3, 48, 32),) * 3, _ints(2, 48, 48) > 0)),
    ("windowed", windowed, (_half(2, 100, 32), _half(2, 100, 32), _half(2, 100, 20))),
    ("half_attention", lambda q, k, v: (q @ k.mT / 5).softmax(-1) @ v + 1, (_half(6, 128, 32),) * 3),
    ("no_softmax", shifted, (_half(3, 48, 32),) * 3),
    ("very_low", very_low, (*(_x(2, 48, 32),) * 3, _ints(2, 48, 48) > 0)),
    ("heads_of_keys", plain_attention, (_half(2, 3, 48, 32), _half(2, 3, 40, 32), _half(2, 1, 40, 24))),
    ("windows", Convolution(2, padding=1), (_half(2, 16, 9, 11),)),
    ("exact_windows", lambda x, w: F.conv2d(x, w).relu(), (_x(2, 8, 7, 9), _x(4, 8, 3, 3))),
    ("windows_apart", Convolution(2, stride=(2, 1), dilation=2, groups=2), (_half(2, 16, 13, 12),)),
    ("windows_of_one", F.conv2d, (_half(2, 24, 7, 9), _half(20, 24, 1, 1))),
    ("windows_of_eight_channels", Convolution(3, 8, padding=1), (_half(1, 8, 5, 6, 12),)),
    ("windows_in_three_dimensions", Convolution(3, padding=1), (_half(1, 16, 3, 9, 12),)),
    ("windows_of_groups", Convolution(2, 32, stride=2, padding=1, groups=2), (_half(2, 32, 21, 24),)),
    ("gate_of_windows", GatedConvolution(), (_half(2, 32, 130),)),
    ("gate_of_halves", lambda x, w, b: F.glu(F.linear(x, w, b)), (_half(60, 64), _half(192, 64), _half(192))),
    ("exact_gate_of_halves", lambda x, w: F.glu(F.linear(x, w)), (_x(60, 64), _x(192, 64))),
    ("gates_that_part", lambda x, w: tuple(F.linear(x, w).chunk(2, -1)), (_half(60, 64), _half(192, 64))),
    ("windows_of_one_sound", Convolution(1, 48), (_half(1, 48, 130),)),
    ("windows_turned_by_two", Convolution(2, window=2, transposed=True, stride=2), (_half(2, 16, 10, 12),)),
    ("windows_turned_at_once", Convolution(2, window=4, transposed=True, stride=2), (_half(2, 16, 10, 12),)),
    ("part_of_a_weight", lambda x, w: F.linear(x, w[3:120]), (_half(60, 64), _half(130, 64))),
    ("one_of_several_weights", lambda x, w: F.linear(x, w[1]), (_half(60, 64), _half(3, 100, 64))),
    ("turned_and_kept", rotated_queries, (_half(60, 64), _half(128, 64), _half(60, 128), _half(60, 128))),
    ("windows_of_48_channels", Convolution(1, 48, dilation=3), (_half(2, 48, 130),)),
    ("windows_turned", Convolution(2, transposed=True, stride=2, padding=1), (_half(2, 16, 6, 7),)),
    ("windows_turned_unevenly", Convolution(2, transposed=True, stride=2), (_half(2, 16, 6, 7),)),
    ("windows_turned_evenly", Convolution(2, window=4, transposed=True, stride=2, padding=1), (_half(2, 16, 10, 12),)),
    ("windows_turned_along_one", Convolution(1, window=4, transposed=True, stride=2, padding=1), (_half(2, 16, 100),)),
    ("windows_by_channel", Convolution(1, padding=2, groups=16), (_half(2, 16, 50),)),
    ("wide_results", lambda x, w: torch.sigmoid(x.float()) @ w.float(), (_half(64, 48), _half(48, 64))),
    ("whole_numbers", lambda x, w: x.float() @ w.float(), (_ints(9, 64, 48), _ints(9, 48, 64))),
    ("pooled_alone", lambda x: F.max_pool2d(x, 3, 2, 1) + 1, (_x(2, 3, 18, 40),)),
    ("enlarged", lambda x: F.silu(F.interpolate(x, scale_factor=2, mode="nearest")), (_half(2, 3, 9, 11),)),
    ("doubled", lambda x, y: doubled(x, "bilinear") * y, (_half(2, 3, 9, 11), _half(18, 22))),
    ("doubled_twice", lambda x: doubled(doubled(x, "bilinear"), "bilinear"), (_half(2, 3, 5, 7),)),
    ("doubled_shuffled", lambda x: doubled(F.pixel_shuffle(x, 2), "bilinear"), (_half(2, 8, 5, 7),)),
    ("doubled_windows", lambda x, w: doubled(F.conv2d(x, w), "bilinear"), (_half(2, 16, 9, 9), _half(8, 16, 3, 3))),
    ("doubled_along_one", lambda x: doubled(x, "linear"), (_half(2, 3, 40),)),
    ("doubled_across", lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear"), (_half(2, 3, 5, 13),)),
    ("doubled_in_three_dimensions", lambda x: doubled(x, "trilinear"), (_half(1, 2, 3, 4, 5),)),
    ("doubled_before_windows", lambda x: F.max_pool2d(doubled(x, "bilinear"), 3), (_half(2, 3, 9, 12),)),
    ("resized", lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), (_half(2, 3, 9, 11),)),
    ("scaled_by_groups", lambda x, scale: x.view(5, 3, 70) * scale[:, :, None], (_half(5, 210), _half(5, 3))),
    ("names", lambda row, w: torch.relu(row.permute(1, 0, 2)) @ w, (_x(12, 10, 48), _x(48, 64))),
    ("lowest_rows", lambda x: x.log_softmax(-1), (torch.full((2, 20000), torch.finfo(torch.float32).min),)),
    ("running", lambda x: x.cumsum(-1) + 1, (_x(5, 40),)),
    ("running_products", lambda x: x.cumprod(1) - x, (_positive(5, 40).half(),)),
    ("running_down", lambda x: x.cumsum(0) + 1, (_x(200, 37),)),
    ("running_up", lambda x: x.flip(0).cumprod(0).flip(0), (_positive(150, 5).half(),)),
    ("running_down_twice", lambda x: x.cumsum(1).cumsum(1) / x.sum(1, keepdim=True), (_positive(3, 150, 7),)),
    ("running_numbers", lambda x: torch.ones(150, 1).cumsum(0) * x, (_x(150, 7),)),
    ("running_counts_down", lambda x: (x > 0).cumsum(0), (_x(300, 7),)),
    ("running_up_beside_a_place", lambda x: (x.flip(0).cumsum(0).flip(0), x.round().argmax(0)), (_x(300, 7),)),
    ("running_along_long_rows", lambda x: x.cumsum(1) / 3, (_x(512, 16400).round(),)),
    ("running_back_along_long_rows", lambda x: x.flip(1).cumsum(1).flip(1), (_x(512, 16400).round(),)),
    ("running_along_one", lambda x: x.cumsum(0) + 1, (_x(20000),)),
    ("running_backward", lambda x: x.flip(1).cumsum(1).flip(1), (_x(5, 77),)),
    ("running_counts", lambda x: (x > 0).cumsum(-1), (_x(5, 77),)),
    ("running_share", lambda x: x.cumsum(-1) / x.sum(-1, keepdim=True), (_positive(5, 40),)),
    ("running_twice", lambda x: x.softmax(-1).cumsum(-1).cumsum(-1) * 2, (_x(5, 40),)),
    ("running_turned", lambda x: x.T.cumsum(-1), (_x(40, 50),)),
    ("running_then_down", lambda x: (x.cumsum(-1).sum(0), x.softmax(-1)), (_x(30, 40),)),
    ("columns_beside_rows", columns_beside_rows, (_x(7, 90, 40), _x(7, 90, 1))),
    ("norms_of_doubles", lambda x: x / x.norm(dim=-1, keepdim=True), (_x(6, 60).double(),)),
    ("columns_of_doubles", lambda x: (x * x.sum(1, keepdim=True), (x * x).sum(0)), (_x(30, 40, dtype=torch.float64),)),
    ("running_to_go", lambda x: x.cumsum(1).amax(1, keepdim=True) - x.cumsum(1), (_positive(5, 40),)),
    ("a_number_a_long_row", lambda x, a: a / (1 + x * x), (_half(2, 530, 1), _half(2, 530, 17000))),
    ("beside_rounding", lambda x: (x.softmax(-1).log(), x.round()), (_x(4, 35) * 8,)),
    ("decided_by_a_sigmoid", lambda x, y: torch.where(x.relu().sigmoid() > 0.5, y, -y), (_half(5, 40), _half(5, 40))),
    ("softplus", lambda x: F.logsigmoid(x * 9) + x.tanh() * x.exp(), (_x(5, 40),)),
    ("a_cell_of_halves", lambda x, y: x.sigmoid() * y.tanh() + F.logsigmoid(y), (_half(5, 40) * 9, _half(5, 40))),
    ("pooled_whole_numbers", lambda x: F.max_pool2d(x, 3, 1) * 2, (_ints(90, 3, 9, 12),)),
    ("gate_by_tanh", lambda x, y: 0.5 * x * (1 + torch.tanh(0.8 * x)) * y, (_half(5, 40), _half(5, 40))),
]  # fmt: skip


SEVERAL_AT_ONCE: list[Module] = [
    ("one_below_the_other", Convolution(2, window=3, padding=1, groups=16, filters=16), (_half(1, 16, 14, 40),)),
    ("an_uneven_number_below", Convolution(2, window=5, groups=16, filters=16), (_half(1, 16, 19, 40),)),
    ("long_windows_below", Convolution(2, window=7, padding=3, groups=16, filters=16), (_half(1, 16, 15, 36),)),
    ("every_other_one_below", lambda x: F.max_pool2d(x, 3, 2, 1) * 2, (_x(1, 9, 62, 66),)),
    ("only_rows", lambda x: F.max_pool2d(x, 3, 1)[0], (_x(1, 96, 92),)),
    ("a_number_a_row_below", lambda x, y: F.avg_pool2d(x, 3, 1) + y, (_x(9, 31, 36), _x(29, 1))),
    ("windows_in_windows", lambda x: F.avg_pool2d(F.max_pool2d(x, 2, 1), 2) + 1, (_x(9, 63, 73),)),
    ("windows_apart_below", lambda x: F.avg_pool2d(x, 3) + 1, (_x(9, 93, 111),)),
    ("two_results_below", lambda x: (-F.max_pool2d(x, 3, 1), F.max_pool2d(x, 3, 1).exp()), (_x(9, 31, 36),)),
]
"""Of which a small device makes several results one below the other."""


def programmed(
    model: Any, inputs: tuple[Any, ...], target: TargetInfo | None = None
) -> tuple[nn.Module, TaskInfo, Program]:
    """A module, what is known of it, and the catalogue's kernels for an H100 or another device."""
    model = model if isinstance(model, nn.Module) else Lambda(model)
    info, graph = describe(model, inputs)
    return model, info, planned(graph, target)


def planned(graph: Graph, target: TargetInfo | None = None) -> Program:
    """The catalogue's kernels for an H100 or another device."""
    return plan(graph, target or H100, RENDERERS["triton"])


def loaded(source: str, folder: Path, name: str) -> Any:
    """A candidate as a module: Triton reads the text of kernels from their file."""
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def few_programs(module: Any) -> Any:
    """The candidate with two programs for what goes from tile to tile or from row to row, so that each has several."""
    for number in module.PARAMS:
        if number.startswith("PROGRAMS"):
            module.PARAMS[number] = 2
    return module


class OnGpu(nn.Module):
    """A candidate that computes on a GPU what it is given on the CPU."""

    def __init__(self, candidate: nn.Module) -> None:
        super().__init__()
        self.candidate = candidate.cuda()

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The candidate's results."""
        results = self.candidate(*(each.cuda() for each in inputs))
        return tuple(each.cpu() for each in results) if isinstance(results, (tuple, list)) else results.cpu()

    def state_dict(self, *_args: Any, **_kwargs: Any) -> dict[str, torch.Tensor]:
        """The candidate's state."""
        return {name: value.cpu() for name, value in self.candidate.state_dict().items()}


def _checked(folder: Path, jobs: Iterable[tuple[Module, TargetInfo]], *, on_gpu: bool) -> dict[str, str]:
    """What is wrong with which of these modules."""
    wrong = {}
    for (name, function, inputs), target in jobs:
        model, info, program = programmed(function, inputs, target)
        module = few_programs(loaded(write(program, info), folder, f"candidate_{name}"))
        candidate = module.ModelNew()
        candidate.load_state_dict(model.state_dict())
        candidate.train(model.training)
        try:
            check(model, OnGpu(candidate) if on_gpu else candidate, inputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be checked too
            wrong[name] = repr(error)
    return wrong


def main(folder: Path, part: slice | None = None) -> None:
    """Checks every module, or a part of them on a GPU."""
    small = H100.model_copy(update={"multiprocessors": 1})
    jobs = [*((each, H100) for each in MODULES), *((each, small) for each in SEVERAL_AT_ONCE)]
    if part is not None:
        jobs = [job for job in jobs if job[0][0] not in NOT_ON_A_GPU]
        print(json.dumps(_checked(folder, jobs[part], on_gpu=True)))
        return
    wrong = _checked(folder, jobs, on_gpu=False)
    for name, both_ways in catalogue_both_ways.MODULES.items():
        both = catalogue_both_ways.both_ways(*both_ways)
        module = few_programs(
            loaded(write(planned(both.graph), both.info), folder, f"both_ways_{name.replace(' ', '_')}")
        )
        try:
            both.check(module.ModelNew())
        except Exception as error:  # noqa: BLE001
            wrong[f"{name}, both ways"] = repr(error)
    print(json.dumps(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]), slice(int(sys.argv[2]), None, int(sys.argv[3])) if sys.argv[2:] else None)
