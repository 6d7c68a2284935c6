"""The pieces of Kotlin that differ from model to model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from deploy_core.changes import Change
from deploy_core.errors import ExportError
from deploy_core.signature import Dim, Tensors, TensorSpec
from deploy_exporters.packaging.contents import Contents
from deploy_exporters.packaging.graph import Graph

_WORDS = frozenset(
    {
        "answer", "as", "break", "class", "continue", "do", "else", "false", "for", "fun", "if", "in", "inputs",
        "interface", "interpreter", "is", "model", "null", "object", "outputs", "package", "return", "rows", "super", "this", "throw",
        "true", "try", "typealias", "typeof", "val", "var", "when", "while",
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """How Kotlin holds a dtype: its array, the view of a ByteBuffer ("" for bytes), the function that reads one."""

    array: str
    view: str
    read: str
    bytes: int


_KINDS = {
    "float32": _Kind("FloatArray", "asFloatBuffer()", "floats", 4),
    "float64": _Kind("DoubleArray", "asDoubleBuffer()", "doubles", 8),
    "int64": _Kind("LongArray", "asLongBuffer()", "longs", 8),
    "int32": _Kind("IntArray", "asIntBuffer()", "ints", 4),
    "int16": _Kind("ShortArray", "asShortBuffer()", "shorts", 2),
    **dict.fromkeys(("int8", "uint8", "bool"), _Kind("ByteArray", "slice()", "bytes", 1)),
}
_QUANTIZED = {"int8": (-128, 127), "uint8": (0, 255)}
_QUANTIZE = """private fun quantized(values: FloatArray, scale: Double, zero: Int, least: Int, greatest: Int): ByteArray =
    ByteArray(values.size) { place ->
        (Math.rint(values[place] / scale) + zero).coerceIn(least.toDouble(), greatest.toDouble()).toInt().toByte()
    }"""
_DEQUANTIZE = """private fun dequantized(steps: ByteArray, scale: Double, zero: Int, signed: Boolean): FloatArray =
    FloatArray(steps.size) { place ->
        val step = if (signed) steps[place].toInt() else steps[place].toInt() and 0xFF
        ((step - zero) * scale).toFloat()
    }"""


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the file, as the class has it: `word` is its name in Kotlin, `change` its scale if it has one."""

    spec: TensorSpec
    word: str
    index: int
    change: Change | None = None

    @property
    def stored(self) -> _Kind:
        return _KINDS[self.spec.dtype]

    @property
    def held(self) -> _Kind:
        return _KINDS["float32"] if self.change else self.stored


def values(contents: Contents, graph: Graph, inputs: Tensors, outputs: Tensors) -> dict[str, str]:
    """Give what the templates ask for; `inputs` and `outputs` are the golden rows in the file's layout.

    Raises ExportError for dtypes that the class cannot hold.
    """
    signature = contents.artifact.file_signature
    symbols = list(dict.fromkeys(dim for spec in signature.inputs for dim in spec.shape if isinstance(dim, str)))
    taken: set[str] = set(_WORDS)
    words = {symbol: _word(symbol, taken) for symbol in symbols}
    asked = [_tensor(contents, spec, graph.inputs.index(spec.name), taken) for spec in signature.inputs]
    given = [_tensor(contents, spec, graph.outputs.index(spec.name), taken) for spec in signature.outputs]
    return {
        "CLASS": class_name(contents.name),
        "PACKAGE": class_name(contents.name).lower(),  # one for each model: an app may have several
        "KEY": graph.key,
        **_class_values(asked, given, words),
        **_test_values(contents, asked, given, inputs, outputs),
        **_example(asked, given, words),
    }


def class_name(name: str) -> str:
    """Give a Kotlin class name for a model's name."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part]
    joined = "".join(part[0].upper() + part[1:] for part in parts)
    return joined if joined[:1].isalpha() else f"Model{joined}"


def _tensor(contents: Contents, spec: TensorSpec, index: int, taken: set[str]) -> _Tensor:
    scaled = next((c for c in contents.artifact.changes if c.tensor == spec.name and c.scale), None)
    known = _QUANTIZED if scaled else _KINDS
    if spec.dtype not in known:
        raise ExportError(
            f"{spec} cannot be held by the Kotlin class", hint=f"it holds {', '.join(known)}; package for linux instead"
        )
    return _Tensor(spec, _word(spec.name, taken), index, scaled)


def _word(name: str, taken: set[str]) -> str:
    """Give a Kotlin identifier that is not taken, and take it."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part] or ["tensor"]
    word = parts[0][0].lower() + parts[0][1:] + "".join(part[0].upper() + part[1:] for part in parts[1:])
    word = word if word[0].isalpha() else f"tensor{word}"
    while word in taken:
        word += "_"
    taken.add(word)
    return word


