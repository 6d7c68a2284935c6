"""A TorchScript program as a source, from a file or in memory; our own files know their signature, others are told it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from deploy_core.errors import UsageError, first_line
from deploy_core.predictor import Intermediate
from deploy_core.signature import Signature, Tensors
from deploy_exporters import deploy_handler, jit
from deploy_exporters.deploy_handler import argument, to_tensor
from deploy_exporters.sources import Given, Source
from deploy_exporters.sources.torch import TorchSource, open_torch, training_id


@dataclass(frozen=True)
class Program:
    """A TorchScript program, and the signature that its file tells."""

    script: Any
    told: Signature


class Scripted(torch.nn.Module):
    """Calls a TorchScript program with tensors by name."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script

    def forward(self, **tensors: torch.Tensor) -> Any:
        """Answer one batch."""
        return self.script(**{argument(name): tensor for name, tensor in tensors.items()})


class TorchScriptSource(TorchSource):
    """A TorchScript program with named inputs and outputs."""

    kind = "torchscript"

    @property
    def script(self) -> Any:
        """The program itself."""
        return self.model.script

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer in double precision. Raises UsageError for a program that has float32 written into it."""
        try:
            answer = super().predict_float64(inputs)
        except Exception as error:
            raise UsageError(f"TorchScript: {str(error).strip().splitlines()[-1][:200]}") from error
        for spec in self.signature.outputs:
            if spec.dtype == "float32" and answer[spec.name].dtype != "float64":
                raise UsageError(f"the program casts {spec.name!r} to {answer[spec.name].dtype}")
        return answer

    def intermediates(self, inputs: Tensors, *, layers: Sequence[tuple[str, str]] = ()) -> Sequence[Intermediate]:
        """Give the tensors inside for one batch; `layers` are what `jit.layers` finds in its file.

        Raises UsageError for what only a whole program does.
        """
        from deploy_exporters.inside import torchscript

        tensors = {name: to_tensor(array) for name, array in self.signature.conform(inputs).items()}
        names = [spec.name for spec in self.signature.outputs]
        return torchscript.intermediates(self.script, tensors, names, layers=layers)

    def describe(self) -> dict[str, Any]:
        """Give the class, the number of parameters and the digest of the weights, also of those that were frozen."""
        weights = {f"constant.{index}": tensor for index, tensor in enumerate(_constants(self.script))}
        count = sum(tensor.numel() for tensor in (*self.script.parameters(), *weights.values()))
        return {
            "class": str(getattr(self.script, "original_name", "ScriptModule")),
            "parameters": count,
            "training_id": training_id({**self.script.state_dict(), **weights}),
        }

    @cached_property
    def _double(self) -> torch.nn.Module:
        own = jit.copied(self.script)
        for node in _tensor_nodes(own):
            if (value := node.t("value")).is_floating_point():
                node.t_("value", value.double())
        return Scripted(own.double())


def read(source: Source) -> Program:
    """Read a TorchScript file. Raises UsageError."""
    try:
        script, told = deploy_handler.load(source.file)
    except Exception as error:
        raise UsageError(
            f"{source.file} cannot be read as a TorchScript program: {first_line(error)}",
            hint="it may be truncated; write it again",
        ) from error
    return Program(script, Signature.from_json(told) if told else Signature((), ()))


def open_torchscript(model: Any, given: Given) -> TorchSource:
    """Find out the signature of a program by running it. Raises UsageError, ExportError."""
    program = model if isinstance(model, Program) else Program(model, Signature((), ()))
    arguments = _arguments(program.script)
    specs = given.inputs or program.told.inputs
    if given.example is None and not specs:
        raise UsageError(
            "a TorchScript program does not say what inputs it takes",
            hint=f"give --input '{next(iter(arguments))}:float32[batch,…]' or --example FILE.npz",
        )
    named = None if given.example is None else _by_name(given.example, [spec.name for spec in specs] or list(arguments))
    _check_arguments(arguments, [argument(name) for name in ([spec.name for spec in specs] or named or ())])
    names = given.outputs or tuple(spec.name for spec in program.told.outputs)
    own = replace(given, example=named, inputs=specs, outputs=names)
    return open_torch(Scripted(program.script.cpu()), own, TorchScriptSource)


def _arguments(script: Any) -> dict[str, bool]:
    """Give the arguments of `forward`, and whether each must be given. Raises UsageError for one that is no tensor."""
    found = {}
    for each in script.forward.schema.arguments[1:]:
        needed = not each.has_default_value()
        if needed and str(each.type) not in ("Tensor", "Optional[Tensor]"):
            raise UsageError(
                f"argument {each.name!r} of the TorchScript program is a {each.type}, not a tensor",
                hint="script a module that calls it with that argument fixed",
            )
        found[each.name] = needed
    return found


def _check_arguments(arguments: dict[str, bool], names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in arguments]
    missing = [name for name, needed in arguments.items() if needed and name not in names]
    if unknown or missing:
        wrong = [f"{word} {', '.join(which)}" for word, which in (("unknown", unknown), ("missing", missing)) if which]
        raise UsageError(
            f"wrong inputs: {'; '.join(wrong)}", hint=f"the arguments of forward are {', '.join(arguments)}"
        )


def _by_name(example: object, names: Sequence[str]) -> dict[str, object]:
    if isinstance(example, dict):
        return example
    values = list(example) if isinstance(example, tuple | list) else [example]
    return dict(zip(names, values, strict=False))


def _constants(script: Any) -> Iterator[torch.Tensor]:
    return (node.t("value") for node in _tensor_nodes(script))


def _tensor_nodes(script: Any) -> Iterator[Any]:
    """Give the tensors that are written into the code, which is where freezing puts the weights."""
    for module in script.modules():
        if hasattr(module, "graph"):
            yield from _in_block(module.graph)


def _in_block(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        if node.kind() == "prim::Constant" and node.hasAttribute("value") and node.kindOf("value") == "t":
            yield node
        for inner in node.blocks():
            yield from _in_block(inner)
