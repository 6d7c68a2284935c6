"""Operators that ExecuTorch has no kernel for, said in those that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from deploy_exporters.steps import executorch_recurrent

_aten: Any = torch.ops.aten
_max_pool2d: Any = _aten.max_pool2d.default


def operators(rows: int) -> Mapping[Any, Callable[..., Any]]:
    """Give what stands for each operator in a program for at most that many rows."""
    return {
        _aten.lstm.input: executorch_recurrent.lstm(rows),
        _aten.gru.input: executorch_recurrent.gru(rows),
        _aten.batch_norm.default: _batch_norm,
        _aten.conv3d.default: _conv3d,
        _aten.max_pool3d.default: _max_pool3d,
        _aten.adaptive_max_pool2d.default: _adaptive_max_pool2d,
        _aten.detach_.default: _same,
        _aten.group_norm.default: _group_norm,
        _aten.instance_norm.default: _instance_norm,
        _aten.layer_norm.default: _layer_norm,
        _aten.lift_fresh_copy.default: _same,
        _aten.contiguous.default: _contiguous,
        _aten.view.default: _aten.view_copy.default,
    }


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _contiguous(tensor: torch.Tensor, memory_format: object = None) -> torch.Tensor:
    # A copy in a memory format is none that constants are computed through, and XNNPACK takes only constants as weights.
    shape = list(tensor.shape)
    if all(isinstance(size, int) for size in shape):
        return _aten.view_copy.default(tensor, shape)  # type: ignore[no-any-return]
    return tensor.contiguous()


def _batch_norm(
    values: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    own: bool,
    momentum: float,
    eps: float,
    cudnn: bool,
) -> torch.Tensor:
    """Say that it learns nothing: else its figures may not be constants that were computed."""
    told = (values, weight, bias, mean, variance)
    if own:
        return _aten.batch_norm.default(*told, own, momentum, eps, cudnn)  # type: ignore[no-any-return]
    return _aten._native_batch_norm_legit_no_training.default(*told, momentum, eps)[0]  # type: ignore[no-any-return]


def _conv3d(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    groups: int = 1,
) -> torch.Tensor:
    """Convolve the slices along the first axis, each of which gets those beside it as channels."""
    (step, *strides), (around, *paddings), (apart, *dilations) = map(_three, (stride, padding, dilation))
    depth = weight.shape[2]
    values = functional.pad(values, (0, 0, 0, 0, around, around))
    count = (values.shape[2] - apart * (depth - 1) - 1) // step + 1
    slices = [
        values[:, :, each * apart : each * apart + step * (count - 1) + 1 : step].unsqueeze(2) for each in range(depth)
    ]
    beside = torch.cat(slices, 2).flatten(1, 2)  # row, channel × depth, slice, height, width
    flat = beside.transpose(1, 2).flatten(0, 1)
    found = functional.conv2d(flat, weight.flatten(1, 2), bias, strides, paddings, dilations, groups)
    return _unflatten(found, 0, (values.shape[0], count)).transpose(1, 2)


def _max_pool3d(
    values: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0, 0),
    dilation: Sequence[int] = (1, 1, 1),
    ceil: bool = False,
) -> torch.Tensor:
    """Take the greatest of each slice, then of the slices."""
    (k, *ks), (s, *ss), (p, *ps), (d, *ds) = map(_three, (kernel, stride or kernel, padding, dilation))
    across: torch.Tensor = _max_pool2d(values.flatten(1, 2), ks, ss, ps, ds, ceil)
    apart = _unflatten(across, 1, values.shape[1:3]).flatten(3)
    along: torch.Tensor = _max_pool2d(apart, (k, 1), (s, 1), (p, 0), (d, 1), ceil)
    return _unflatten(along, 3, across.shape[-2:])


def _group_norm(
    values: torch.Tensor,
    groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    _cudnn: bool = True,
) -> torch.Tensor:
    """In parts: the kernel takes the mean of the squares for the variance, which loses digits."""
    apart = _unflatten(values, 1, (groups, values.shape[1] // groups)).flatten(2)
    centred = apart - apart.mean(2, keepdim=True)
    scaled = centred * torch.rsqrt((centred * centred).mean(2, keepdim=True) + eps)
    found = scaled.reshape(values.shape)
    channels = (-1, *[1] * (values.dim() - 2))
    found = found if weight is None else found * weight.reshape(channels)
    return found if bias is None else found + bias.reshape(channels)


def _layer_norm(
    values: torch.Tensor,
    shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    _cudnn: bool = True,
) -> torch.Tensor:
    axes = tuple(range(-len(shape), 0))
    centred = values - values.mean(axes, keepdim=True)
    found = centred * torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


def _instance_norm(
    values: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    own: bool,
    momentum: float,
    eps: float,
    cudnn: bool,
) -> torch.Tensor:
    if own:
        return _group_norm(values, values.shape[1], weight, bias, eps)
    return _batch_norm(values, weight, bias, mean, variance, own, momentum, eps, cudnn)


def _adaptive_max_pool2d(values: torch.Tensor, sizes: Sequence[int]) -> tuple[torch.Tensor]:
    """Without the indices."""
    for axis, size in zip((-2, -1), sizes, strict=True):
        count = values.shape[axis]
        bounds = [(each * count // size, -(-(each + 1) * count // size)) for each in range(size)]
        values = torch.stack([values.narrow(axis, low, high - low).amax(axis) for low, high in bounds], axis)
    return (values,)


def _three(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sizes) * 3 if len(sizes) == 1 else tuple(sizes)


def _unflatten(tensor: torch.Tensor, axis: int, sizes: Sequence[int]) -> torch.Tensor:
    found: torch.Tensor = _aten.unflatten.int(tensor, axis, sizes)
    return found
