"""Declared steps: their numbers are those of the libraries that they are named after, and mistakes are told in words."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core import preprocessing
from deploy_core.errors import InputError, UsageError
from deploy_core.preprocessing import Raw, declared, running
from deploy_core.preprocessing.resizing import resize
from deploy_core.signature import Signature

SIZES = [((50, 70), (24, 32)), ((50, 70), (24, 90)), ((33, 47), (77, 101)), ((64, 64), (32, 32)), ((61, 37), (90, 13))]
OPENCV = Path(__file__).parent / "opencv_resized" / "resized.npz"


def picture(height: int, width: int, seed: int = 0) -> Any:
    rows, columns = np.mgrid[:height, :width]
    waves = 127 + 80 * np.sin(columns / 7)[..., None] * np.cos(rows / 5)[..., None]
    noise = np.random.default_rng(seed).normal(0, 30, (height, width, 3))
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


def png(image: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def apart(one: Any, other: Any) -> float:
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return float(np.abs(one.astype(np.float64) - other).max())


@pytest.mark.parametrize(("have", "want"), SIZES)
@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_pillow(have: Any, want: Any, name: Any) -> None:
    from PIL import Image

    image = picture(*have)
    how = getattr(Image.Resampling, name.upper())
    theirs = np.asarray(Image.fromarray(image).resize(want[::-1], how))
    assert apart(resize(image, want, {"as": "pillow", "filter": name}), theirs) == 0


def test_pillow_takes_floats_and_grey() -> None:
    from PIL import Image

    grey = picture(40, 50)[..., :1]
    theirs = np.asarray(Image.fromarray(grey[..., 0]).resize((20, 16), Image.Resampling.BILINEAR))
    assert apart(resize(grey, (16, 20), {"as": "pillow", "filter": "bilinear"})[..., 0], theirs) == 0
    floats = resize(grey.astype(np.float32), (16, 20), {"as": "pillow", "filter": "bilinear"})[..., 0]
    assert floats.dtype == np.float32
    assert np.abs(floats - theirs).max() <= 1


@pytest.mark.parametrize(("have", "want"), SIZES)
def test_torch(have: Any, want: Any) -> None:
    import torch
    from torch.nn.functional import interpolate

    image = picture(*have)
    ways = [{"filter": name} for name in ("nearest", "nearest-exact", "area")]
    for name in ("bilinear", "bicubic"):
        ways += [{"filter": name, key: on} for key in ("antialias", "align_corners") for on in (False, True)]
    for step in ways:
        for kind, most in ((np.float32, 0.002), (np.uint8, 1)):
            if kind == np.uint8 and step["filter"] in ("nearest", "nearest-exact", "area"):
                continue
            planes = torch.from_numpy(image.astype(kind)).permute(2, 0, 1)[None]
            options = {key: value for key, value in step.items() if key != "filter"}
            theirs = interpolate(planes, size=want, mode=step["filter"], **options)[0].permute(1, 2, 0).numpy()
            assert apart(resize(image.astype(kind), want, {"as": "torch", **step}), theirs) <= most, (step, kind)


@pytest.mark.parametrize(("have", "want"), SIZES)
def test_tensorflow(have: Any, want: Any) -> None:
    import tensorflow as tf

    image = picture(*have)
    for name in declared.FILTERS["tensorflow"]:
        for antialias in (False, True) if name not in ("nearest", "area") else (False,):
            theirs = tf.image.resize(image, want, method=name, antialias=antialias).numpy()
            step = {"as": "tensorflow", "filter": name, "antialias": antialias}
            assert apart(resize(image, want, step), theirs) <= 0.005, step
    for name in declared.FILTERS["tensorflow1"]:
        for corners in (False, True) if name in ("bilinear", "bicubic") else (False,):
            theirs = tf.compat.v1.image.resize(image, want, method=name, align_corners=corners).numpy()
            step = {"as": "tensorflow1", "filter": name, "align_corners": corners}
            assert apart(resize(image, want, step), theirs) <= 0.3, step  # its table of weights is looked up in float32


@pytest.mark.parametrize("name", declared.FILTERS["opencv"])
def test_opencv_as_recorded(name: Any) -> None:
    """What cv2.resize of OpenCV 5.0 gave for uint8."""
    with np.load(OPENCV) as recorded:
        cases = {key.partition("/")[0] for key in recorded}
        for case in cases:
            theirs = recorded[f"{case}/{name}"]
            mine = resize(recorded[f"{case}/image"], theirs.shape[:2], {"as": "opencv", "filter": name})
            assert apart(mine, theirs) <= (0 if name == "nearest" else 1), case


def test_the_libraries_differ_from_each_other() -> None:
    """The words are the same; if the numbers were, there would be nothing to name."""
    image = picture(96, 120)
    ways = [
        {"as": library, "filter": name, "antialias": antialias}
        for library in declared.FILTERS
        for name in ("nearest", "bilinear", "bicubic")
        for antialias in (False, True)
        if not (antialias and (library in ("opencv", "pillow", "tensorflow1") or name == "nearest"))
    ]
    results = [resize(image, (40, 50), way).astype(np.float64) for way in ways]
    alike = {
        tuple(sorted((f"{a['as']} {a['filter']} {a['antialias']}", f"{b['as']} {b['filter']} {b['antialias']}")))
        for i, (a, x) in enumerate(zip(ways, results, strict=True))
        for b, y in zip(ways[:i], results[:i], strict=True)
        if np.abs(x - y).max() <= 1
    }
    assert ("opencv bilinear False", "torch bilinear False") in alike
    assert ("pillow bilinear False", "torch bilinear True") in alike
    assert not any("pillow bilinear" in pair and "opencv" in other for pair, other in alike)
    assert not any("nearest" in pair and "nearest" not in other for pair, other in alike)


def test_a_pipeline_is_what_torchvision_users_write() -> None:
    import torch
    from PIL import Image

    image = picture(60, 90)
    steps, _ = preprocessing.parsed(
        [
            {"step": "decode"},
            {"step": "resize", "as": "pillow", "filter": "bilinear", "shorter": 32},
            {"step": "center_crop", "size": 24},
            {"step": "scale", "by": "1/255"},
            {"step": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            {"step": "layout", "to": "CHW"},
            {"step": "batch"},
        ],
        "here",
    )
    small = Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR).crop((12, 4, 36, 28))
    tensor = torch.from_numpy(np.array(small)).permute(2, 0, 1).div(255)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = tensor.sub(mean[:, None, None]).div(std[:, None, None])[None].numpy()
    got = Raw(steps, "x").inputs([png(image)])["x"]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, wanted)
    # The layout may come before the numbers, too.
    turned = [*steps[:3], steps[5], steps[3], steps[4], steps[6]]
    np.testing.assert_array_equal(Raw(turned, "x").inputs([png(image)])["x"], wanted)
    two = Raw(steps, "x").inputs([png(image), png(image[:, ::-1])])["x"]
    assert two.shape == (2, 3, 24, 24)
    np.testing.assert_array_equal(two[:1], wanted)


def test_colours_are_pillows() -> None:
    from PIL import Image

    image = picture(9, 11)
    grey = running.prepared([{"step": "decode"}, {"step": "color", "to": "grey"}], png(image), resize)
    np.testing.assert_array_equal(grey[..., 0], np.asarray(Image.fromarray(image).convert("L")))
    turned = running.prepared([{"step": "decode"}, {"step": "color", "to": "bgr"}], png(image), resize)
    np.testing.assert_array_equal(turned, image[..., ::-1])


def test_exif_turns_a_picture_only_if_it_is_asked() -> None:
    from PIL import Image

    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6  # turned by a quarter
    Image.fromarray(picture(16, 24)).save(file, "JPEG", exif=exif)
    assert running.prepared([{"step": "decode"}], file.getvalue(), resize).shape == (16, 24, 3)
    assert running.prepared([{"step": "decode", "exif": True}], file.getvalue(), resize).shape == (24, 16, 3)


def test_arrays_pads_casts_and_text() -> None:
    file = io.BytesIO()
    np.save(file, picture(3, 5).astype(np.float32))
    data = file.getvalue()
    ends = {
        side: [{"step": "decode"}, {"step": "pad", "to": [4, 8], "side": side, "value": 7}]
        for side in ("end", "begin", "both")
    }
    where = {side: running.prepared(steps, data, resize) for side, steps in ends.items()}
    np.testing.assert_array_equal(where["end"][:3, :5], picture(3, 5))
    np.testing.assert_array_equal(where["begin"][1:, 3:], picture(3, 5))
    np.testing.assert_array_equal(where["both"][:3, 1:6], picture(3, 5))
    assert where["end"][3].max() == where["both"][:, 0].min() == 7
    cast = running.prepared(
        [{"step": "decode"}, {"step": "scale", "by": 2}, {"step": "dtype", "to": "uint8"}], data, resize
    )
    np.testing.assert_array_equal(cast, np.minimum(picture(3, 5).astype(int) * 2, 255))
    text = [
        {"step": "text", "lower": True, "strip": True},
        {"step": "tokens", "table": ["a", "b"], "length": 4, "unknown": 9},
    ]
    np.testing.assert_array_equal(running.prepared(text, b" B x a ", resize), [1, 9, 0, 0])


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml, plain = tmp_path / "steps.toml", tmp_path / "steps.json"
    toml.write_text(
        'input = "image"\n[[steps]]\nstep = "decode"\n[[steps]]\nstep = "resize"\nas = "torch"\nfilter = "bilinear"\n'
        "size = 8\nantialias = true\nalign_corners = false\n"
    )
    first, named = preprocessing.read(toml)
    assert named == "image"
    assert first[1] == {"step": "resize", "as": "torch", "filter": "bilinear", "size": [8, 8], "antialias": True}
    plain.write_text(json.dumps(list(first)))
    again, named = preprocessing.read(plain)
    assert (again, named) == (first, "")


WRONG = {
    "is 'resise', which is no step.*do you mean 'resize'": [{"step": "decode"}, {"step": "resise"}],
    "resize, lacks 'as'": [{"step": "decode"}, {"step": "resize", "filter": "bilinear", "size": 8}],
    "opencv has no filter 'lanczos3'": [{"step": "decode"}, {"step": "resize", "as": "opencv", "filter": "lanczos3", "size": 8}],
    "opencv's bilinear never smooths": [
        {"step": "decode"}, {"step": "resize", "as": "opencv", "filter": "bilinear", "size": 8, "antialias": True}
    ],
    "pillow's bicubic always smooths": [
        {"step": "decode"}, {"step": "resize", "as": "pillow", "filter": "bicubic", "size": 8, "antialias": False}
    ],
    "give one of size": [{"step": "decode"}, {"step": "resize", "as": "opencv", "filter": "area", "size": 8, "shorter": 9}],
    "size is 0, not a whole number from 1 on": [{"step": "decode"}, {"step": "center_crop", "size": 0}],
    "by is '1/0'": [{"step": "decode"}, {"step": "scale", "by": "1/0"}],
    "has no 'scale'.*it has by, add": [{"step": "decode"}, {"step": "scale", "by": 2, "scale": 3}],
    "mean has 3 numbers, std 2": [{"step": "decode"}, {"step": "normalize", "mean": [1, 2, 3], "std": [1, 2]}],
    "std is 0": [{"step": "decode"}, {"step": "normalize", "mean": 0, "std": 0}],
    "resize comes after layout": [
        {"step": "decode"}, {"step": "layout", "to": "CHW"},
        {"step": "resize", "as": "opencv", "filter": "area", "size": 8},
    ],
    "the first step is batch": [{"step": "batch"}],
    "tokens is for text": [{"step": "decode"}, {"step": "tokens", "table": ["a"], "length": 1, "unknown": 0}],
    "to is 'string', not a dtype of numbers": [{"step": "decode"}, {"step": "dtype", "to": "string"}],
    "has no steps": {"step": "decode"},
}  # fmt: skip


@pytest.mark.parametrize("said", WRONG)
def test_mistakes_are_told(said: Any) -> None:
    with pytest.raises(UsageError) as caught:
        preprocessing.parsed(WRONG[said], "steps.toml")
    assert re.search(said, f"{caught.value} {caught.value.hint}")


def test_steps_have_to_make_what_the_model_takes() -> None:
    signature = Signature.from_json(
        {"inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 3, 8, 8]}], "outputs": []}
    )
    steps = [
        {"step": "decode"}, {"step": "resize", "as": "pillow", "filter": "bilinear", "size": [8, 8]},
        {"step": "scale", "by": "1/255"}, {"step": "layout", "to": "CHW"}, {"step": "batch"},
    ]  # fmt: skip
    assert preprocessing.fitted(steps, "", signature).input == "x"
    with pytest.raises(UsageError, match="the steps do not make what the model takes") as caught:
        preprocessing.fitted(steps[:-1], "x", signature)
    assert "float32 [3, 8, 8]" in caught.value.hint
    with pytest.raises(UsageError, match="makes image, the model has x"):
        preprocessing.fitted(steps, "image", signature)


def test_bytes_that_are_no_picture_are_the_callers_fault() -> None:
    raw = Raw(({"step": "decode"},), "x")
    with pytest.raises(InputError, match=r"step 1, decode: it is no image in AVIF, BMP"):
        raw.inputs([b"nothing"])
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="allow_pickle=False"):
        raw.inputs([file.getvalue()])


def npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return running.NPY + b"\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy("((((((("), "cannot be read as one"),  # which the parser says by an error of its own
        (
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 1099511, 3)}"),
            "cannot be read as one",
        ),
        (npy("{'descr': [], 'fortran_order': False, 'shape': (2, 2, 3)}"), "not of numbers"),
        (npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (0, 2, 3)}"), "not of numbers"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n", "it is no image in AVIF"),
        (png(np.zeros((1, 70_000, 3), np.uint8)), "an image of 1 × 70000 has too many pixels"),
    ],
)
def test_strangers_bytes_are_refused_whatever_they_are(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Raw(({"step": "decode"},), "x").inputs([data])


def test_a_strip_does_not_grow_beyond_all_memory() -> None:
    steps = ({"step": "decode"}, {"step": "resize", "as": "pillow", "filter": "bilinear", "shorter": 2048})
    with pytest.raises(InputError, match="step 2, resize: an image of 2048 × 122880000 has too many pixels"):
        Raw(steps, "x").inputs([png(np.zeros((1, 60_000, 3), np.uint8))])
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 70_000, 1), np.uint8))  # whose weights would be kept
    with pytest.raises(InputError, match="an image of 2 × 70000"):
        Raw(steps, "x").inputs([buffer.getvalue()])
