"""Files from outside that would do more than compute: each is made here, does its harm when it is trusted, and is refused."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.errors import UnsafeError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import sources
from deploy_exporters.formats import adopt, load_file
from deploy_exporters.safety import archive, require_safe
from deploy_exporters.sources import opening
from deploy_exporters.worker import Workers

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 4)),), (TensorSpec("y", "float32", ("batch", 4)),))


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def refused(path: Path, format_: str, words: str, *, trust: bool = False) -> UnsafeError:
    with pytest.raises(UnsafeError, match=words) as caught:
        require_safe(path, format_, trust=trust)
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


# Archives


def _link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def _zip(path: Path, *names: str | zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile, too, warns of a name that is there already
        for name in names:
            opened.writestr(name, "/etc/passwd")
    return path


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("../../evil.npy",), "names a file outside itself: ../../evil.npy"),
        (("/etc/evil.npy",), "names a file outside itself: /etc/evil.npy"),
        (("a\\..\\evil.npy",), "names a file outside itself"),
        (("C:/evil.npy",), "names a file outside itself: C:/evil.npy"),
        ((_link(),), "holds a link: link"),
        (("a.npy", "a.npy"), "holds two files of one name: a.npy"),
    ],
)
def test_an_archive_that_leads_out_of_itself(
    tmp_path: Path, names: tuple[str | zipfile.ZipInfo, ...], words: str
) -> None:
    error = refused(_zip(tmp_path / "x.npz", *names), "npz", words, trust=True)
    assert "--trust" not in error.hint


def _bomb(path: Path, times: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("0.npy", bytes(10 << 20))
        for number in range(1, times):
            entry = zipfile.ZipInfo(f"{number}.npy")
            for name in ("compress_type", "compress_size", "file_size", "CRC", "header_offset"):
                setattr(entry, name, getattr(opened.filelist[0], name))
            opened.filelist.append(entry)
    return path


def test_a_bomb_whose_files_overlap(tmp_path: Path) -> None:
    bomb = _bomb(tmp_path / "bomb.npz", 150)
    assert bomb.stat().st_size < 40_000
    error = refused(bomb, "npz", "unpacks 10,[0-9]{3} bytes to 1,572,864,000")
    assert "--trust" in error.hint
    assert require_safe(bomb, "npz", trust=True)


def test_a_bomb_of_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = tmp_path / "zeros.npz"
    np.savez_compressed(zeros, x=np.zeros(1 << 20))
    assert require_safe(zeros, "npz") == (), "weights of zeros are no attack"
    monkeypatch.setattr(archive, "UNPACKED", 1 << 20)
    refused(zeros, "npz", "unpacks")


def test_an_archive_of_very_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "ENTRIES", 3)
    refused(_zip(tmp_path / "x.npz", "a", "b", "c", "d"), "npz", "holds 4 files")


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.npz", "a.npy")
    body = bytearray(path.read_bytes())
    body[6] |= 1
    body[body.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(body)
    refused(path, "npz", "holds an encrypted file")


# Pickles


def _pickles(marker: Path) -> dict[str, bytes]:
    import torch

    def saved(thing: object, **options: Any) -> bytes:
        body = io.BytesIO()
        torch.save(thing, body, **options)
        return body.getvalue()

    evil = Evil(marker)
    weights = {"weight": torch.ones(2)}
    plain = pickle.dumps(evil)
    masked = b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x0bcollections\x8c\x0bOrderedDict00\x93(\x8c\x04true\x85R."
    return {
        "raw": plain,
        "text": pickle.dumps(evil, protocol=0),
        "torch": saved({**weights, "evil": evil}),
        "old torch": saved({**weights, "evil": evil}, _use_new_zipfile_serialization=False),
        "module": saved(torch.nn.Linear(2, 2)),
        "in front of an archive": plain + saved(weights),
        "in a pickle": saved({"inner": _Loads(saved(evil))}),
        "behind what it pops": masked,
    }


class _Loads:
    """Has torch unpickle bytes of its own choice."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def __reduce__(self) -> tuple[object, ...]:
        import torch

        return torch.load, (io.BytesIO(self.body),)


