"""Graphs that differ only in how tf2onnx came to number them are the same bytes."""

from __future__ import annotations

import onnx
import onnx.checker
import onnx.parser
import pytest

from deploy_exporters.steps import onnx_order

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
# The names that Keras gave stay, input and output too, though they look counted; a body reads from around it.
FIRST = """
tf2onnx (float[n,3] x__7) => (float[n,3] y__2)
<float[3] const_fold_opt__9 = {1, 2, 3}, float[3] w = {4, 5, 6}, float[unk__4,3] "a/Add__8:0">
{
  [Neg__10] "Neg__10:0" = Neg (x__7)
  ["a/Add__8"] "a/Add__8:0" = Add (x__7, w)
  [Add__11] "Add__11:0" = Add ("a/Add__8:0", const_fold_opt__9)
  [go] go = Constant <value = bool {1}> ()
  [If__12] y__2 = If (go) <
    then_branch = yes () => (float[n,3] out__3) { [Mul__3] out__3 = Mul ("Add__11:0", "Neg__10:0") },
    else_branch = no () => (float[n,3] out__4) { [Sub__4] out__4 = Sub ("Add__11:0", "Neg__10:0") }>
}"""
SECOND = """
tf2onnx (float[n,3] x__7) => (float[n,3] y__2)
<float[3] w = {4, 5, 6}, float[3] const_fold_opt__101 = {1, 2, 3}, float[unk__5,3] "a/Add__80:0">
{
  [go] go = Constant <value = bool {1}> ()
  ["a/Add__80"] "a/Add__80:0" = Add (x__7, w)
  [Add__90] "Add__90:0" = Add ("a/Add__80:0", const_fold_opt__101)
  [Neg__1] "Neg__1:0" = Neg (x__7)
  [If__2] y__2 = If (go) <
    then_branch = yes () => (float[n,3] out__30) { [Mul__31] out__30 = Mul ("Add__90:0", "Neg__1:0") },
    else_branch = no () => (float[n,3] out__33) { [Sub__34] out__33 = Sub ("Add__90:0", "Neg__1:0") }>
}"""


def settled(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD + text)
    onnx_order.settle(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_two_ways_to_the_same_graph() -> None:
    first, second = settled(FIRST), settled(SECOND)
    assert first == second
    assert [value.name for value in (*first.graph.input, *first.graph.output)] == ["x__7", "y__2"]
    assert {"w", "go"} < {tensor.name for tensor in first.graph.initializer} | {node.name for node in first.graph.node}


@pytest.mark.parametrize(
    ("was", "becomes"), [("Mul (", "Div ("), ("{4, 5, 6}", "{4, 5, 7}"), ("(x__7, w)", "(w, x__7)")]
)
def test_another_graph_stays_another(was: str, becomes: str) -> None:
    assert settled(FIRST) != settled(SECOND.replace(was, becomes))


def test_nothing_is_left_out_and_outputs_that_nobody_wants_have_no_name() -> None:
    model = settled("""
tf2onnx (float[1,n,3] x, float[1,8,3] w, float[1,8,2] r) => (float[1,1,2] h)
{
  [unused] left = Neg (x)
  [LSTM__4] , h = LSTM <hidden_size = 2> (x, w, r)
  [LSTM__5] , other__5 = LSTM <hidden_size = 2> (x, w, r)
}""")
    assert [(node.name, list(node.output)) for node in model.graph.node] == [
        ("LSTM__1", ["", "h"]),
        ("unused", ["left"]),
        ("LSTM__3", ["", "other__2"]),
    ]
