from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import ml_dtypes
import numpy as np
import pytest

from deploy_core import messages

Give = Callable[[object], bytes | messages.Parts]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with ExitStack() as stack:
        ours, theirs = map(stack.enter_context, socket.socketpair())
        yield ours, theirs


@pytest.mark.parametrize("give", [messages.pack, messages.parts])
def test_arrays_of_any_size_arrive_as_they_were(give: Give, ends: tuple[socket.socket, socket.socket]) -> None:
    large = np.arange(300_000, dtype=np.float32).reshape(3, 1000, 100)
    frozen = large.copy()
    frozen.flags.writeable = False
    sent = {
        "large": large, "small": np.arange(3), "none": np.zeros((0, 5)), "one": np.array(2.5), "frozen": frozen,
        "strided": large[:, ::2], "turned": large.T, "bfloat16": large.astype(ml_dtypes.bfloat16),
        "text": np.array([b"a\0", b""], object), "complex": large[0] * 1j,
    }  # fmt: skip
    sending = threading.Thread(target=lambda: messages.send(ends[0], give(("value", sent))))
    sending.start()
    kind, came = messages.receive(ends[1], seconds=60)
    sending.join()
    assert kind == "value"
    assert came.keys() == sent.keys()
    for name, array in sent.items():
        assert came[name].dtype == array.dtype
        np.testing.assert_array_equal(came[name], array)
    came["large"][0] = 0  # it may be written to, as what was sent
    assert not came["frozen"].flags.writeable


def test_large_arrays_are_sent_from_where_they_lie() -> None:
    large = np.zeros(1 << 20, np.uint8)
    head, part = messages.parts(("value", large))
    large[5] = 7
    assert part[5] == 7
    assert len(head) < 1000


def test_several_messages_do_not_run_into_each_other(ends: tuple[socket.socket, socket.socket]) -> None:
    for number in range(3):
        messages.send(ends[0], messages.parts((number, np.full(20_000, number, np.uint8))))
    for number in range(3):
        told, array = messages.receive(ends[1], seconds=60)
        assert told == number
        assert (array == number).all()


def test_who_is_gone_or_late_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    watched: list[int] = []
    with pytest.raises(TimeoutError):
        messages.receive(ends[1], seconds=0.25, watch=lambda: watched.append(1))
    assert watched
    ends[0].sendall(messages.pack("cut off")[:-2])
    ends[0].close()
    with pytest.raises(EOFError, match="gone"):
        messages.receive(ends[1], seconds=60)