@pytest.mark.parametrize(
    "how",
    ["raw", "text", "torch", "old torch", "module", "in front of an archive", "in a pickle", "behind what it pops"],
)
def test_a_pickle_is_not_read(tmp_path: Path, how: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pt"
    path.write_bytes(_pickles(marker)[how])
    error = refused(path, "pickle", "is a pickle, and reading it runs")
    assert "--trust" in error.hint
    assert "TorchScript" in error.hint
    assert not marker.exists()
    if how == "raw":
        pickle.loads(path.read_bytes())
        assert marker.exists(), "the file does harm"


def test_weights_alone_run_nothing(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "weights.pt"
    torch.save(
        {"a": torch.ones(2), "b": [torch.zeros(1, dtype=torch.float16)], "c": torch.nn.Parameter(torch.ones(1))}, path
    )
    assert require_safe(path, "pickle") == ()
    with pytest.raises(UsageError, match="holds pickled weights, not a model"):
        opening.open_source(sources.find(str(path)), sources.Given())


# torch's programs


def _program(marker: Path, folder: Path) -> Path:
    import torch

    class Writes(torch.nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, self.name)
            return x

    path = folder / "writes.pt"
    _script(Writes(str(marker)), path)
    return path


def _script(model: Any, path: Path) -> None:
    from deploy_exporters import jit

    jit.save(jit.script(model), path, SIGNATURE)


def test_torchscript_that_writes_files(tmp_path: Path) -> None:
    path = _program(tmp_path / "marker", tmp_path)
    refused(path, "torchscript", "calls torch.save, which opens files")
    with pytest.raises(UnsafeError):
        load_file("torchscript", path)
    assert not (tmp_path / "marker").exists()
    load_file("torchscript", path, trust=True).predict({"x": np.zeros((1, 4), np.float32)})
    assert (tmp_path / "marker").exists(), "the file does harm"


def test_torchscript_with_a_pickle_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("model/code/__torch__.py", "")
        opened.writestr("model/data.pkl", pickle.dumps(Evil(tmp_path / "marker")))
    refused(path, "torchscript", "model/data.pkl is a pickle, and reading it runs pathlib.Path.touch|getattr")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    dynamic = {0: torch.export.Dim("rows", min=2, max=64)}
    exported = torch.export.export(torch.nn.Linear(4, 4), (torch.ones(2, 4),), dynamic_shapes=(dynamic,))
    torch.export.save(exported, str(path))
    return path


def _changed(source: Path, target: Path, change: Callable[[str, bytes], bytes], **more: bytes) -> Path:
    with zipfile.ZipFile(source) as opened, zipfile.ZipFile(target, "w") as changed:
        for name in opened.namelist():
            changed.writestr(name, change(name, opened.read(name)))
        for name, body in more.items():
            changed.writestr(f"model/{name}", body)
    return target


def _in_graph(old: str, new: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, body: bytes) -> bytes:
        assert not name.endswith("models/model.json") or old.encode() in body
        return body.replace(old.encode(), new.encode()) if name.endswith("models/model.json") else body

    return change


def _symbol(path: Path) -> str:
    with zipfile.ZipFile(path) as opened:
        document = json.loads(next(opened.read(n) for n in opened.namelist() if n.endswith("models/model.json")))
    sizes = document["graph_module"]["graph"]["tensor_values"]
    return str(next(s["as_expr"]["expr_str"] for v in sizes.values() for s in v["sizes"] if "as_expr" in s))


def test_a_pt2_program_is_safe(program: Path) -> None:
    assert require_safe(program, "pt2") == ()


def test_a_pt2_whose_sizes_are_code(program: Path, tmp_path: Path) -> None:
    import torch

    marker = tmp_path / "marker"
    code = f"__import__('pathlib').Path('{marker}').touch() or {_symbol(program)}"
    path = _changed(program, tmp_path / "evil.pt2", _in_graph(_symbol(program), code))
    refused(path, "pt2", "holds what torch would run as Python: expr_str")
    assert not marker.exists()
    torch.export.load(str(path))
    assert marker.exists(), "the file does harm"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.ops.aten.linear.default", "torch.serialization.os.system"),
        ("torch.ops.aten.linear.default", "_operator.methodcaller"),
        ('"name": "input"', '"name": "input=print()"'),
        ('"guards_code": []', '"guards_code": ["print() or L[\'input\'].size()[0] < 5"]'),
        ('"forward_arg_names": ["input"]', '"forward_arg_names": ["input=print()"]'),
    ],
)
def test_a_pt2_whose_graph_is_code(program: Path, tmp_path: Path, old: str, new: str) -> None:
    refused(
        _changed(program, tmp_path / "evil.pt2", _in_graph(old, new)), "pt2", "holds what torch would run as Python"
    )


