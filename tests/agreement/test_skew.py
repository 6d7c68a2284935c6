"""Preprocessing skew: the training side is real Pillow, torch and numpy; the steps that are served have one mistake."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_agreement.skew.causes import causes
from deploy_agreement.skew.steps import Prepared, skew
from deploy_core import preprocessing
from deploy_core.preprocessing import Raw

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
DECODE, TO_CHW, BATCH = {"step": "decode"}, {"step": "layout", "to": "CHW"}, {"step": "batch"}
RESIZE = {"step": "resize", "as": "pillow", "filter": "bilinear", "shorter": 40}
CROP = {"step": "center_crop", "size": 32}
SCALE, NORMALIZE = {"step": "scale", "by": "1/255"}, {"step": "normalize", "mean": MEAN, "std": STD}
STEPS = [DECODE, RESIZE, CROP, SCALE, NORMALIZE, TO_CHW, BATCH]


def picture(height: int, width: int, seed: int) -> Any:
    rows, columns = np.mgrid[:height, :width]
    waves = 127 + 70 * np.sin(columns / 7 + seed)[..., None] * np.cos(rows / 5)[..., None] + np.array([30, 0, -30])
    return np.clip(waves + np.random.default_rng(seed).normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


FILES = [encoded(picture(75, 99, 1), "PNG"), encoded(picture(81, 60, 2), "JPEG", quality=95)]


def opened(data: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")


def small(data: bytes, how: int = 2) -> Any:
    image = opened(data)
    side = min(image.size)
    image = image.resize((int(40 * image.width / side), int(40 * image.height / side)), how)
    left, top = round((image.width - 32) / 2), round((image.height - 32) / 2)
    return image.crop((left, top, left + 32, top + 32))


def tensor(image: Any) -> Any:
    import torch

    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1).div(255)
    return planes.sub(torch.tensor(MEAN)[:, None, None]).div(torch.tensor(STD)[:, None, None])[None]


def train(data: bytes) -> Any:
    """What torchvision users write."""
    return tensor(small(data)).numpy()


def asked(steps: list[dict[str, Any]], training: Callable[[bytes], Any] = train) -> Any:
    declared, _ = preprocessing.parsed(steps, "here")
    files = [Prepared(f"{index}", data, (("train", training(data)),)) for index, data in enumerate(FILES)]
    return skew(Raw(declared, "x"), files)


def changed(**steps: Any) -> list[dict[str, Any]]:
    """Give the steps with some of them changed, or left out where None."""
    found = []
    for step in STEPS:
        other = steps.get(step["step"], step)
        if other is not None:
            found.append(other if "step" in other else {**step, **other})
    return found


def test_what_is_served_as_it_was_trained_agrees() -> None:
    report = asked(STEPS)
    assert report.ok
    assert not report.said
    assert report.files == 2
    assert report.steps[-1].off is not None
    assert report.steps[-1].off < 1e-6


def test_the_same_filter_of_another_library_is_rounding() -> None:
    """torch's antialias is Pillow's; the last bit of a pixel is not a skew, but it is told."""
    report = asked(changed(resize={"as": "torch", "antialias": True}))
    assert report.ok
    assert re.search(
        r"within the rounding of pixels; resize: training uses bilinear with antialias \(Pillow\)", report.said
    )


MISTAKES: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "no antialias": (
        changed(resize={"as": "opencv"}), "resize",
        r"training uses bilinear with antialias \(Pillow\), serving bilinear without antialias \(OpenCV\)",
    ),
    "another filter": (changed(resize={"filter": "bicubic"}), "resize", r"training uses bilinear .*, serving bicubic"),
    "nearest": (changed(resize={"filter": "nearest"}), "resize", r"serving nearest \(Pillow\)"),
    "BGR": ([DECODE, {"step": "color", "to": "bgr"}, *STEPS[1:]], "color", "training (has RGB|has none)"),
    "mean forgotten": (changed(normalize=None), "normalize", "training has mean and std of ImageNet, serving has none"),
    "mean of another model": (
        changed(normalize={"mean": [0.5] * 3, "std": [0.5] * 3}), "normalize", "training has mean and std of ImageNet"
    ),
    "mean of 255": (
        changed(normalize={"mean": [v * 255 for v in MEAN], "std": [v * 255 for v in STD]}), "normalize", "ImageNet"
    ),
    "1/255 forgotten": (changed(scale=None), "scale", r"training scales by 1/255.*, serving does not"),
    "1/256": (changed(scale={"by": "1/256"}), "scale", "by 1/255"),
    "stretched": (
        changed(center_crop=None, resize={k: v for k, v in RESIZE.items() if k != "shorter"} | {"size": 32}),
        "resize", "training makes the shorter side 40 and crops",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_step_is_named(mistake: str) -> None:
    steps, named, said = MISTAKES[mistake]
    report = asked(steps)
    assert not report.ok
    assert report.first == named, report
    assert re.search(said, report.said), report.said


def test_a_crop_that_is_off_by_one() -> None:
    def own(data: bytes) -> Any:
        image = opened(data)
        side = min(image.size)
        image = image.resize((int(40 * image.width / side), int(40 * image.height / side)), 2)
        left, top = (image.width - 32) // 2 + 1, (image.height - 32) // 2
        return tensor(image.crop((left, top, left + 32, top + 32))).numpy()

    report = asked(STEPS, own)
    assert (report.ok, report.first) == (False, "center_crop")
    assert "training crops one pixel further right, serving in the middle" in report.said


def test_a_crop_is_off_to_a_side_that_has_a_name() -> None:
    said = " ".join(cause.said for cause in causes(preprocessing.parsed(STEPS, "here")[0]))
    assert "crops one pixel higher and one pixel further left" in said
    assert not re.search(r"-\d+ pixel|\b0 pixel", said)


FLIPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mirrored": (lambda array: array[..., ::-1], "mirrors left and right"),
    "upside down": (lambda array: array[..., ::-1, :], "turns it upside down"),
    "both": (lambda array: array[..., ::-1, ::-1], "turns it by 180°"),
    "transposed": (lambda array: array.swapaxes(-1, -2), "has height and width the other way round"),
    "rotated": (lambda array: np.rot90(array, 1, (-2, -1)), "turns it by 90° to the left"),
}


@pytest.mark.parametrize("flip", FLIPS)
def test_a_picture_that_is_turned_is_recognised(flip: str) -> None:
    turn, said = FLIPS[flip]
    report = asked(STEPS, lambda data: turn(train(data)))
    assert (report.ok, report.first) == (False, "flip")
    assert f"training {said}, serving does not" in report.said


@pytest.mark.parametrize("first", [0, 1])
def test_a_jpeg_among_the_files_excuses_no_png(first: int) -> None:
    """What is off by a few levels may be the decoder of the one, never of the other."""

    def own(data: bytes) -> Any:
        levels = np.asarray(small(data))
        return tensor(np.where(levels < 40, levels + 10, levels)).numpy()

    raw = Raw(preprocessing.parsed(STEPS, "here")[0], "x")
    files = [Prepared(f"{index}", FILES[index], (("train", own(FILES[index])),)) for index in (first, 1 - first)]
    jpeg = next(file for file in files if file.name == "1")
    alone = skew(raw, [jpeg])
    assert alone.ok, alone
    assert "decodes JPEG by another library" in alone.said
    report = skew(raw, files)
    assert not report.ok, report
    assert "JPEG" not in report.said
    assert not report.steps[-1].ok
    assert report.steps[-1].off is not None
    assert report.steps[-1].off > report.steps[-1].limit


def test_numbers_that_nobody_knows_are_found_by_what_they_do() -> None:
    def own(data: bytes) -> Any:
        return (np.asarray(small(data), np.float32) / 255 - [0.31, 0.42, 0.53]).transpose(2, 0, 1)[None] / 0.19

    report = asked(STEPS, own)
    assert (report.ok, report.first) == (False, "normalize")
    assert "training has other numbers (1.205 × ours" in report.said


def test_two_mistakes_at_once_are_both_told() -> None:
    report = asked([DECODE, {"step": "color", "to": "bgr"}, *changed(resize={"as": "opencv"})[1:]])
    assert not report.ok
    assert report.first in ("color", "resize")
    assert "color" in report.said or "RGB" in report.said
    assert "OpenCV" in report.said


def test_pictures_turned_by_exif() -> None:
    from PIL import Image, ImageOps

    exif = Image.Exif()
    exif[274] = 6
    data = encoded(picture(60, 80, 3), "JPEG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    trained = tensor(upright.resize((32, 32), Image.Resampling.BILINEAR)).numpy()
    steps = [DECODE, {"step": "resize", "as": "pillow", "filter": "bilinear", "size": 32}, *STEPS[3:]]
    raw = Raw(preprocessing.parsed(steps, "here")[0], "x")
    report = skew(raw, [Prepared("a", data, (("train", trained),))])
    assert (report.first, report.ok) == ("decode", False)
    assert "training turns pictures as EXIF says" in report.said


def test_another_decoder_of_jpeg_is_told_and_hides_no_mistake() -> None:
    """As TensorFlow's fast one: a few levels off at some pixels, of a JPEG only."""
    from PIL import Image

    def roughly(data: bytes) -> Any:
        image = np.asarray(opened(data)).astype(int)
        random = np.random.default_rng(len(data))
        noise = random.integers(-5, 6, image.shape) * (random.random(image.shape) < 0.3)
        rough = Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8))
        return tensor(rough.resize((32, 32), Image.Resampling.NEAREST)).numpy()

    steps = [DECODE, {"step": "resize", "as": "pillow", "filter": "nearest", "size": 32}, *STEPS[3:]]
    for file, mistake, ok, said in (
        (1, {}, True, "training decodes JPEG by another library"),
        (1, {"filter": "bilinear"}, False, "training uses nearest"),
        (0, {}, False, "no usual mistake explains it"),  # a PNG is decoded alike by all
    ):
        served = [steps[0], {**steps[1], **mistake}, *steps[2:]]
        raw = Raw(preprocessing.parsed(served, "here")[0], "x")
        report = skew(raw, [Prepared("a", FILES[file], (("train", roughly(FILES[file])),))])
        assert report.ok == ok, report
        assert said in report.said


