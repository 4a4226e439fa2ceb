"""Small modules in every shape of trouble: what the bulk test runs through the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Module = tuple[str, Callable[..., Any] | nn.Module, tuple[Any, ...]]


def _x(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(dtype)


def _positive(*shape: int) -> torch.Tensor:
    return _x(*shape).abs() + 0.1


def _ints(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(high))


def _module(module: nn.Module, training: bool = True) -> nn.Module:
    for index, parameter in enumerate(module.parameters()):
        parameter.data = _x(*parameter.shape, seed=index) * 0.5 + 0.7
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(_positive(*buffer.shape) if "var" in name else _x(*buffer.shape))
    return module.train(training)


def _rotate(q: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = q.shape[-1] // 2
    return q * cos + torch.cat((-q[..., half:], q[..., :half]), -1) * sin


class Twice(nn.Module):
    """Nested state, shared work, a library call in the middle, and several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 12))
        self.norm = nn.LayerNorm(12)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = x + self.inner(self.norm(x))
        return h, torch.softmax(h, -1)


class LeastOfGroups(nn.Module):
    """Statistics of groups that a reduction over other axes needs."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, 24)
        self.bias = nn.Parameter(torch.ones(1, 24, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.min(self.norm(x), dim=1, keepdim=True)[0] + self.bias


class PooledPhases(nn.Module):
    """A transposed convolution, whose positions are two axes, normalised and pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
        self.norm = nn.LayerNorm(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(F.avg_pool2d(self.norm(self.conv(x)), 2))


ELEMENTWISE: list[Module] = [
    ("add", lambda x, y: x + y, (_x(7, 33), _x(7, 33, seed=1))),
    ("alpha", lambda x, y: torch.add(x, y, alpha=3) - torch.sub(x, y, alpha=0.5), (_x(5, 9), _x(5, 9, seed=1))),
    ("row_broadcast", lambda x, y: x * y, (_x(6, 17), _x(17))),
    ("column_broadcast", lambda x, y: x / y, (_x(6, 17), _positive(6, 1))),
    ("both_broadcast", lambda x, y: x - y, (_x(6, 1, 5), _x(4, 1))),
    ("scalar_tensor", lambda x, y: x * y + 1, (_x(3, 5), torch.tensor(2.5))),
    ("least_of_groups", _module(LeastOfGroups()), (_x(8, 24),)),
    ("averaged_softmax", lambda x, w: x.softmax(-1).mean(0)[:, None] * w, (_x(6, 10), _x(10, 5))),
    ("pooled_phases", _module(PooledPhases()), (_x(2, 3, 5, 6),)),
    ("one_hot", lambda x, i: torch.zeros_like(x).scatter(1, i, 2.0) * x, (_x(6, 17), _ints(17, 6, 1))),
    ("put_in_place", lambda x, i, v: x.scatter(-1, i, v), (_x(4, 6, 17), _ints(17, 4, 6, 1), _x(4, 6, 1))),
    ("zero_dim", lambda x: torch.exp(x) * 2, (torch.tensor(0.3),)),
    ("size_one", lambda x: torch.relu(x) + 1, (_x(1, 1, 1),)),
    ("size_one_dims", lambda x, y: x + y, (_x(1, 9, 1, 3), _x(2, 1, 4, 1))),
    ("odd_rank_five", lambda x: torch.tanh(x).abs(), (_x(2, 3, 1, 5, 7),)),
    ("exponentials", lambda x: torch.exp(x) + torch.expm1(x) + torch.sigmoid(x), (_x(3, 41) * 5,)),
    ("logarithms", lambda x: torch.log(x) + torch.log1p(x) + torch.log2(x) - torch.log10(x), (_positive(3, 41),)),
    ("rare", lambda x: torch.sin(x) + torch.cos(x) + torch.atan(x) + torch.erfc(x) + torch.sinh(x), (_x(3, 21),)),
    (
        "roots",
        lambda x: torch.sqrt(x) + torch.rsqrt(x) + x.reciprocal() + x**-2 + x**3 + x**0.5 + x**1.7,
        (_positive(5, 19),),
    ),
    (
        "rounding",
        lambda x: (torch.round(x), torch.floor(x), torch.ceil(x), torch.trunc(x), torch.sign(x)),
        (_x(4, 30) * 4,),
    ),
    ("gate_by_tanh", lambda x: (0.5 * x * (1 + torch.tanh(0.8 * x)), (x.tanh() + 1) * x.tanh()), (_x(4, 35) * 3,)),
    ("gelu", lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"), (_x(4, 35) * 3,)),
    ("mish", lambda x: F.mish(x) + F.softplus(x), (_x(4, 35) * 10,)),
    ("swish_family", lambda x: F.silu(x) + F.hardswish(x) + F.hardsigmoid(x) + F.softsign(x), (_x(4, 35) * 4,)),
    (
        "elu_family",
        lambda x: F.elu(x, 0.7) + F.selu(x) + F.celu(x) + F.leaky_relu(x, 0.2) + F.logsigmoid(x),
        (_x(4, 35) * 3,),
    ),
    ("clamp", lambda x: (x.clamp(-0.5, 0.5), x.clamp(min=0.1), x.clamp_max(0.2), F.hardtanh(x)), (_x(4, 10),)),
    ("extrema", lambda x, y: torch.maximum(x, y) - torch.minimum(x, y * 2), (_x(8, 5), _x(5))),
    ("where", lambda x, y: torch.where(x > y, x, y.neg()), (_x(8, 5), _x(8, 5, seed=2))),
    ("masked_fill", lambda x, m: x.masked_fill(m, float("-inf")), (_x(4, 6), _ints(2, 4, 6).bool())),
    (
        "comparisons",
        lambda x, y: (x < y, x <= y, x == x, (x > 0) & (y > 0), ~(x > 0) | (y >= 0), x.isnan()),
        (_x(5, 7), _x(5, 7, seed=3)),
    ),
    ("int_arithmetic", lambda a, b: (a + b * 3 - 1, a > b, torch.maximum(a, b)), (_ints(50, 5, 9), _ints(60, 9))),
    ("int_and_float", lambda x, a: x * a + a, (_x(5, 9), _ints(50, 5, 9))),
    ("bool_and_float", lambda x, m: x * m, (_x(5, 9), _ints(2, 5, 9).bool())),
    ("int32", lambda a: a * 2 + 1, (_ints(9, 3, 11).int(),)),
    (
        "double",
        lambda x, y: torch.exp(-x * x) + torch.maximum(x, y) + (x > y),
        (_x(5, 19, dtype=torch.float64), _x(19, dtype=torch.float64)),
    ),
    ("float_and_double", lambda x, y: x + y, (_x(5, 19), _x(19, dtype=torch.float64))),
    (
        "bfloat16",
        lambda x, y: torch.sigmoid(x) * y + 1,
        (_x(5, 19, dtype=torch.bfloat16), _x(5, 19, dtype=torch.bfloat16)),
    ),
    ("float16", F.silu, (_x(5, 19, dtype=torch.float16),)),
    ("half_and_float", lambda x, y: x.float() * y, (_x(5, 19, dtype=torch.bfloat16), _x(5, 19))),
    ("to_int8", lambda x: torch.clamp(torch.round(x * 40), -128, 127).to(torch.int8), (_x(4, 21),)),
    ("from_int8", lambda q, s: q.to(torch.float32) * s, (_ints(100, 4, 21).to(torch.int8), _positive(4, 1))),
    ("uint8", lambda q: q.float() / 255 - 0.5, (_ints(256, 3, 8, 9).to(torch.uint8),)),
    (
        "addcmul",
        lambda x, y, z: torch.addcmul(x, y, z, value=0.3) + torch.addcdiv(x, y, z.abs() + 1) + torch.lerp(x, y, 0.2),
        (_x(4, 9), _x(4, 9, seed=1), _x(4, 9, seed=2)),
    ),
    (
        "adam",
        lambda p, g, m, v: (
            p - 1e-3 * (0.9 * m + 0.1 * g) / ((0.99 * v + 0.01 * g * g).sqrt() + 1e-8),
            0.9 * m + 0.1 * g,
        ),
        (_x(99), _x(99, seed=1), _x(99, seed=2), _positive(99)),
    ),
    (
        "special_values",
        lambda x: (torch.relu(x), x.clamp(-1, 1), torch.exp(x), torch.tanh(x), torch.sigmoid(x)),
        (torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e-40, 88.8, -103.0, 3e38]),),
    ),
    (
        "names_that_mean_something",
        lambda log, exp, n, F_, d0: log + exp * n - F_ / d0,
        tuple(_positive(3, 9) + i for i in range(5)),
    ),
]

