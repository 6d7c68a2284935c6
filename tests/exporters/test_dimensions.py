"""Outputs' specs are told from answers at several sizes; nothing but numpy answers here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.sources import dimensions, examples

Answer = Callable[[Tensors], Tensors]


def told(
    text: str, answer: Answer, example: Tensors | None = None, names: tuple[str, ...] = (), *, static: bool = False
) -> Signature:
    specs = tuple(map(TensorSpec.parse, text.split()))

    def ask(arrays: Tensors, *, after: Tensors | None = None) -> Tensors:
        try:
            return answer(arrays)
        except (ValueError, IndexError) as error:
            raise (UsageError if after is None else ExportError)(str(error)) from error

    given = examples.from_specs(specs) if example is None else example
    return dimensions.told(specs, given, ask, names, static=static)


def outputs(signature: Signature) -> list[str]:
    return [str(spec) for spec in signature.outputs]


def test_an_output_follows_the_symbol_that_moves_it() -> None:
    found = told("x:float32[batch,seq,4] y:float32[batch,other]", lambda i: {"a": i["x"], "b": i["y"].sum(axis=1)})
    assert outputs(found) == ["a:float32[batch,seq,4]", "b:float32[batch]"]


def test_equal_sizes_are_told_apart() -> None:
    example = {"image": np.ones((2, 8, 8), np.float32)}
    found = told("image:float32[batch,height,width]", lambda i: {"t": i["image"].transpose(0, 2, 1)}, example)
    assert outputs(found) == ["t:float32[batch,width,height]"]


def test_a_size_that_follows_in_another_way_has_a_name_of_its_own() -> None:
    found = told("x:float32[batch,seq]", lambda i: {"half": i["x"][:, ::2], "both": np.outer(i["x"], i["x"])})
    assert outputs(found) == ["half:float32[batch,half_1]", "both:float32[both_0,both_1]"]


def test_symbols_without_a_name_that_move_together_are_one() -> None:
    found = told("ids:int64[batch,ids_1] mask:float32[batch,mask_1]", lambda i: {"y": i["ids"] * i["mask"]})
    assert [str(spec) for spec in found.inputs] == ["ids:int64[batch,ids_1]", "mask:float32[batch,ids_1]"]
    assert outputs(found) == ["y:float64[batch,ids_1]"]


def test_named_symbols_that_cannot_move_alone_are_refused() -> None:
    with pytest.raises(ExportError, match="could not be broadcast"):
        told("a:float32[batch,n] b:float32[batch,m]", lambda i: {"y": i["a"] + i["b"]})


def test_the_model_chooses_the_other_size() -> None:
    def pooled(inputs: Tensors) -> Tensors:
        return {"y": inputs["x"].reshape(len(inputs["x"]), -1, 8).mean(axis=2)}

    assert outputs(told("x:float32[batch,n]", pooled)) == ["y:float32[batch,y_1]"]

    def short(inputs: Tensors) -> Tensors:
        return {"y": np.arange(16)[: inputs["x"].shape[1]] + inputs["x"]}  # no longer than the example

    assert outputs(told("x:int64[batch,n]", short)) == ["y:int64[batch,n]"]


def test_outputs_that_come_and_go() -> None:
    with pytest.raises(ExportError, match="outputs depend on the size"):
        told("x:float32[batch,n]", lambda i: {"y": i["x"]} if i["x"].shape[1] == 16 else {"z": i["x"]})
    with pytest.raises(ExportError, match="has 2 dimensions, and 1"):
        told("x:float32[batch,n]", lambda i: {"y": i["x"] if i["x"].shape[1] == 16 else i["x"][0]})


def test_names_are_given_to_outputs() -> None:
    assert outputs(told("x:float32[batch]", lambda i: {"0": i["x"]}, names=("mine",))) == ["mine:float32[batch]"]
    with pytest.raises(UsageError, match="2 output names are given, the model has 1"):
        told("x:float32[batch]", lambda i: {"0": i["x"]}, names=("a", "b"))


def test_static_keeps_the_sizes_of_the_example() -> None:
    asked: list[Tensors] = []
    example = {"x": np.ones((1, 5), np.float32)}
    own = examples.at_least_two_rows(example, static=True)
    found = told("x:float32[batch,n]", lambda i: asked.append(i) or {"y": i["x"]}, own, static=True)
    with pytest.raises(UsageError, match="--static fixes batch, n to the sizes of an example"):
        examples.from_specs((TensorSpec.parse("x:float32[batch,n]"),), static=True)
    assert (str(found.inputs[0]), outputs(found), len(asked)) == ("x:float32[1,5]", ["y:float32[1,5]"], 1)
    assert len(examples.at_least_two_rows(example)["x"]) == 2
