"""What people get wrong between training and serving: for declared steps, the steps that training may have used instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy_core.preprocessing.declared import FILTERS

Steps = tuple[Mapping[str, Any], ...]
_IMAGENET: dict[str, Any] = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_KNOWN_NUMBERS: Mapping[str, dict[str, Any]] = {
    "ImageNet": _IMAGENET,
    "0.5": {"mean": [0.5] * 3, "std": [0.5] * 3},
    "CIFAR-10": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]},
    "CIFAR-10, other std": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]},
    "CLIP": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]},
    "Inception": {"mean": 127.5, "std": 127.5},
    "Caffe, BGR": {"mean": [103.939, 116.779, 123.68], "std": 1.0},
    "ImageNet of 255": {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
}
_SCALES: tuple[dict[str, Any], ...] = (
    {"by": "1/255", "add": 0}, {"by": "1/256", "add": 0}, {"by": "1/127.5", "add": -1}, {"by": 1, "add": 0},
)  # fmt: skip
_PAD_VALUES = (0, 114, 127, 128, 255)
_FLIPS = (
    ("width", "mirrors left and right"), ("height", "turns it upside down"), ("both", "turns it by 180°"),
    ("axes", "has height and width the other way round"), ("left", "turns it by 90° to the left"),
    ("right", "turns it by 90° to the right"),
)  # fmt: skip
_ROOM = (1.0, 256 / 224, 1.25)  # what the shorter side has beyond the crop, as people choose it
_NUMBERS = ("scale", "normalize")


@dataclass(frozen=True)
class Cause:
    """Other steps for the same bytes, what is said of it, and the place of the first step that is another."""

    steps: Steps
    index: int
    step: str  # what kind of step it is about
    training: str
    serving: str

    @property
    def said(self) -> str:
        """Say what differs."""
        return f"{self.step}: training {self.training}, serving {self.serving}"

    @property
    def of_numbers(self) -> bool:
        """Whether it is about numbers that are meant to be the same to the last digit, and no rounding excuses."""
        return self.step in _NUMBERS


def causes(steps: Steps) -> Iterator[Cause]:
    """Give every way in which training may have done otherwise that is one mistake."""
    for index, step in enumerate(steps):
        for other, training, serving in _VARIED.get(step["step"], _none)(step):
            yield Cause((*steps[:index], other, *steps[index + 1 :]), index, step["step"], training, serving)
        if step["step"] in ("color", *_NUMBERS, "center_crop", "pad"):
            yield Cause((*steps[:index], *steps[index + 1 :]), index, step["step"], "has none", f"has {named(step)}")
    yield from _inserted(steps)
    yield from _flipped(steps)
    yield from _swapped(steps)
    yield from _squared(steps)


def named(step: Mapping[str, Any]) -> str:
    """Give a step as people call it."""
    if step["step"] == "resize":
        return _way(step)
    if step["step"] == "center_crop":
        return f"a crop of {step['size']} as {step['as']} places it"
    rest = {key: value for key, value in step.items() if key != "step"}
    return ", ".join(f"{key} {value}" for key, value in rest.items()) or step["step"]


def _way(step: Mapping[str, Any]) -> str:
    library, name = step["as"], step["filter"]
    smooths = library == "pillow" or step.get("antialias")
    told = "" if name.startswith("nearest") or name in ("area", "box") else f" with{'' if smooths else 'out'} antialias"
    corners = " and aligned corners" if step.get("align_corners") else ""
    titles = {"pillow": "Pillow", "opencv": "OpenCV", "torch": "torch", "tensorflow": "TensorFlow"}
    return f"{name}{told}{corners} ({titles.get(library, 'TensorFlow 1')})"


Varied = Iterator[tuple[Mapping[str, Any], str, str]]


def _none(step: Mapping[str, Any]) -> Varied:
    return iter(())


def _decodes(step: Mapping[str, Any]) -> Varied:
    turned = not step.get("exif")
    told = ("turns pictures as EXIF says", "does not")
    yield {**step, "exif": turned}, told[not turned], told[turned]


def _colours(step: Mapping[str, Any]) -> Varied:
    for to in ("rgb", "bgr", "grey"):
        if to != step["to"]:
            yield {**step, "to": to}, f"has {to.upper()}", step["to"].upper()


def _resizes(step: Mapping[str, Any]) -> Varied:
    plain = {key: value for key, value in step.items() if key not in ("antialias", "align_corners", "as", "filter")}
    for way in _ways():
        other = {**plain, **way}
        if other != step:
            yield other, f"uses {_way(other)}", _way(step)
    if "size" in step and step["size"][0] != step["size"][1]:
        yield {**step, "size": step["size"][::-1]}, "has height and width the other way round", f"{step['size']}"


def _ways() -> Iterator[dict[str, Any]]:
    for library, names in FILTERS.items():
        for name in names:
            yield {"as": library, "filter": name}
            if library in ("torch", "tensorflow") and name in ("bilinear", "bicubic", "lanczos3", "lanczos5"):
                yield {"as": library, "filter": name, "antialias": True}
            if library in ("torch", "tensorflow1") and name in ("bilinear", "bicubic"):
                yield {"as": library, "filter": name, "align_corners": True}


def _crops(step: Mapping[str, Any]) -> Varied:
    other = "tensorflow" if step["as"] == "torch" else "torch"
    yield {**step, "as": other}, f"has {named({**step, 'as': other})}", named(step)
    for down, right in ((0, 1), (1, 0), (1, 1), (0, -1), (-1, 0), (-1, -1), (-99999, -99999)):
        told = "crops at the upper left" if down < -1 else f"crops {_aside(down, right)}"
        yield {**step, "shift": [down, right]}, told, "in the middle"


def _aside(down: int, right: int) -> str:
    """Say where a crop lies that is off by a pixel."""
    upright = {-1: "one pixel higher", 1: "one pixel lower"}.get(down, "")
    sideways = {-1: "one pixel further left", 1: "one pixel further right"}.get(right, "")
    return " and ".join(told for told in (upright, sideways) if told)


def _pads(step: Mapping[str, Any]) -> Varied:
    for side in ("end", "begin", "both"):
        for value in _PAD_VALUES:
            other = {**step, "side": side, "value": value}
            if other != step:
                yield other, f"pads {side} with {value}", f"{step['side']} with {step['value']}"


def _scales(step: Mapping[str, Any]) -> Varied:
    for numbers in _SCALES:
        if numbers != {"by": step["by"], "add": step.get("add", 0)}:
            yield {**step, **numbers}, f"scales {named(numbers | {'step': 'scale'})}", named(step)


def _normalizes(step: Mapping[str, Any]) -> Varied:
    for name, numbers in _KNOWN_NUMBERS.items():
        if numbers != {"mean": step["mean"], "std": step["std"]}:
            yield {**step, **numbers}, f"has mean and std of {name}", named(step)
    yield {**step, "mean": 0.0}, "subtracts no mean", named(step)
    yield {**step, "std": 1.0}, "divides by no std", named(step)
    if isinstance(step["mean"], Sequence) and isinstance(step["std"], Sequence):
        turned = {"mean": step["mean"][::-1], "std": step["std"][::-1]}
        yield {**step, **turned}, "has mean and std in the other order of channels", named(step)
        times = {key: [each * 255 for each in step[key]] for key in ("mean", "std")}
        yield {**step, **times}, "has mean and std for values to 255", named(step)


def _flipped(steps: Steps) -> Iterator[Cause]:
    kinds = [step["step"] for step in steps]
    for way, told in _FLIPS if kinds[0] == "decode" else ():
        yield _with(steps, _pixels(kinds) + 1, {"step": "flip", "way": way}, told, "does not")


def _pixels(kinds: Sequence[str]) -> int:
    """Give the place of the last step that is about pixels."""
    return max(
        (i for i, kind in enumerate(kinds) if kind in ("decode", "resize", "center_crop", "pad", "color")), default=0
    )


def _inserted(steps: Steps) -> Iterator[Cause]:
    kinds = [step["step"] for step in steps]
    pixels = _pixels(kinds)
    if "color" not in kinds and kinds[0] == "decode":
        for to in ("bgr", "grey"):
            yield _with(steps, 1, {"step": "color", "to": to}, f"has {to.upper()}", "RGB")
    if "scale" not in kinds:
        for numbers in _SCALES[:3]:
            yield _with(
                steps,
                pixels + 1,
                {"step": "scale", **numbers},
                f"scales {named(numbers | {'step': 'scale'})}",
                "does not",
            )
    if "normalize" not in kinds:
        after = max(pixels, kinds.index("scale") if "scale" in kinds else 0)
        for name, numbers in _KNOWN_NUMBERS.items():
            yield _with(steps, after + 1, {"step": "normalize", **numbers}, f"has mean and std of {name}", "has none")


def _with(steps: Steps, index: int, step: Mapping[str, Any], training: str, serving: str) -> Cause:
    return Cause((*steps[:index], step, *steps[index:]), index, str(step["step"]), training, serving)


def _swapped(steps: Steps) -> Iterator[Cause]:
    pixels = ("color", "resize", "center_crop", "pad")
    for index in range(len(steps) - 1):
        one, two = steps[index : index + 2]
        if all(each["step"] in pixels for each in (one, two)) or {one["step"], two["step"]} == set(_NUMBERS):
            both = (*steps[:index], two, one, *steps[index + 2 :])
            names = one["step"], two["step"]
            yield Cause(both, index, names[0], f"does it after {names[1]}", "before")


def _squared(steps: Steps) -> Iterator[Cause]:
    """A resize to a size, where training keeps the proportions and crops; or the other way round."""
    for index, step in enumerate(steps):
        rest = {key: value for key, value in step.items() if key not in ("size", "shorter")}
        following = steps[index + 1] if index + 1 < len(steps) else {"step": ""}
        if step["step"] != "resize":
            continue
        if "size" in step:
            crop = {"step": "center_crop", "size": step["size"], "as": "torch"}
            for shorter in dict.fromkeys(round(max(step["size"]) * room) for room in _ROOM):
                two = (*steps[:index], {**rest, "shorter": shorter}, crop, *steps[index + 1 :])
                training = f"makes the shorter side {shorter} and crops"
                yield Cause(two, index, "resize", training, f"stretches to {step['size']}")
        elif "shorter" in step and following["step"] == "center_crop":
            one = (*steps[:index], {**rest, "size": following["size"]}, *steps[index + 2 :])
            yield Cause(one, index, "resize", f"stretches to {following['size']}", "keeps the proportions and crops")


_VARIED = {
    "decode": _decodes,
    "color": _colours,
    "resize": _resizes,
    "center_crop": _crops,
    "pad": _pads,
    "scale": _scales,
    "normalize": _normalizes,
}