def test_a_pt2_that_opens_files(program: Path, tmp_path: Path) -> None:
    change = _in_graph("torch.ops.aten.linear.default", "torch.ops.aten.from_file.default")
    refused(_changed(program, tmp_path / "evil.pt2", change), "pt2", "calls torch.ops.aten.from_file.default")


def test_a_pt2_with_a_pickle(program: Path, tmp_path: Path) -> None:
    evil = pickle.dumps(Evil(tmp_path / "marker"))
    more = {"data/constants/opaque_obj_0": evil}
    refused(_changed(program, tmp_path / "evil.pt2", lambda _, body: body, **more), "pt2", "opaque_obj_0 is a pickle")

    def pickled(name: str, body: bytes) -> bytes:
        if name.endswith("weights/weight_0"):
            return evil
        return body.replace(b'"use_pickle": false', b'"use_pickle": true') if name.endswith("config.json") else body

    refused(_changed(program, tmp_path / "weight.pt2", pickled), "pt2", "weight_0 is a pickle")


def test_a_pt2_with_a_library(program: Path, tmp_path: Path) -> None:
    more = {"data/aotinductor/model/model.so": b"\x7fELF"}
    refused(_changed(program, tmp_path / "evil.pt2", lambda _, body: body, **more), "pt2", "is compiled code")


# Keras


def _keras(path: Path, function: Mapping[str, object], layer: str = "Lambda") -> Path:
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": "net",
            "layers": [
                {
                    "module": "keras.layers",
                    "class_name": "InputLayer",
                    "config": {"batch_shape": [None, 4], "name": "x"},
                },
                {
                    "module": "keras.layers" if layer == "Lambda" else None,
                    "class_name": layer,
                    "registered_name": None if layer == "Lambda" else f"theirs>{layer}",
                    "config": {"name": "surprise", "function": function},
                },
            ],
        },
    }
    weights = io.BytesIO()
    import h5py

    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("metadata.json", json.dumps({"keras_version": "3.15.0", "date_saved": "2026-01-01@00:00:00"}))
        opened.writestr("config.json", json.dumps(config))
        opened.writestr("model.weights.h5", weights.getvalue())
    return path


def _lambda(marker: Path) -> dict[str, object]:
    code = compile(f"lambda t: __import__('pathlib').Path({str(marker)!r}).touch() or t", "evil", "eval").co_consts[0]
    body = base64.b64encode(marshal.dumps(code)).decode()
    return {"class_name": "__lambda__", "config": {"code": body, "defaults": None, "closure": None}}


