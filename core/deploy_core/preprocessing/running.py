"""Run declared steps on raw bytes; this module stands alone: numpy and the standard library, Pillow where an image is decoded.

It lies as it is in the archives that servers run, with `resizing`, so that the same code runs wherever raw bytes come.
"""

from __future__ import annotations

import io
import json
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Step = Mapping[str, Any]
Resize = Callable[[Array, Sequence[int], Any], Array]
MOST_PIXELS = 1 << 26  # of an image: beyond, somebody wants to fill the memory
MOST_SIDE = (1 << 16) - 1  # pixels of its height or width, which is what JPEG can say
# Pillow knows more; to read some of those, such as EPS, it starts other programs, which strangers' bytes must not.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
NPY = b"\x93NUMPY"


def prepared(steps: Sequence[Step], data: bytes, resize: Resize) -> Array:
    """Give what all steps make of the bytes. Raises ValueError."""
    return finished(steps, 0, np.frombuffer(data, np.uint8), resize)


def finished(steps: Sequence[Step], begin: int, array: Array, resize: Resize) -> Array:
    """Give what the steps from `begin` on make of an array. Raises ValueError."""
    return [array, *further(steps, begin, array, resize)][-1]


def stages(steps: Sequence[Step], data: bytes, resize: Resize) -> Iterator[Array]:
    """Give what the bytes are after each step. Raises ValueError."""
    return further(steps, 0, np.frombuffer(data, np.uint8), resize)


def further(steps: Sequence[Step], begin: int, array: Array, resize: Resize) -> Iterator[Array]:
    """Give what an array is after each of the steps from `begin` on. Raises ValueError for one that cannot take it."""
    for index in range(begin, len(steps)):
        order = order_before(steps, index)
        step = steps[index]
        try:
            array = (
                _resized(array, step, resize) if step["step"] == "resize" else STEPS[step["step"]](array, step, order)
            )
        except (ValueError, IndexError, OSError) as error:
            raise ValueError(f"step {index + 1}, {step['step']}: {error}") from error
        yield array


def order_before(steps: Sequence[Step], index: int) -> str:
    """Give the axes of an image before a step, as letters: HWC, CHW, NHWC or NCHW."""
    order = "HWC"
    for step in steps[:index]:
        if step["step"] == "layout":
            order = order[:-3] + step["to"]
        elif step["step"] == "batch":
            order = "N" + order
    return order


def labelled(scores: Any, labels: Sequence[str], most: int = 5) -> dict[str, float]:
    """Give the likeliest labels of the first row with their scores, the likeliest first."""
    row = np.asarray(scores[0], dtype=np.float64)
    best = np.argsort(-row, kind="stable")[:most]
    return {labels[index]: float(row[index]) for index in best}


def is_safetensors(data: bytes) -> bool:
    """Tell them from raw bytes: they begin with the length of their header as uint64, and then have JSON."""
    return int.from_bytes(data[:8], "little") <= len(data) - 8 and data[8:9] == b"{"


