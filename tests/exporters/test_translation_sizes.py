"""Which tensors are sizes: those are computed in 32 bits, since TFLite divides no other integers."""

from __future__ import annotations

import pytest
import tensorflow as tf

from deploy_exporters.translation.values import is_size

LONG, TOO_LONG = (
    30,
    200,
)  # steps, each as a convolution shortens a sound; both sides of a sum lead back to the same shape


@pytest.mark.parametrize(
    ("added", "steps", "told"),
    [
        ("a small number", LONG, True),
        ("a large number", LONG, False),
        ("an input", LONG, False),
        ("a small number", TOO_LONG, False),
    ],
)
def test_a_long_way_from_a_shape_is_a_size(added: str, steps: int, told: bool) -> None:
    graph = tf.Graph()
    with graph.as_default():
        rows = tf.compat.v1.placeholder(tf.int64, [None])
        length = tf.shape(rows, out_type=tf.int64)[0]
        length += {"a small number": 7, "a large number": 2**31, "an input": rows[0]}[added]
        for _ in range(steps):
            length = tf.truncatediv(length - 2, 2) + (length - length) + 1
    assert is_size(length) is told