def _class_values(asked: list[_Tensor], given: list[_Tensor], words: Mapping[str, str]) -> dict[str, str]:
    parameters = [f"{t.word}: {t.held.array}" for t in asked] + [f"{word}: Int" for word in words.values()]
    shapes = [f"`{t.word}` [{', '.join(_sizes(t.spec.shape, words))}]" for t in asked]
    told = [f"`{t.word}` [{', '.join(map(str, t.spec.shape))}]" for t in given]
    return {
        "PARAMETERS": ", ".join(parameters),
        "PREDICT_DOC": f"{', '.join(shapes)} to {', '.join(told)}.",
        "ANSWER_FIELDS": ", ".join(f"val {t.word}: {t.held.array}" for t in given),
        "RESIZES": "\n".join(
            f"        interpreter.resizeInput({t.index}, intArrayOf({', '.join(_sizes(t.spec.shape, words))}))"
            for t in asked
        ),
        "INPUT_PAIRS": "\n".join(f"            {_pair(t)}," for t in asked),
        "OUTPUT_PAIRS": ", ".join(f"{_quoted(t.spec.name)} to null" for t in given),
        "ANSWERS": ", ".join(map(_answer, given)),
        "CONVERSIONS": "\n\n".join(_conversions(asked, given)),
    }


def _pair(tensor: _Tensor) -> str:
    value, change = tensor.word, tensor.change
    if change:
        least, greatest = _QUANTIZED[tensor.spec.dtype]
        value = f"quantized({value}, {change.scale!r}, {change.zero_point}, {least}, {greatest})"
    put = f"{tensor.stored.view}.put({value})"
    return f"{_quoted(tensor.spec.name)} to room({tensor.word}.size * {tensor.stored.bytes}).also {{ it.{put} }}"


def _answer(tensor: _Tensor) -> str:
    read = f"{tensor.stored.read}(answered({_quoted(tensor.spec.name)}))"
    if tensor.change is None:
        return read
    signed = str(tensor.spec.dtype == "int8").lower()
    return f"dequantized({read}, {tensor.change.scale!r}, {tensor.change.zero_point}, {signed})"


def _conversions(asked: list[_Tensor], given: list[_Tensor]) -> Iterator[str]:
    kinds = {kind.read: kind for t in (*asked, *given) for kind in (t.stored, t.held)}
    for kind in kinds.values():
        yield (
            f"internal fun {kind.read}(buffer: ByteBuffer): {kind.array} =\n"
            f"    buffer.{kind.view}.let {{ from -> {kind.array}(from.remaining()).also {{ from.get(it) }} }}"
        )
    if any(t.change for t in asked):
        yield _QUANTIZE
    if any(t.change for t in given):
        yield _DEQUANTIZE


def _test_values(
    contents: Contents, asked: list[_Tensor], given: list[_Tensor], inputs: Tensors, outputs: Tensors
) -> dict[str, str]:
    # Rows are cut out of flat arrays, so only where they are the first axis.
    shapes = {**{n: a.shape for n, a in inputs.items()}, **{n: a.shape for n, a in outputs.items()}}
    cut = all(contents.rows.get(name, 0) == 0 for name in shapes)
    count = next((shapes[name][0] for name in inputs if name in contents.rows), 1)
    symbols = {
        dim: str(size)
        for t in asked
        for axis, (dim, size) in enumerate(zip(t.spec.shape, shapes[t.spec.name], strict=True))
        if isinstance(dim, str) and not (cut and axis == 0)
    }
    batch = {t.spec.shape[0] for t in asked if cut and t.spec.shape and isinstance(t.spec.shape[0], str)}
    sizes = {**symbols, **dict.fromkeys(map(str, batch), "rows")}

    def rows(tensor: _Tensor) -> str:
        name = tensor.spec.name
        if not cut or name not in contents.rows:
            return tensor.word
        return f"{tensor.word}.copyOfRange(0, rows * {_length(shapes[name][1:])})"

    order = list(dict.fromkeys(dim for t in asked for dim in t.spec.shape if isinstance(dim, str)))
    files = [*zip(inputs, (f"input_{n}.npy" for n in range(len(inputs))), strict=True)]
    files += [*zip(outputs, (f"output_{n}.npy" for n in range(len(outputs))), strict=True)]
    place = dict(files)
    return {
        "GOLDEN": "\n".join(
            f'        val {t.word} = {t.held.read}(npy("{place[t.spec.name]}"))' for t in (*asked, *given)
        ),
        "BATCHES": ", ".join(map(str, contents.batches if cut else (count,))),
        "CALL": ", ".join([*map(rows, asked), *(sizes[symbol] for symbol in order)]),
        "CHECKS": "\n".join(
            f"                requireClose({_quoted(t.spec.name)}, {rows(t)}.map {{ it.toDouble() }}, "
            f"answer.{t.word}.map {{ it.toDouble() }}, {contents.tolerances[t.spec.name]!r})"
            for t in given
        ),
    }


def _example(asked: list[_Tensor], given: list[_Tensor], words: Mapping[str, str]) -> dict[str, str]:
    arrays = [
        f"{t.word} = {t.held.array}({_length([d if isinstance(d, int) else 1 for d in t.spec.shape])})" for t in asked
    ]
    return {
        "EXAMPLE": ", ".join([*arrays, *(f"{word} = 1" for word in words.values())]),
        "EXAMPLE_PRINTS": "\n".join(f"    println(answer.{t.word}.toList())" for t in given),
    }


def _sizes(shape: Iterable[Dim], words: Mapping[str, str]) -> list[str]:
    return [str(dim) if isinstance(dim, int) else words[dim] for dim in shape]


def _length(sizes: Iterable[int]) -> int:
    length = 1
    for size in sizes:
        length *= int(size)
    return length


def _quoted(text: str) -> str:
    """Give a Kotlin string; `$` begins a template there."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