def test_a_keras_lambda(workers: Workers, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = _keras(tmp_path / "model.keras", _lambda(marker))
    error = refused(path, "keras", "layer 'surprise' holds a Python lambda")
    assert "--trust" in error.hint
    with pytest.raises(UnsafeError):
        adopt(workers, path)
    assert not marker.exists()
    assert adopt(workers, path, trust=True).format == "keras"
    assert marker.exists(), "the file does harm"


def test_a_keras_layer_whose_code_is_elsewhere(tmp_path: Path) -> None:
    error = refused(_keras(tmp_path / "a.keras", {}, "Mine"), "keras", r"does not hold: Mine \(layer 'surprise'\)")
    assert "FILE.py:ATTRIBUTE" in error.hint
    function = {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}
    refused(_keras(tmp_path / "b.keras", function), "keras", r"does not hold: system \(layer 'surprise'\)")


def test_keras_weights_in_another_file(tmp_path: Path) -> None:
    import h5py

    path = _keras(tmp_path / "model.keras", {"class_name": "function", "module": "builtins", "config": "relu"})
    assert require_safe(path, "keras") == ()
    for how, value in {"link": h5py.ExternalLink("/etc/passwd", "/"), "data": None}.items():
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            if value is None:
                file.create_dataset("vars/0", (4,), "u1", external=[("/etc/passwd", 0, 4)])
            else:
                file["vars"] = value
        changed = tmp_path / f"{how}.keras"
        _changed(path, changed, lambda name, body, w=weights: w.getvalue() if name.endswith(".h5") else body)  # type: ignore[misc]
        refused(changed, "keras", "its weights lie in other files", trust=True)


# SavedModels, made and looked at in a worker, where TensorFlow is


MODELS = """
import tensorflow as tf
folder = {folder!r}
class Model(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable([2.0])
    def surprise(self, x):
        return x
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def serve(self, x):
        return {{"y": self.surprise(x) * self.weight}}
class Writes(Model):
    def surprise(self, x):
        tf.io.write_file(folder + "/marker", "hello")
        return x
class Reads(Model):
    def surprise(self, x):
        return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
class Python(Model):
    def surprise(self, x):
        return tf.ensure_shape(tf.py_function(lambda t: t, [x], tf.float32), [None, 4])
class Prints(Model):
    def surprise(self, x):
        tf.print("hello", output_stream="file://" + folder + "/marker")
        return x
class Saves(Model):
    def surprise(self, x):
        tf.raw_ops.SaveV2(prefix=folder + "/marker", tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        return x
class Table(Model):
    def __init__(self):
        super().__init__()
        open(folder + "/words.txt", "w").write("a\\nb\\n")
        found = tf.lookup.TextFileInitializer(folder + "/words.txt", tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
        self.table = tf.lookup.StaticVocabularyTable(found, 1)
    def surprise(self, x):
        return x + tf.cast(self.table.lookup(tf.strings.as_string(x)), tf.float32)
for kind in (Model, Table, Writes, Reads, Python, Prints, Saves):
    model = kind()
    tf.saved_model.save(model, folder + "/" + kind.__name__, signatures=model.serve)
"""


@pytest.fixture(scope="module")
def savedmodels(workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("savedmodels")
    workers.call("runtime", "builtins:exec", MODELS.format(folder=str(folder)), {})
    return folder


def _look(workers: Workers, path: Path, *, trust: bool = False) -> tuple[str, ...]:
    found: tuple[str, ...] = workers.call(
        "runtime", "deploy_exporters.safety:require_safe", path, "savedmodel", trust=trust
    )
    return found


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("Writes", "WriteFile"),
        ("Reads", "ReadFile"),
        ("Python", "EagerPyFunc"),
        ("Prints", "PrintV2"),
        ("Saves", "SaveV2"),
    ],
)
def test_a_savedmodel_with_operators_that_touch_the_world(
    workers: Workers, savedmodels: Path, name: str, operator: str
) -> None:
    with pytest.raises(UnsafeError, match=rf"open files or run Python: {operator} \(__inference_serve_\d+/") as caught:
        _look(workers, savedmodels / name)
    assert "--trust" in caught.value.hint
    (told,) = _look(workers, savedmodels / name, trust=True)
    assert told.startswith("trusted: ")
    assert operator in told


def test_a_savedmodel_that_writes_is_run_only_when_trusted(workers: Workers, savedmodels: Path) -> None:
    from deploy_exporters.formats import hosted

    with pytest.raises(UnsafeError):
        adopt(workers, savedmodels / "Writes")
    assert not (savedmodels / "marker").exists()
    predictor = hosted(workers, adopt(workers, savedmodels / "Writes", trust=True))
    predictor.predict({"x": np.zeros((1, 4), np.float32)})
    predictor.close()
    assert (savedmodels / "marker").exists(), "the file does harm"


@pytest.mark.parametrize("name", ["Model", "Table"])
def test_a_savedmodels_own_saver_and_vocabulary_are_no_danger(workers: Workers, savedmodels: Path, name: str) -> None:
    assert _look(workers, savedmodels / name) == ()


