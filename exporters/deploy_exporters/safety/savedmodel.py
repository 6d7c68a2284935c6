"""SavedModels: operators that touch files or run Python, and assets outside the folder; the graph is read, not loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deploy_exporters.safety.danger import Danger, some

_PYTHON = re.compile(
    r"(Eager)?PyFunc(Stateless)?|NumpyFunction\w*|\w*GeneratorDataset\w*|RpcCall|RpcServer\w*|RpcClient"
)
_FILES = re.compile(
    r"""ReadFile|WriteFile|MatchingFiles\w*|\w*Reader(V2)?|ReaderRead\w*|LoadAndRemapMatrix|GenerateVocabRemapping
    | Save|SaveV2|SaveSlices|Restore|RestoreV2|RestoreSlice|MergeV2Checkpoints
    | \w*(TextLine|TFRecord|FixedLengthRecord|CSV|Sql|LMDB|SSTable|Snapshot|Save|Load|Cache|MatchingFiles)Dataset\w*
    | \w*Summary(FileWriter|DbWriter)\w*|WriteRawProtoSummary|ImportEvent|Debug\w*Identity\w*
    | InitializeTableFromTextFile\w*|DecodeProto\w*|EncodeProto\w*""",
    re.VERBOSE,
)
_SAVER = re.compile(r"Save|SaveV2|SaveSlices|Restore|RestoreV2|RestoreSlice|MergeV2Checkpoints")
_TABLE = re.compile(r"InitializeTableFromTextFile\w*")
_PROTO = re.compile(r"DecodeProto\w*|EncodeProto\w*")
_INSTEAD = "export the model again without that operator"


def dangers(path: Path) -> Iterator[Danger]:
    """Give what loading or calling a SavedModel would do to files or in Python, its own saver apart."""
    from tensorflow.core.protobuf import saved_model_pb2

    yield from _outside(path)
    file = saved_model_pb2.SavedModel()
    file.ParseFromString((path / "saved_model.pb").read_bytes())
    for graph in file.meta_graphs:
        yield from _assets(graph)
        yield from _operators(graph)


def _outside(path: Path) -> Iterator[Danger]:
    root = path.resolve()
    leading = [str(p.relative_to(path)) for p in path.rglob("*") if not p.resolve().is_relative_to(root)]
    if leading:
        yield Danger(f"it links to files outside its folder: {some(leading)}", "copy them into it", trustable=False)


def _assets(graph: Any) -> Iterator[Danger]:
    names = [asset.filename for asset in graph.asset_file_def]
    wrong = [name for name in names if name.startswith("/") or ".." in name.split("/")]
    if wrong:
        yield Danger(f"its assets lie outside its folder: {some(wrong)}", _INSTEAD, trustable=False)


def _operators(graph: Any) -> Iterator[Danger]:
    library = {function.signature.name: list(function.node_def) for function in graph.graph_def.library.function}
    main = {node.name: node for node in graph.graph_def.node}
    saver = _saver(graph, main, library)
    assets = {_node(asset.tensor_info.name) for asset in graph.asset_file_def}
    found = [
        f"{node.op} ({place}{node.name})"
        for place, nodes in {"": list(main.values()), **{f"{name}/": body for name, body in library.items()}}.items()
        for node in nodes
        if _is_danger(node, nodes, assets) and not (_SAVER.fullmatch(node.op) and (place, node.name) in saver)
    ]
    if found:
        yield Danger(f"it holds operators that open files or run Python: {some(found)}", _INSTEAD)


def _is_danger(node: Any, nodes: list[Any], assets: set[str]) -> bool:
    if node.op == "PrintV2":
        return bool(node.attr["output_stream"].s.startswith(b"file:"))
    if _PROTO.fullmatch(node.op):
        return node.attr["descriptor_source"].s not in (b"", b"local://") and not _is_bytes(node)
    if _TABLE.fullmatch(node.op):
        # A table reads its asset, which comes from outside of the function; a name that stands in it is no asset.
        fixed = {each.name for each in nodes if each.op == "Const"} - assets
        return any(_node(name) in fixed for name in node.input[1:])
    return bool(_PYTHON.fullmatch(node.op) or _FILES.fullmatch(node.op))


def _is_bytes(node: Any) -> bool:
    return bool(node.attr["descriptor_source"].s.startswith(b"bytes://"))


def _saver(graph: Any, main: dict[str, Any], library: dict[str, list[Any]]) -> set[tuple[str, str]]:
    """Give the nodes that only the saver runs: its own reach, without the reach of everything that can be called."""
    saver = [_node(name) for name in (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name) if name]
    callable_ = {_node(t.name) for s in graph.signature_def.values() for t in s.outputs.values()}
    # The saver restores before anything is called; whatever else a load runs is not the saver's.
    own = _reach(saver, (), main, library)
    others = _reach(callable_, graph.object_graph_def.concrete_functions, main, library)
    return own - others


def _reach(
    nodes: Iterable[str], functions: Iterable[str], main: dict[str, Any], library: dict[str, list[Any]]
) -> set[tuple[str, str]]:
    """Give (place, name) of every node that these nodes of the main graph, and these functions, lead to."""
    reached: set[tuple[str, str]] = set()
    todo, calls, seen = list(nodes), list(functions), set()
    while todo or calls:
        if calls:
            name = calls.pop()
            if name not in seen:
                seen.add(name)
                reached |= {(f"{name}/", node.name) for node in library.get(name, ())}
                calls += [each for node in library.get(name, ()) for each in _called(node)]
            continue
        name = todo.pop()
        if ("", name) not in reached and name in main:
            reached.add(("", name))
            todo += map(_node, main[name].input)
            calls += _called(main[name])
    return reached


def _called(node: Any) -> Iterator[str]:
    yield node.op  # in old graphs, a call is an operator of the function's name
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        yield from (each.name for each in value.list.func)


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
