"""The signature of a model that knows its own inputs: files that other tools wrote, found out by asking them twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from deploy_core.errors import DeployError, ExportError, UsageError, reason
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.sources import Given, dimensions, examples

Ask = Callable[[Tensors], Tensors]


def signature_of(told: Sequence[TensorSpec], ask: Ask, given: Given) -> tuple[Signature, Tensors]:
    """Give the signature and example inputs; `told` is what the file says of its inputs.

    Raises UsageError for inputs that are not the model's, ExportError for a batch that is frozen or an answer that fails.
    """
    specs = agreed(told, given.inputs)
    hint = "write the file again with a batch of any size"
    dimensions.require_free_batch(specs, "the model", hint=hint, static=given.static)
    named = example_of(specs, given)
    own = examples.at_least_two_rows(Signature(specs, ()).conform(named), static=given.static)
    signature = dimensions.told(specs, own, partial(_asked, ask), given.outputs, static=given.static)
    examples.check_numbers(ask(own))
    return signature, own


def agreed(told: Sequence[TensorSpec], given: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Give the specs that a file tells, with the symbols of those that its user gives. Raises UsageError."""
    if not given:
        return tuple(told)
    by_own_name = {spec.name: spec for spec in told}
    if set(by_own_name) != {spec.name for spec in given}:
        raise UsageError("the inputs that are given are not the model's", hint=f"it has {', '.join(map(str, told))}")
    return tuple(_narrowed(by_own_name[spec.name], spec) for spec in given)


def in_order(own: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Give a model's own names of its outputs; where just these are named, in the order in which they are named."""
    return tuple(names) if set(names) == set(own) else tuple(own)


def example_of(specs: Sequence[TensorSpec], given: Given) -> Mapping[str, object]:
    """Give example inputs by name, made up if nobody gave any; without names they are in the model's order.

    Raises UsageError.
    """
    example = given.example
    if example is None:
        return examples.from_specs(specs, static=given.static)
    if isinstance(example, Mapping):
        return dict(example)
    if not isinstance(example, tuple) and (len(specs) == 1 or not isinstance(example, list)):
        example = (example,)  # a list for an only input is its rows
    if len(example) != len(specs):
        raise UsageError(
            f"{len(example)} example inputs are given, the model takes {len(specs)}: {', '.join(map(str, specs))}",
            hint="give them in this order, or by name",
        )
    return dict(zip((spec.name for spec in specs), example, strict=True))


def _narrowed(told: TensorSpec, given: TensorSpec) -> TensorSpec:
    same = told.dtype == given.dtype and len(told.shape) == len(given.shape)
    if not same or any(isinstance(own, int) and own != dim for own, dim in zip(told.shape, given.shape, strict=True)):
        raise UsageError(f"input {given} does not fit the model", hint=f"it takes {told}")
    return replace(told, shape=given.shape)


def _asked(ask: Ask, arrays: Tensors, *, after: Tensors | None = None) -> Tensors:
    try:
        return ask(arrays)
    except DeployError:
        raise
    except Exception as error:
        told = reason(error)
        if after is not None:
            raise ExportError(
                f"the model answers {examples.shown(after)} but not {examples.shown(arrays)}: {told}",
                hint="a size that should be free, such as the batch, is written into it",
            ) from error
        raise UsageError(
            f"the model cannot answer {examples.shown(arrays)}: {told}",
            hint="give --example FILE.npz, or --input with one symbol for sizes that must be equal",
        ) from error