def test_a_savedmodel_whose_files_are_elsewhere(workers: Workers, savedmodels: Path, tmp_path: Path) -> None:
    path = tmp_path / "model"
    (path / "assets").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(
        (savedmodels / "Table" / "saved_model.pb").read_bytes().replace(b"words.txt", b"../../a.b")
    )
    with pytest.raises(UnsafeError, match=r"its assets lie outside its folder: ../../a.b"):
        _look(workers, path, trust=True)
    (path / "assets" / "words.txt").symlink_to("/etc/hostname")
    with pytest.raises(UnsafeError, match=r"links to files outside its folder: assets/words.txt"):
        _look(workers, path, trust=True)


# ONNX


def _onnx(path: Path, location: str, *, offset: int = 0, domain: str = "") -> Path:
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": str(offset), "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy"]
    node = helper.make_node("Add" if not domain else "Surprise", ["x", "w"], ["y"], domain=domain)
    graph = helper.make_graph([node], "graph", values[:1], values[1:], [tensor])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(domain or "ai.onnx.ml", 1)]
    )
    path.write_bytes(model.SerializeToString())
    (path.parent / "own.bin").write_bytes(struct.pack("4f", 1, 2, 3, 4))
    return path


@pytest.mark.parametrize(
    ("location", "offset", "words"),
    [
        ("../own.bin", 0, "w lies at '../own.bin', outside its folder"),
        ("a/../../own.bin", 0, "outside its folder"),
        ("/etc/passwd", 0, "w lies at '/etc/passwd', outside its folder"),
        ("link.bin", 0, "w lies at 'link.bin', which is a link"),
        ("own.bin", 4, "w ends at byte 20 of own.bin, which has 16"),
        ("own.bin", 1 << 62, "which has 16"),
        ("gone.bin", 0, "which is not there"),
    ],
)
def test_onnx_data_outside(tmp_path: Path, location: str, offset: int, words: str) -> None:
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    refused(_onnx(tmp_path / "model.onnx", location, offset=offset), "onnx", words, trust=True)


def test_onnx_data_beside_the_file(workers: Workers, tmp_path: Path) -> None:
    assert require_safe(_onnx(tmp_path / "model.onnx", "own.bin"), "onnx") == ()
    assert adopt(workers, tmp_path / "model.onnx").format == "onnx"


def test_onnx_with_foreign_operators(tmp_path: Path) -> None:
    refused(_onnx(tmp_path / "model.onnx", "own.bin", domain="com.theirs"), "onnx", "com.theirs.Surprise")


# TorchServe archives


def test_a_mar_with_code_of_its_own(workers: Workers, tmp_path: Path) -> None:
    from deploy_exporters.safety.mar import HANDLER

    marker = tmp_path / "marker"
    program = tmp_path / "model.pt"
    import torch

    _script(torch.nn.ReLU(), program)
    manifest = {
        "model": {"modelName": "m", "handler": HANDLER.name, "serializedFile": "model.pt", "modelVersion": "1.0"}
    }
    path = tmp_path / "evil.mar"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        opened.writestr("model.pt", program.read_bytes())
        opened.writestr("signature.json", json.dumps(SIGNATURE.to_json()))
        opened.writestr(HANDLER.name, f"{HANDLER.read_text()}\nopen({str(marker)!r}, 'w').close()\n")
        opened.writestr("requirements.txt", "evil")
    error = refused(path, "mar", "it carries a handler that is not ours: deploy_handler.py.*requirements.txt")
    assert "--trust" in error.hint
    with pytest.raises(UnsafeError):
        adopt(workers, path)
    assert not marker.exists()
    assert adopt(workers, path, trust=True).format == "mar"
    assert marker.exists(), "the file does harm"


def test_what_cannot_be_looked_at_is_not_opened(tmp_path: Path) -> None:
    for format_ in ("torchscript", "pt2", "mar", "keras", "onnx"):
        path = tmp_path / f"model.{format_}"
        path.write_bytes(b"PK\3\4 and no more")
        with pytest.raises(UsageError, match=f"cannot be read as {format_}"):
            require_safe(path, format_)