def test_steps_of_training_are_compared_one_by_one() -> None:
    def stages(data: bytes, how: int) -> tuple[tuple[str, Any], ...]:
        image = small(data, how)
        return (("open", np.asarray(opened(data))), ("small", np.asarray(image)), ("tensor", tensor(image).numpy()))

    raw = Raw(preprocessing.parsed(STEPS, "here")[0], "x")
    same = skew(raw, [Prepared("a", data, stages(data, 2)) for data in FILES])
    assert same.ok
    assert [row.said for row in same.steps] == ["training: open", "training: small", "training: tensor"]
    other = skew(raw, [Prepared("a", data, stages(data, 4)) for data in FILES])  # Pillow's box
    assert (other.ok, other.first) == (False, "resize")
    assert "training uses box (Pillow)" in other.said
    assert [row.ok for row in other.steps][:2] == [True, False]


def test_what_no_mistake_explains_is_not_explained() -> None:
    def noise(data: bytes) -> Any:
        return train(data) + np.random.default_rng(0).normal(0, 1, (1, 3, 32, 32))

    report = asked(STEPS, noise)
    assert not report.ok
    assert "no usual mistake explains it" in report.said
    wrong = asked(STEPS, lambda data: train(data)[..., :16])
    assert not wrong.ok
    assert "training gives shape [1, 3, 32, 16]" in wrong.steps[0].said
    assert "the inputs differ (training gives shape [1, 3, 32, 16], serving [1, 3, 32, 32])" in wrong.said
    flat = asked(STEPS, lambda data: np.zeros((2, 2), np.float32))
    assert "training gives shape [2, 2], serving [1, 3, 32, 32]" in flat.said


def test_nothing_compared_is_not_agreement() -> None:
    report = skew(Raw(preprocessing.parsed(STEPS, "here")[0], "x"), [])
    assert not report.ok
    assert "nothing to compare" in report.said


def test_every_cause_is_another_pipeline() -> None:
    steps, _ = preprocessing.parsed(STEPS, "here")
    found = list(causes(steps))
    assert len(found) > 50
    assert all(cause.steps != steps and cause.said for cause in found)