class Beside:
    """How an archive prepares raw bytes, and labels its answers, if it does; for the handler, which stands alone, too."""

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / "deploy_raw.json").read_text(encoding="utf-8"))
        self._resize: Resize = runpy.run_path(str(folder / "deploy_resizing.py"))["resize"]
        self._steps, self._input, self._labels, self._output = (
            told[key] for key in ("steps", "input", "labels", "output")
        )
        if any(step["step"] == "decode" or step.get("as") == "pillow" for step in self._steps):
            import PIL  # noqa: F401  what is missing is better told when the model is loaded

    def inputs(self, body: str | bytes) -> dict[str, tuple[str, Array]] | None:
        """Give dtype and array of the input by its name; None if the body is safetensors. Raises ValueError."""
        data = body.encode() if isinstance(body, str) else bytes(body)
        if is_safetensors(data):
            return None
        array = np.ascontiguousarray(prepared(self._steps, data, self._resize))
        return {self._input: (array.dtype.name, array)}

    def answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Give the likeliest labels with their scores instead of `{"outputs": …}`, where there are labels."""
        return labelled(answer["outputs"][self._output], self._labels) if self._labels else answer


def _decoded(array: Array, step: Step, order: str) -> Array:
    data = array.tobytes()
    if data.startswith(NPY):
        found = _numbers(data)
        return found[..., None] if found.ndim == 2 else found
    try:
        return _picture(data, turn=bool(step.get("exif")))
    except ModuleNotFoundError as error:
        raise RuntimeError("decoding images needs Pillow, which is not installed: pip install pillow") from error
    except Exception as error:  # what Pillow raises of a broken file has no base of its own
        unknown = type(error).__name__ == "UnidentifiedImageError"
        told = f"it is no image in {', '.join(FORMATS)}" if unknown else str(error)
        raise ValueError(told) from error


def _numbers(data: bytes) -> Array:
    try:
        found = np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except Exception as error:  # of a broken header it may be what its parser or the memory says
        raise ValueError(f"it begins as a .npy file, and cannot be read as one: {error}") from error
    if found.dtype.kind not in "biuf":
        raise ValueError(f"it is an array of {found.dtype}, not of numbers")
    return found


def _picture(data: bytes, *, turn: bool) -> Array:
    from PIL import Image, ImageOps

    Image.init()
    with Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        _require_size(image.height, image.width)
        turned = ImageOps.exif_transpose(image) if turn else image
        return np.asarray(turned.convert("RGB"))


def _require_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS or max(height, width) > MOST_SIDE:
        raise ValueError(f"an image of {height} × {width} has too many pixels")


def _coloured(array: Array, step: Step, order: str) -> Array:
    axis = order.index("C")
    if array.shape[axis] != 3:
        raise ValueError(f"the image has {array.shape[axis]} channels, not 3")
    if step["to"] == "bgr":
        return np.flip(array, axis)
    if step["to"] == "rgb":
        return array
    # In the integers of Pillow's convert("L").
    red, green, blue = (np.take(array, [channel], axis).astype(np.uint32) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def size_of(step: Step, height: int, width: int) -> tuple[int, int]:
    """Give height and width after a resize, as torchvision does it for `shorter` and `longer`."""
    if "size" in step:
        return int(step["size"][0]), int(step["size"][1])
    pick, wanted = (min, step["shorter"]) if "shorter" in step else (max, step["longer"])
    side = pick(height, width)
    return max(int(wanted * height / side), 1), max(int(wanted * width / side), 1)


def _resized(array: Array, step: Step, resize: Resize) -> Array:
    if array.ndim != 3 or not array.size:
        raise ValueError(f"an array of shape {list(array.shape)} is no image of height × width × channels")
    wanted = size_of(step, *array.shape[:2])
    for size in (array.shape[:2], wanted):  # a strip grows by `shorter` to what no memory holds
        _require_size(*size)
    return resize(array, wanted, step)


def _cropped(array: Array, step: Step, order: str) -> Array:
    (height, width), (tall, wide) = step["size"], array.shape[:2]
    if height > tall or width > wide:
        raise ValueError(f"the image of {tall} × {wide} is smaller than {height} × {width}")
    if step.get("as") == "tensorflow":
        top, left = (tall - height) // 2, (wide - width) // 2
    else:
        top, left = round((tall - height) / 2), round((wide - width) / 2)
    down, right = step.get("shift", (0, 0))  # of a crop that is off; nobody declares one
    top, left = min(max(top + down, 0), tall - height), min(max(left + right, 0), wide - width)
    return array[top : top + height, left : left + width]


def _padded(array: Array, step: Step, order: str) -> Array:
    (height, width), (tall, wide) = step["to"], array.shape[:2]
    if height < tall or width < wide:
        raise ValueError(f"the image of {tall} × {wide} is larger than {height} × {width}")
    before = [(height - tall) // 2, (width - wide) // 2] if step.get("side") == "both" else [0, 0]
    before = [height - tall, width - wide] if step.get("side") == "begin" else before
    room = [(before[0], height - tall - before[0]), (before[1], width - wide - before[1]), (0, 0)]
    return np.pad(array, room, constant_values=step.get("value", 0))


def _flipped(array: Array, step: Step, order: str) -> Array:
    """Turn an image as somebody may have done by mistake; nobody declares it."""
    high, wide = order.index("H"), order.index("W")
    turned = {
        "width": lambda: np.flip(array, wide),
        "height": lambda: np.flip(array, high),
        "both": lambda: np.flip(array, (high, wide)),
        "axes": lambda: np.swapaxes(array, high, wide),
        "left": lambda: np.rot90(array, 1, (high, wide)),
        "right": lambda: np.rot90(array, -1, (high, wide)),
    }
    return turned[step["way"]]()


def factor(by: float | str) -> tuple[float, float]:
    """Give what to multiply by and what to divide by: `1/255` is a division, as in ToTensor."""
    if isinstance(by, str):
        over, _, under = by.partition("/")
        return float(over), float(under or 1)
    return float(by), 1.0


def _scaled(array: Array, step: Step, order: str) -> Array:
    over, under = factor(step["by"])
    scaled = array.astype(np.float32) * np.float32(over) / np.float32(under)
    return np.asarray(scaled + np.float32(step.get("add", 0)))


def _normalized(array: Array, step: Step, order: str) -> Array:
    mean, std = (np.asarray(step[name], np.float32) for name in ("mean", "std"))
    if order.endswith("CHW") and array.ndim >= 3:
        mean, std = (value.reshape(-1, 1, 1) if value.ndim else value for value in (mean, std))
    return np.asarray((array.astype(np.float32, copy=False) - mean) / std)


def _laid_out(array: Array, step: Step, order: str) -> Array:
    now, wanted = order[-3:], step["to"]
    axes = [now.index(letter) - 3 for letter in wanted]
    return np.ascontiguousarray(np.moveaxis(array, axes, (-3, -2, -1)))


def _cast(array: Array, step: Step, order: str) -> Array:
    wanted: np.dtype[Any] = np.dtype(step["to"])
    if wanted.kind in "iu":
        limits = np.iinfo(wanted)
        array = np.clip(array, limits.min, limits.max)
    return array.astype(wanted)


def _batched(array: Array, step: Step, order: str) -> Array:
    return array[None]


def _text(array: Array, step: Step, order: str) -> Array:
    text = array.tobytes().decode("utf-8")
    text = text.strip() if step.get("strip") else text
    text = text.lower() if step.get("lower") else text
    return np.frombuffer(text.encode(), np.uint8)


def _tokens(array: Array, step: Step, order: str) -> Array:
    table = {word: index for index, word in enumerate(step["table"])}
    ids = [table.get(word, step["unknown"]) for word in array.tobytes().decode("utf-8").split()][: step["length"]]
    return np.array(ids + [step.get("pad", 0)] * (step["length"] - len(ids)), np.int64)


STEPS: Mapping[str, Callable[[Array, Step, str], Array]] = {
    "decode": _decoded,
    "color": _coloured,
    "center_crop": _cropped,
    "pad": _padded,
    "flip": _flipped,
    "scale": _scaled,
    "normalize": _normalized,
    "layout": _laid_out,
    "dtype": _cast,
    "batch": _batched,
    "text": _text,
    "tokens": _tokens,
}