VIEWS: list[Module] = [
    ("transpose", lambda x: x.T + 1, (_x(5, 19),)),
    ("with_transpose", lambda x: x + x.T, (_x(13, 13),)),
    ("heads", lambda x: (x.view(2, 5, 3, 4).transpose(1, 2) * 2).contiguous(), (_x(2, 5, 12),)),
    ("merge", lambda x, y: x.reshape(-1, 6) * y, (_x(4, 3, 6), _x(6))),
    ("split_and_merge", lambda x: F.relu(x.view(3, -1, 4)).reshape(6, -1), (_x(3, 8),)),
    ("chunk", lambda x: F.silu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1], (_x(5, 26),)),
    ("slice", lambda x: x[:, 1:] - x[:, :-1], (_x(5, 17),)),
    ("strided_slice", lambda x: x[::2, 1::3] * 2, (_x(8, 17),)),
    ("select", lambda x: x[1] + x[-1] * x[:, 2], (_x(9, 9),)),
    ("unsqueeze", lambda x, y: x[:, None, :] * y[None, :, :], (_x(5, 6), _x(4, 6))),
    ("expand", lambda x: x.expand(4, 3, 7) + 1, (_x(3, 1),)),
    ("expand_output", lambda x: (x * 2).expand(4, 3, 7), (_x(3, 1),)),
    ("rotary", _rotate, (_x(2, 3, 5, 8), _x(5, 8), _x(5, 8, seed=1))),
    (
        "rotary_pairs",
        lambda x, c, s: torch.stack(
            (x[..., 0::2] * c - x[..., 1::2] * s, x[..., 0::2] * s + x[..., 1::2] * c), -1
        ).flatten(-2),
        (_x(2, 5, 8), _x(5, 4), _x(5, 4, seed=1)),
    ),
    ("tril", lambda x: x.tril(), (_x(6, 9),)),
    ("causal", lambda x: x.masked_fill(torch.ones(6, 6).triu(1).bool(), float("-inf")).softmax(-1), (_x(2, 6, 6),)),
    ("flip_flop", lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0) * 3, (_x(2, 3, 5),)),
    ("arange", lambda x: x * torch.arange(9) + torch.arange(0, 18, 2, dtype=torch.float32), (_x(4, 9),)),
    ("gather", lambda x, i: torch.exp(x).gather(1, i), (_x(5, 9), _ints(9, 5, 4))),
    ("embedding", lambda w, i: F.embedding(i, w) * 2, (_x(9, 17), _ints(9, 3, 4))),
    ("cat_scalars", lambda x, y: torch.cat([x, y], 1) + 1, (_x(3, 4), _x(3, 5))),
    ("outer_products", lambda x: x[:, None] * x[None, :], (_x(11),)),
]


