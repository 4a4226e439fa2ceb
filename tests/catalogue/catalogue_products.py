"""Products, convolutions and attention that the catalogue must compute rightly: layouts, batches, odd sizes, prologues
and epilogues."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from catalogue_modules import Module, _module, _x
from torch import nn


def _near(rows: int, columns: int, reach: int) -> torch.Tensor:
    return (torch.arange(rows)[:, None] - torch.arange(columns)).abs() <= reach


def _sparse(rows: int, columns: int) -> torch.Tensor:
    """A mask that leaves out all of some rows, and all but few of others."""
    mask = torch.ones(rows, columns, dtype=torch.bool)
    mask[::3, 130:140], mask[1::3, 7::50] = False, False
    return mask


PRODUCTS: list[Module] = [
    ("mm", lambda x, y: x @ y, (_x(40, 50), _x(50, 60))),
    ("mm_of_transposed", lambda x, y: x.T @ y.T, (_x(50, 41), _x(61, 50))),
    ("mm_with_itself", lambda x: x @ x.T + x @ x, (_x(45, 45),)),
    ("mm_of_few_rows", lambda x, y: x @ y.T, (_x(5, 700), _x(20, 700))),
    ("mm_of_many_blocks", lambda x, y: x @ y, (_x(67, 131), _x(131, 101))),
    ("mm_small", lambda x, y: (x @ y, x[0] @ y, x[0] @ x[0]), (_x(4, 5), _x(5, 6))),
    ("mm_of_whole_vectors", lambda x, y, c: F.relu(x @ y + c), (_x(40, 50), _x(50, 96), _x(96))),
    ("mm_of_whole_vectors_in_half", lambda x, y: x @ y, (_x(40, 50).half(), _x(50, 80).half())),
    ("mm_of_long_sums_and_whole_vectors", lambda x, y: x.T @ y, (_x(5000, 12), _x(5000, 32))),
    ("bmm_of_whole_vectors", lambda x, y: (x @ y, (x @ y).mT + 1), (_x(3, 34, 25), _x(3, 25, 48))),
    ("bmm", lambda x, y: x @ y, (_x(2, 3, 34, 25), _x(2, 3, 25, 36))),
    ("bmm_of_heads", lambda q, k: q.transpose(1, 2) @ k.permute(0, 2, 3, 1), (_x(2, 33, 3, 16), _x(2, 35, 3, 16))),
    ("bmm_with_one", lambda x, y: x @ y, (_x(2, 3, 34, 25), _x(25, 36))),
    ("einsum", lambda x, y: torch.einsum("bik,bjk->bji", x, y), (_x(2, 30, 24), _x(2, 31, 24))),
    ("einsum_of_two_sums", lambda x, y: torch.einsum("akl,bkl->ab", x, y), (_x(30, 4, 9), _x(31, 4, 9))),
    ("addmm", lambda c, x, y: torch.addmm(c, x, y, beta=0.3, alpha=2), (_x(60), _x(40, 50), _x(50, 60))),
    ("linear", _module(nn.Linear(33, 70)), (_x(2, 13, 33),)),
    ("product_of_scaled", lambda x, s, y: F.relu(x * s + 1) @ y, (_x(40, 50), _x(50), _x(50, 60))),
    ("product_then_rows", lambda x, y: F.layer_norm(x + x @ y, (40,)), (_x(30, 40), _x(40, 40))),
    ("product_then_sum", lambda x, y: (x @ y).sum(), (_x(40, 50), _x(50, 60))),
    ("gated_products", lambda x, a, b: F.silu(x @ a) * (x @ b), (_x(30, 40), _x(40, 50), _x(40, 50, seed=1))),
    ("chain", lambda x, y: torch.tanh(torch.tanh(x @ y) @ y), (_x(40, 50), _x(50, 50))),
    ("product_bfloat16", lambda x, y: F.silu(x @ y), (_x(30, 64).bfloat16(), _x(64, 50).bfloat16())),
    ("product_float16", lambda x, y: x @ y.T, (_x(30, 64).half(), _x(50, 64).half())),
    ("product_double_stays", lambda x, y: x @ y, (_x(30, 64).double(), _x(64, 50).double())),
    (
        "attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (_x(2, 3, 40, 16), _x(2, 3, 40, 16, seed=1), _x(2, 3, 40, 16, seed=2)),
    ),
    (
        "attention_causal_of_many",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (_x(2, 1, 150, 16), _x(2, 1, 333, 16), _x(2, 1, 333, 16, seed=2)),
    ),
    (
        "attention_over_a_plane",
        lambda q, k, v: torch.einsum(
            "bqhw,bhwd->bqd", torch.einsum("bqd,bhwd->bqhw", q, k).flatten(2).softmax(-1).unflatten(2, (10, 20)), v
        ),
        (_x(2, 40, 16), _x(2, 10, 20, 16), _x(2, 10, 20, 16)),
    ),
    (
        "attention_in_a_window",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=_near(333, 300, 20)),
        (_x(2, 333, 16), _x(2, 300, 16), _x(2, 300, 16, seed=2)),
    ),
    (
        "attention_of_lengths",
        lambda q, k, v, n: F.scaled_dot_product_attention(
            q, k, v, attn_mask=(torch.arange(k.shape[1]) < n[:, None])[:, None]
        ),
        (_x(3, 40, 16), _x(3, 200, 16), _x(3, 200, 16, seed=2), torch.tensor([150, 0, 3])),
    ),
    (
        "attention_by_hand_with_rows_of_nothing",
        lambda q, k, v, m: ((q @ k.mT).masked_fill(m, float("-inf")) / 4).softmax(-1) @ v,
        (_x(2, 40, 16), _x(2, 200, 16), _x(2, 200, 16, seed=2), _sparse(40, 200)),
    ),
    (
        "attention_with_mask",
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m),
        (_x(2, 3, 40, 16), _x(2, 3, 37, 16), _x(2, 3, 37, 24), _x(40, 37)),
    ),
    (
        "attention_by_hand",
        lambda q, k, v: (q @ k.mT / 4).softmax(-1) @ v,
        tuple(_x(2, 3, 40, 16, seed=i) for i in (0, 1, 2)),
    ),
    (
        "multihead",
        _module(nn.MultiheadAttention(32, 4, batch_first=True)),
        tuple(_x(2, 35, 32, seed=i) for i in (0, 1, 2)),
    ),
]

CONVOLUTIONS: list[Module] = [
    ("conv1d", _module(nn.Conv1d(8, 16, 3)), (_x(2, 8, 59),)),
    ("conv1d_same_dilated", _module(nn.Conv1d(4, 16, 3, padding="same", dilation=2)), (_x(2, 4, 58),)),
    ("conv2d_padded", _module(nn.Conv2d(8, 16, 3, padding=1)), (_x(2, 8, 17, 18),)),
    ("conv2d_strided", _module(nn.Conv2d(4, 16, 5, padding=2, stride=(2, 3))), (_x(2, 4, 18, 19),)),
    ("conv2d_grouped", _module(nn.Conv2d(4, 16, 3, padding=1, stride=2, groups=2)), (_x(2, 4, 18, 18),)),
    ("conv2d_one_by_one", _module(nn.Conv2d(16, 24, 1)), (_x(2, 16, 9, 11),)),
    ("conv2d_one_by_one_of_whole_vectors", _module(nn.Conv2d(16, 24, 1)), (_x(2, 16, 6, 32),)),
    ("conv3d_of_planes", _module(nn.Conv3d(4, 16, 3, padding=1)), (_x(2, 4, 3, 24, 28),)),
    ("conv3d_transposed_of_planes", _module(nn.ConvTranspose3d(4, 16, (2, 3, 5))), (_x(2, 4, 3, 24, 28),)),
    ("conv2d_one_by_one_strided", _module(nn.Conv2d(16, 24, 1, stride=2)), (_x(2, 16, 9, 11),)),
    ("conv2d_of_one_picture", _module(nn.Conv2d(8, 16, (1, 3), padding=(0, 1))), (_x(1, 8, 1, 180),)),
    ("conv2d_depthwise", _module(nn.Conv2d(6, 6, 3, padding=1, groups=6)), (_x(2, 6, 8, 19),)),
    ("conv2d_depthwise_twice", _module(nn.Conv2d(6, 12, 5, padding=2, stride=2, groups=6)), (_x(2, 6, 9, 19),)),
    ("conv2d_depthwise_large", _module(nn.Conv2d(6, 6, 7, padding=3, groups=6)), (_x(2, 6, 9, 19),)),
    ("conv2d_depthwise_3d", _module(nn.Conv3d(6, 6, 3, padding=(0, 1, 2), groups=6)), (_x(2, 6, 4, 5, 19),)),
    (
        "conv2d_depthwise_dilated",
        _module(nn.Conv2d(6, 6, 3, padding=2, dilation=3, stride=3, groups=6)),
        (_x(2, 6, 9, 60),),
    ),
    (
        "conv2d_depthwise_of_relu",
        lambda x, w: F.conv2d(F.relu(x), w, padding=1, groups=6),
        (_x(2, 6, 8, 19), _x(6, 1, 3, 3)),
    ),
    (
        "conv2d_depthwise_bfloat16",
        lambda x, w: F.conv2d(x, w, padding=1, groups=6),
        (_x(2, 6, 8, 19).bfloat16(), _x(6, 1, 3, 3).bfloat16()),
    ),
    ("conv2d_of_one_channel", _module(nn.Conv2d(1, 16, 5, padding=2)), (_x(2, 1, 18, 19),)),
    ("conv2d_stem", _module(nn.Conv2d(3, 16, 7, padding=3, stride=2)), (_x(2, 3, 34, 37),)),
    ("conv2d_of_many_filters", _module(nn.Conv2d(4, 40, 3, padding=1, stride=2)), (_x(2, 4, 31, 34),)),
    ("conv2d_of_patches", _module(nn.Conv2d(3, 16, 4, stride=4)), (_x(2, 3, 40, 44),)),
    ("conv2d_with_gaps", _module(nn.Conv2d(4, 16, 2, stride=3, padding=1)), (_x(2, 4, 31, 32),)),
    ("conv2d_one_window", _module(nn.Conv2d(8, 16, 5, stride=3)), (_x(30, 8, 5, 5),)),
    ("conv2d_strided_dilated", _module(nn.Conv2d(4, 16, 4, stride=4, dilation=6, padding=5)), (_x(2, 4, 50, 51),)),
    (
        "conv2d_strided_bfloat16",
        lambda x, w: F.conv2d(x, w, padding=1, stride=2),
        (_x(2, 8, 17, 18).bfloat16(), _x(8, 8, 3, 3).bfloat16()),
    ),
    ("conv3d", _module(nn.Conv3d(2, 13, (1, 2, 3), padding=(0, 1, 1))), (_x(2, 2, 5, 6, 7),)),
    ("conv3d_padded", _module(nn.Conv3d(4, 9, 3, padding=1)), (_x(1, 4, 5, 6, 7),)),
    ("transposed", _module(nn.ConvTranspose2d(4, 16, 3, padding=1, stride=2, output_padding=1)), (_x(2, 4, 18, 18),)),
    ("transposed_plain", _module(nn.ConvTranspose2d(4, 16, 3)), (_x(2, 4, 18, 18),)),
    ("transposed_dilated", _module(nn.ConvTranspose2d(4, 16, 3, stride=2, dilation=2, padding=1)), (_x(2, 4, 9, 9),)),
    ("transposed_odd", _module(nn.ConvTranspose2d(4, 16, 3, stride=2)), (_x(2, 4, 9, 9),)),
    (
        "transposed_odd_relu",
        _module(nn.Sequential(nn.ConvTranspose2d(4, 16, 3, stride=2, padding=1), nn.ReLU())),
        (_x(2, 4, 9, 9),),
    ),
    ("transposed_with_gaps", _module(nn.ConvTranspose2d(4, 16, 2, stride=3, output_padding=1)), (_x(2, 4, 9, 10),)),
    ("transposed_far_dilated", _module(nn.ConvTranspose1d(4, 16, 3, stride=4, dilation=6, padding=3)), (_x(2, 4, 60),)),
    ("transposed_near_dilated", _module(nn.ConvTranspose2d(4, 16, (3, 2), stride=3, dilation=2)), (_x(2, 4, 9, 10),)),
    ("transposed_depthwise", _module(nn.ConvTranspose2d(6, 6, 3, stride=2, padding=1, groups=6)), (_x(2, 6, 9, 10),)),
    (
        "transposed_bfloat16",
        lambda x, w: F.conv_transpose2d(x, w, stride=2),
        (_x(2, 8, 9, 10).bfloat16(), _x(8, 8, 2, 2).bfloat16()),
    ),
    ("transposed_grouped", _module(nn.ConvTranspose1d(4, 16, 4, padding=1, stride=2, groups=2)), (_x(2, 4, 98),)),
    ("transposed_3d", _module(nn.ConvTranspose3d(3, 8, 2, stride=2)), (_x(1, 3, 5, 6, 7),)),
    (
        "conv_relu_conv",
        _module(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 9, 3))),
        (_x(2, 3, 14, 14),),
    ),
    ("conv_of_gelu", lambda x, w: F.conv2d(F.gelu(x), w), (_x(2, 8, 17, 18), _x(16, 8, 3, 3))),
    ("conv_residual", lambda x, w: F.relu(F.conv2d(x, w, padding=1) + x), (_x(2, 8, 17, 18), _x(8, 8, 3, 3))),
    (
        "conv_group_norm",
        _module(nn.Sequential(nn.Conv2d(8, 16, 3), nn.GroupNorm(4, 16), nn.SiLU())),
        (_x(2, 8, 17, 18),),
    ),
    ("conv_bfloat16", lambda x, w: F.conv2d(x, w, padding=1), (_x(2, 8, 17, 18).bfloat16(), _x(8, 8, 3, 3).bfloat16())),
]

WINDOWS: list[Module] = [
    ("windows", _module(nn.Conv2d(8, 20, 3, padding=1)), (_x(2, 8, 17, 18),)),
    ("windows_of_few", _module(nn.Conv2d(8, 3, 3)), (_x(3, 8, 3, 120),)),
    ("windows_of_wide_rows", _module(nn.Conv2d(8, 9, 3, padding=(1, 0))), (_x(1, 8, 4, 301),)),
    ("windows_of_a_small_picture", _module(nn.Conv2d(8, 60, 3, padding=1)), (_x(1, 8, 7, 7),)),
    ("windows_of_a_part", lambda x, w: F.conv2d(x[:, :, 1:, 2:], w), (_x(2, 8, 12, 13), _x(9, 8, 3, 3))),
    ("windows_of_planes", _module(nn.Conv3d(4, 9, 3, padding=1)), (_x(2, 4, 5, 14, 15),)),
    ("windows_of_one_plane_each", _module(nn.Conv3d(4, 9, (1, 3, 3))), (_x(2, 4, 3, 14, 15),)),
    (
        "windows_then_more",
        lambda x, w, b: F.gelu(F.conv2d(x, w, b, padding=1) + x) * 2,
        (_x(2, 12, 17, 18), _x(12, 12, 3, 3), _x(12)),
    ),
    (
        "windows_with_scaled_weights",
        lambda x, w, s: F.conv2d(x, w * s),
        (_x(2, 8, 17, 18), _x(9, 8, 3, 3), _x(9, 1, 1, 1)),
    ),
]
"""Convolutions by windows of 3 x 3 that move by one place."""
