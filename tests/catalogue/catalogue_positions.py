"""Small modules with computed positions: pooling, padding, running results, indices, interpolation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from catalogue_modules import Module, _ints, _module, _positive, _x
from torch import nn

POOLING: list[Module] = [
    ("max_pool", nn.MaxPool2d(2), (_x(2, 3, 8, 34),)),
    ("max_pool_overlapping", nn.MaxPool2d(3, 2, 1), (_x(2, 3, 9, 37),)),
    ("max_pool_one_dim", nn.MaxPool1d(4, 1, 2, 3), (_x(2, 3, 50),)),
    ("max_pool_three_dims", nn.MaxPool3d(3, 2, 1, 3), (_x(2, 3, 9, 9, 37),)),
    ("max_pool_ceil", nn.MaxPool2d(3, 2, 1, ceil_mode=True), (_x(2, 3, 8, 36),)),
    ("max_pool_without_batch", nn.MaxPool2d(2), (_x(3, 8, 34),)),
    ("max_pool_whole", nn.MaxPool2d(5), (_x(2, 9, 5, 5),)),
    ("max_pool_of_relu", lambda x: F.max_pool2d(torch.relu(x + 1) - 1, 3, 1, 1), (_x(2, 3, 9, 37),)),
    ("max_pool_bfloat16", nn.MaxPool2d(2, padding=1), (_x(2, 3, 8, 34, dtype=torch.bfloat16),)),
    ("max_pool_double", nn.MaxPool2d(3, padding=1), (_x(2, 3, 8, 34, dtype=torch.float64),)),
    ("max_pool_nan", nn.MaxPool2d(2), (torch.where(_x(2, 3, 8, 34) > 1.5, float("nan"), _x(2, 3, 8, 34)),)),
    ("max_pool_indices", lambda x: F.max_pool2d(torch.relu(x), 2, return_indices=True), (_x(2, 3, 8, 8),)),
    ("max_pool_twice", lambda x: F.max_pool2d(F.max_pool2d(x, 2), 2), (_x(2, 3, 8, 36),)),
    ("average_pool", nn.AvgPool2d(3, 2, 1), (_x(2, 3, 9, 37),)),
    ("average_pool_one_dim", nn.AvgPool1d(8, 1, 4), (_x(2, 3, 64),)),
    ("average_pool_three_dims", nn.AvgPool3d(3, 2, 1), (_x(2, 3, 9, 8, 37),)),
    ("average_without_padding", nn.AvgPool2d(3, 2, 1, count_include_pad=False), (_x(2, 3, 9, 37),)),
    ("average_pool_ceil", nn.AvgPool2d(3, 2, 1, ceil_mode=True), (_x(2, 3, 8, 36),)),
    ("average_pool_divisor", nn.AvgPool2d(3, 2, 1, divisor_override=5), (_x(2, 3, 9, 37),)),
    ("lp_pool", lambda x: F.lp_pool2d(x, 2, 2), (_x(2, 3, 8, 8),)),
    ("adaptive", lambda x: (F.adaptive_avg_pool2d(x, 4), F.adaptive_avg_pool2d(x, 1)), (_x(2, 3, 8, 16),)),
    ("adaptive_uneven", lambda x: (F.adaptive_avg_pool2d(x, 3), F.adaptive_max_pool2d(x, 5)), (_x(2, 3, 8, 16),)),
    ("adaptive_three_dims", lambda x: F.adaptive_avg_pool3d(x, (2, 1, 3)), (_x(2, 3, 8, 5, 6),)),
    ("mean_of_pooled", lambda x: F.hardtanh(F.max_pool2d(x, 2)).mean((2, 3), keepdim=True).tanh(), (_x(2, 3, 8, 34),)),
    ("softmax_then_pool", lambda x: F.max_pool2d(x.softmax(1), 2), (_x(2, 3, 8, 36),)),
    ("pool_then_softmax", lambda x: F.max_pool2d(x, 2).softmax(1), (_x(2, 3, 8, 36),)),
    (
        "pool_between_norms",
        _module(nn.Sequential(nn.BatchNorm2d(3), nn.Tanh(), nn.MaxPool2d(2), nn.GroupNorm(3, 3)), training=False),
        (_x(2, 3, 8, 36),),
    ),
    ("local_response_norm", lambda x: F.local_response_norm(x, 3), (_x(2, 5, 4, 9),)),
    ("average_and_slice", lambda x: x[:, :, ::2, 1::2] + F.avg_pool2d(x, 2), (_x(2, 3, 8, 34),)),
]

PADDING: list[Module] = [
    ("pad", lambda x: F.pad(x, (1, 2, 2, 1), value=3.0), (_x(2, 3, 9, 37),)),
    ("pad_of_relu", lambda x: F.pad(torch.relu(x), (1, 2), value=-1.0) * 2, (_x(3, 37),)),
    ("crop", lambda x: F.pad(x, (-1, 2, -2, 0)), (_x(3, 9, 37),)),
    ("pad_reflect", lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"), (_x(2, 3, 9, 37),)),
    ("pad_replicate", lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate") * 2, (_x(2, 3, 9, 37),)),
    ("pad_reflect_wide", nn.ReflectionPad2d((5, 3, 2, 4)), (_x(2, 3, 9, 61),)),
    ("pad_reflect_bfloat16", nn.ReflectionPad1d(3), (_x(9, 2, 50, dtype=torch.bfloat16),)),
    ("pad_replicate_wide", lambda x: F.pad(x, (5, 7, 2, 1), mode="replicate"), (_x(2, 3, 9, 50),)),
    ("pad_circular", lambda x: F.pad(x, (1, 2, 2, 1), mode="circular"), (_x(2, 3, 9, 37),)),
    ("pad_of_slice", lambda x: F.pad(x[:, 2:-1], (1, 3)), (_x(3, 37),)),
    ("cat_unequal", lambda x, y, z: torch.cat([torch.relu(x), y * 2, z], 1), (_x(3, 5), _x(3, 7), _x(3, 33))),
    (
        "cat_products",
        lambda x, y: torch.cat([x @ y, torch.relu(y.T @ x.T)[:, :2], x[:, :3] @ y[:3, :5]], 1),
        (_x(7, 7), _x(7, 7)),
    ),
    ("cat_rows", lambda x, y: torch.relu(torch.cat([x, y], -2)), (_x(3, 5, 20), _x(3, 7, 20))),
    ("cat_one", lambda x, y: torch.cat([x, y.sum(1, keepdim=True)], 1), (_x(3, 9), _x(3, 7))),
    ("stack", lambda x: torch.stack([x, x + 1, x * 2], 1), (_x(2, 3, 19),)),
    ("flip", lambda x: x.flip(-1) + x.flip(0, 1), (_x(7, 37),)),
    ("roll", lambda x: torch.roll(x, (1, -2), (2, 3)), (_x(2, 3, 8, 19),)),
    ("roll_wide", lambda x: torch.roll(x, 5, 1) + torch.roll(x, -3, 0), (_x(9, 70),)),
    ("reversed_by_positions", lambda x: x[:, torch.arange(69, -1, -1)] * 2, (_x(9, 70),)),
    ("diagonal", lambda x: torch.diagonal(x) * 2, (_x(9, 9),)),
    ("diagonal_product", lambda x, y: torch.diag(x) * 2 + y, (_x(9), _x(9, 9))),
]

SCANS: list[Module] = [
    ("cumsum", lambda x: (x.cumsum(-1), torch.relu(x).cumsum(0) * 2), (_x(5, 77),)),
    ("cumprod", lambda x: (x.cumprod(1), x.cumprod(0)), (_positive(5, 40),)),
    ("cumsum_long", lambda x: x.cumsum(0), (_x(3000),)),
    ("cumsum_middle", lambda x: (x.cumsum(1), x.flip(1).cumsum(1).flip(1)), (_x(3, 5, 40),)),
    ("cumsum_backward", lambda x: x.flip(1).cumsum(1).flip(1), (_x(5, 77),)),
    (
        "cumsum_exclusive",
        lambda x: torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1].cumsum(1)), 1),
        (_x(5, 77),),
    ),
    ("cumsum_masked", lambda x, m: (x * m).cumsum(1), (_x(5, 40), _ints(2, 5, 40).bool())),
    ("cumsum_int", lambda a: (a.cumsum(1), (a > 3).cumsum(0)), (_ints(9, 5, 40),)),
    ("cumsum_bfloat16", lambda x: x.cumsum(1), (_x(5, 40, dtype=torch.bfloat16),)),
    ("cumsum_double", lambda x: x.cumsum(1), (_x(5, 40, dtype=torch.float64),)),
    ("cumsum_share", lambda x: x.cumsum(1) / x.sum(1, keepdim=True), (_positive(5, 40),)),
    ("cumsum_to_go", lambda x: x.cumsum(1).amax(1, keepdim=True) - x.cumsum(1), (_positive(5, 40),)),
    ("cumsum_of_softmax", lambda x: x.softmax(1).cumsum(1) * 2, (_x(5, 40),)),
    ("cumsum_both_ways", lambda x: x.cumsum(1).cumsum(0), (_x(5, 40),)),
    ("cumsum_of_tiles", lambda x: x.view(5, 4, 10).cumsum(2).view(5, 40) + x, (_x(5, 40),)),
    ("cumsum_of_flat", lambda x: x.view(5, 40).cumsum(1).view(5, 4, 10) + x, (_x(5, 4, 10),)),
    ("mean_of_backward_cumsum", lambda x: x.flip(1).cumsum(1).mean(1), (_x(5, 40),)),
]

INDEXING: list[Module] = [
    ("index", lambda x, i: x[i] + x.index_select(0, i.abs()), (_x(9, 40), torch.tensor([1, -2, 3]))),
    ("index_two", lambda x, i, j: x[:, i, j], (_x(3, 9, 40), torch.tensor([[1], [-2]]), torch.tensor([0, 2, -1]))),
    ("nearest", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), (_x(2, 3, 9, 17),)),
    ("linear", lambda x: F.interpolate(x, scale_factor=2, mode="linear"), (_x(2, 3, 9),)),
    ("bilinear", lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), (_x(2, 3, 10, 18),)),
    (
        "bilinear_corners",
        lambda x: F.interpolate(x, size=(13, 20), mode="bilinear", align_corners=True),
        (_x(2, 3, 9, 17),),
    ),
    ("bilinear_wide", lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear"), (_x(2, 3, 5, 43),)),
    ("bilinear_smaller", lambda x: F.interpolate(x, scale_factor=0.3, mode="bilinear"), (_x(2, 3, 30, 150),)),
    ("bilinear_nearly_the_same", lambda x: F.interpolate(x, scale_factor=1.125, mode="bilinear"), (_x(2, 3, 7, 7),)),
    (
        "bilinear_corners_wide",
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        (_x(2, 3, 5, 43),),
    ),
    ("nearest_wide", lambda x: F.interpolate(torch.exp(x), scale_factor=2), (_x(2, 3, 5, 43),)),
    ("trilinear", lambda x: F.interpolate(x, size=(8, 6, 7), mode="trilinear"), (_x(2, 3, 4, 5, 9),)),
    ("bicubic", lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), (_x(2, 3, 9, 17),)),
    ("masked_by_lengths", lambda x, n: x.masked_fill(torch.arange(70) >= n[:, None], 0.5), (_x(5, 70), _ints(70, 5))),
    (
        "largest_before_a_place",
        lambda x, n: torch.where(torch.arange(50) * 2 < torch.arange(50) + n[:, None], x, -9.0).argmax(0),
        (_x(300, 50), _ints(50, 300)),
    ),
    ("scaled_beyond_its_range_and_back", lambda x: (x * 1000.0) * 0.001, (_x(9, 20) * 1e36,)),
    ("band", lambda x: x.tril(3).triu(-20), (_x(60, 75),)),
    ("positions_as_features", lambda x: x + torch.sin(torch.arange(50) * 0.3), (_x(9, 50),)),
    ("embedded_positions", lambda x, w: x + F.embedding(torch.arange(x.shape[1]), w), (_x(3, 20, 24), _x(64, 24))),
    ("unfold", lambda x: F.unfold(x, 2) * 2, (_x(2, 4, 4, 5),)),
    ("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2) * 2, (_x(2, 8, 4, 5),)),
    ("multi_margin", F.multi_margin_loss, (_x(4, 9), _ints(9, 4))),
    ("std_mean", lambda x: torch.std_mean(x, 1), (_x(5, 40) + 9,)),
    ("norms_of_any_order", lambda x: (x.norm(3, 1), torch.linalg.vector_norm(x, 0, 0)), (_x(5, 40),)),
]

MODULES = [*POOLING, *PADDING, *SCANS, *INDEXING]