def _below(x: torch.Tensor) -> torch.Tensor:
    """Sums of columns without what lies where a place counts twice."""
    rows = torch.arange(x.shape[0])[:, None]
    return x.masked_fill(torch.arange(x.shape[1]) - rows < rows, 0).sum(0)


REDUCTIONS: list[Module] = [
    ("sum_last", lambda x: x.sum(-1), (_x(7, 133),)),
    ("sum_keepdim", lambda x: x.sum(1, keepdim=True), (_x(7, 33),)),
    ("sum_all", lambda x: x.sum(), (_x(7, 333),)),
    ("sum_first", lambda x: x.sum(0), (_x(300, 33),)),
    ("sum_middle", lambda x: x.sum(1), (_x(3, 140, 9),)),
    ("sum_two", lambda x: x.sum((0, 2)), (_x(3, 4, 50),)),
    ("sum_outer_two", lambda x: x.sum((0, 1)), (_x(3, 40, 5),)),
    ("sum_apart", lambda x: x.sum((0, 3)), (_x(3, 4, 2, 50),)),
    ("sum_bool", lambda x: (x > 0).sum(-1), (_x(7, 33),)),
    ("sum_int", lambda a: (a.sum(-1), a.sum()), (_ints(99, 7, 33),)),
    ("sum_bfloat16", lambda x: x.sum(-1), (_x(7, 33, dtype=torch.bfloat16),)),
    ("sum_to_double", lambda x: x.sum(-1, dtype=torch.float64), (_x(7, 33),)),
    ("prod", lambda x: (x.prod(-1), x.prod(0), x.prod()), (_positive(4, 9),)),
    ("columns_of_many_rows", lambda x: (x.amax(0), x.amin(0), x.prod(0), x.sum(0)), (1 + _x(50, 35) / 20,)),
    ("columns_of_ints", lambda a: (a.sum(0), a.amax(0)), (_ints(99, 50, 33),)),
    ("columns_apart", lambda x: (x.sum((0, 2)), x.amax((0, 2))), (_x(3, 4, 50, 32),)),
    ("columns_of_rows_by_index", lambda x, i: (x[i].sum(0), x[i].amax(0)), (_x(9, 35), _ints(9, 60))),
    ("columns_of_few_rows", lambda x: (x.sum(0), x.square().mean(0)), (_x(3, 35),)),
    ("columns_by_place", _below, (_x(40, 35),)),
    ("mean", lambda x: (x.mean(), x.mean(0), x.mean(-1, keepdim=True)), (_x(9, 35),)),
    ("amax", lambda x: (x.amax(-1), x.amin(0), x.amax(), x.amin((0, 1))), (_x(9, 35),)),
    ("max_dim", lambda x: (*x.max(1), *x.min(0)), (_x(9, 35),)),
    ("argmax", lambda x: (x.argmax(-1), x.argmin(0), x.argmax(), x.argmin(1, keepdim=True)), (_x(9, 35),)),
    ("argmax_ties", lambda a: (a.argmax(-1), a.argmin(0), a.argmax()), (_ints(3, 9, 35).float(),)),
    (
        "softmax_nan",
        lambda x: (x.softmax(-1), x - x.amax(-1, keepdim=True), x.log_softmax(0)),
        (torch.where(_x(5, 40) > 1.8, float("nan"), _x(5, 40)),),
    ),
    (
        "argmax_nan",
        lambda x: (x.argmax(-1), x.amax(-1), x.max(0).values),
        (torch.where(_x(5, 20) > 1.2, float("nan"), _x(5, 20)),),
    ),
    ("argmax_of_infinities", lambda x: x.argmax(-1), (torch.full((3, 20), -float("inf")),)),
    ("any_all", lambda x: ((x > 2).any(-1), (x > -3).all(0), (x > 9).any()), (_x(9, 35),)),
    (
        "var_std",
        lambda x: (x.var(-1), x.std(0), x.var(), x.var(-1, correction=0), x.std(1, keepdim=True)),
        (_x(9, 35) + 100,),
    ),
    (
        "norms",
        lambda x: (
            x.norm(dim=-1),
            x.norm(),
            x.norm(p=1, dim=0),
            x.abs().amax(-1),
            torch.linalg.vector_norm(x, float("inf")),
        ),
        (_x(9, 35),),
    ),
    ("logsumexp", lambda x: (x.logsumexp(-1), x.logsumexp(0)), (_x(9, 35),)),
    ("size_one_row", lambda x: (x.sum(-1), x.softmax(-1), x.mean(-1)), (_x(9, 1),)),
    ("zero_dim_sum", lambda x: x.sum() + x.mean(), (torch.tensor(3.0),)),
    ("of_broadcast", lambda x, y: (x * y).sum(-1), (_x(9, 1), _x(35))),
    ("then_rows", lambda x: x.sum(1).softmax(0), (_x(30, 40),)),
    ("rows_and_columns", lambda x: x / x.sum(1, keepdim=True) / x.sum(0), (_positive(9, 35),)),
    ("double_softmax", lambda x: x.softmax(-1).softmax(0), (_x(9, 35),)),
    ("sum_of_softmax", lambda x: x.softmax(-1).log().sum(0).mean(), (_x(9, 35),)),
    ("scalar_then_map", lambda x: x / x.norm() + x.mean(), (_x(40, 35),)),
    ("variance_of_sums", lambda x: x.sum(-1).var(), (_x(40, 35),)),
    ("mean_of_column_stds", lambda x: x.std(0).mean(), (_x(40, 35),)),
    ("mean_of_tiles", lambda x: x.std(1).mean(), (_x(4, 20, 35),)),
    ("argmax_of_rows", lambda x: x.sum(-1).argmax(), (_x(40, 35),)),
    ("sort_stays", lambda x: torch.relu(x).sort(-1).values * 2, (_x(4, 35),)),
]

NORMS: list[Module] = [
    ("softmax", lambda x: (x * 0.3).softmax(-1), (_x(9, 77),)),
    ("softmax_first", lambda x: x.softmax(0), (_x(19, 77),)),
    ("softmax_middle", lambda x: x.softmax(1) * 2, (_x(3, 19, 70),)),
    ("log_softmax", lambda x: (x.log_softmax(-1), x.log_softmax(1)), (_x(3, 9, 77),)),
    ("masked_softmax", lambda x, m: (x / 8 + m).softmax(-1), (_x(2, 3, 9, 9), _x(9, 9))),
    ("softmax_bfloat16", lambda x: x.softmax(-1), (_x(9, 77, dtype=torch.bfloat16),)),
    ("softmax_double", lambda x: x.softmax(-1), (_x(9, 77, dtype=torch.float64),)),
    ("rms_norm", lambda x, w: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w, (_x(9, 77), _x(77))),
    ("layer_norm", _module(nn.LayerNorm(77)), (_x(9, 77) + 5,)),
    ("layer_norm_two_dims", _module(nn.LayerNorm((7, 9))), (_x(4, 7, 9),)),
    ("layer_norm_plain", lambda x: F.layer_norm(x, (77,)), (_x(9, 77),)),
    ("add_layer_norm", lambda x, r: (x + r, F.layer_norm(x + r, (77,))), (_x(9, 77), _x(9, 77, seed=1))),
    ("group_norm", _module(nn.Sequential(nn.GroupNorm(4, 12), nn.SiLU())), (_x(3, 12, 5, 7),)),
    ("group_norm_one", _module(nn.GroupNorm(1, 6)), (_x(3, 6, 35),)),
    ("instance_norm", _module(nn.InstanceNorm2d(6)), (_x(3, 6, 5, 7),)),
    ("instance_norm_affine", _module(nn.InstanceNorm2d(6, affine=True)), (_x(3, 6, 5, 7),)),
    ("batch_norm_inference", _module(nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), training=False), (_x(3, 6, 5, 7),)),
    ("batch_norm_training", _module(nn.BatchNorm2d(6)), (_x(3, 6, 5, 7) + 2,)),
    ("batch_norm_one_dim", _module(nn.BatchNorm1d(35)), (_x(90, 35) + 2,)),
    ("batch_norm_three_dims", _module(nn.BatchNorm1d(6)), (_x(9, 6, 11) + 2,)),
    ("l2_normalize", lambda x: F.normalize(x, dim=-1), (_x(9, 77),)),
    ("l1_normalize", lambda x: x / x.abs().sum(1, keepdim=True), (_x(9, 77),)),
    ("l2_normalize_channels", lambda x: F.normalize(x, dim=1), (_x(3, 9, 5, 7),)),
    (
        "quantise_rows",
        lambda x: (
            torch.clamp(torch.round(x / (x.abs().amax(-1, keepdim=True) / 127)), -128, 127).to(torch.int8),
            x.abs().amax(-1, keepdim=True) / 127,
        ),
        (_x(9, 77),),
    ),
    (
        "linear_gelu",
        _module(nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 7), nn.Softmax(-1))),
        (_x(9, 12),),
    ),
    (
        "conv_bn_relu",
        _module(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()), training=False),
        (_x(2, 3, 8, 9),),
    ),
    ("nested", _module(Twice()), (_x(9, 12),)),
]

LOSSES: list[Module] = [
    ("cross_entropy", F.cross_entropy, (_x(9, 77), _ints(77, 9))),
    ("cross_entropy_smooth", lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), (_x(9, 77), _ints(77, 9))),
    ("cross_entropy_rows", lambda x, t: F.cross_entropy(x, t, reduction="none"), (_x(9, 77), _ints(77, 9))),
    ("cross_entropy_pixels", F.cross_entropy, (_x(2, 7, 5, 6), _ints(7, 2, 5, 6))),
    ("nll", lambda x, t: F.nll_loss(x.log_softmax(-1), t, reduction="sum"), (_x(9, 77), _ints(77, 9))),
    ("mse", F.mse_loss, (_x(9, 77), _x(9, 77, seed=1))),
    ("l1", F.l1_loss, (_x(9, 77), _x(9, 77, seed=1))),
    ("smooth_l1", lambda x, y: F.smooth_l1_loss(x, y) + F.huber_loss(x, y, delta=0.5), (_x(9, 77), _x(9, 77, seed=1))),
    ("hinge", lambda x, y: torch.mean(torch.clamp(1 - x * y, min=0)), (_x(9, 77), _x(77).sign())),
    (
        "kl",
        lambda x, y: F.kl_div(x.log_softmax(-1), y.softmax(-1), reduction="batchmean"),
        (_x(9, 77), _x(9, 77, seed=1)),
    ),
    ("cosine", lambda x, y: 1 - F.cosine_similarity(x, y).mean(), (_x(9, 77), _x(9, 77, seed=1))),
    ("bce", F.binary_cross_entropy_with_logits, (_x(9, 77), _positive(9, 77).clamp(max=1))),
    ("focal", lambda x, y: ((1 - torch.sigmoid(x)) ** 2 * F.softplus(-x) * y).mean(), (_x(9, 77), _positive(9, 77))),
    ("triplet", F.triplet_margin_loss, (_x(9, 77), _x(9, 77, seed=1), _x(9, 77, seed=2))),
    ("entropy", lambda x: -(x.softmax(-1) * x.log_softmax(-1)).sum(-1), (_x(9, 77),)),
]

MODULES = [*ELEMENTWISE, *VIEWS, *REDUCTIONS, *NORMS, *LOSSES]
