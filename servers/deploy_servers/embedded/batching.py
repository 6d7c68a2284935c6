"""Runs predictions beside the loop; requests that wait for the same model at the same time are run as one batch.

A run never waits for company: what has come in by the time a thread is free goes together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from deploy_core.predictor import Predictor
from deploy_core.signature import BATCH, Signature, Tensors
from deploy_servers.embedded.timing import Predict, Timing, timed

Done = Callable[[Tensors | Exception], None]
Key = tuple[str, int]
Outcome = Sequence[Tensors | Exception]

MAX_ROWS = 256
MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Runnable:
    """A predictor, how many of its predictions may run at the same time, and how many rows it may be asked at once."""

    predictor: Predictor
    parallel: int = 1
    most_rows: int = MAX_ROWS


@dataclass(frozen=True)
class _Item:
    inputs: Tensors
    done: Done
    kind: object  # items of equal kind can be joined along the batch; None: never
    rows: int
    size: int
    timing: Timing | None


class _Queue:
    """What waits for one model."""

    def __init__(self, runnable: Runnable) -> None:
        self.runnable = runnable
        self.mergeable = can_merge(runnable.predictor.signature)
        self.waiting: deque[_Item] = deque()
        self.running = 0

    def next_batch(self) -> list[_Item]:
        """Take the oldest item and all that directly follow it and can join it."""
        batch = [self.waiting.popleft()]
        rows, size = batch[0].rows, batch[0].size
        while self.waiting and self._joins(self.waiting[0], batch[0], rows, size):
            batch.append(self.waiting.popleft())
            rows, size = rows + batch[-1].rows, size + batch[-1].size
        return batch

    def _joins(self, item: _Item, first: _Item, rows: int, size: int) -> bool:
        fits = rows + item.rows <= self.runnable.most_rows and size + item.size <= MAX_BYTES
        return fits and first.kind is not None and item.kind == first.kind


class Batcher:
    """Takes predictions on the loop's thread, runs them on `threads` others, answers on the loop's thread."""

    def __init__(self, runnables: Mapping[Key, Runnable], *, threads: int) -> None:
        self._queues = {key: _Queue(runnable) for key, runnable in runnables.items()}
        self._leaving: list[_Queue] = []
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._scheduled = False

    @property
    def busy(self) -> int:
        """How many runs have not come back."""
        return sum(queue.running for queue in (*self._queues.values(), *self._leaving))

    def add(self, key: Key, runnable: Runnable) -> None:
        """Take predictions for this model from now on."""
        self._queues[key] = _Queue(runnable)

    def remove(self, key: Key) -> None:
        """Take no more for a model; what has been asked is still answered, then its predictor is closed."""
        queue = self._queues.pop(key)
        self._leaving.append(queue)
        self._start(queue)
        self._close_if_done(queue)

    def submit(self, key: Key, inputs: Tensors, done: Done, timing: Timing | None = None) -> None:
        """Run `inputs`, which conform to the model's signature, and call `done` with the outputs or the error."""
        queue = self._queues[key]
        queue.waiting.append(_item(inputs, done, queue.mergeable, timing))
        if not self._scheduled:
            # After this tick of the loop, so that all requests of the tick are seen.
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def aside(self, function: Callable[[], Tensors]) -> asyncio.Future[Tensors]:
        """Run something else that takes its time on the threads of the predictions."""
        return self._loop.run_in_executor(self._pool, function)

    def close(self) -> None:
        """Take no more; runs that go on are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _flush(self) -> None:
        self._scheduled = False
        for queue in self._queues.values():
            self._start(queue)

    def _start(self, queue: _Queue) -> None:
        while queue.waiting and queue.running < queue.runnable.parallel:
            batch = queue.next_batch()
            queue.running += 1
            timings = [item.timing for item in batch if item.timing is not None]
            predict = timed(queue.runnable.predictor.predict, timings)
            run = partial(_run, predict, [item.inputs for item in batch])
            future = self._loop.run_in_executor(self._pool, run)
            future.add_done_callback(partial(self._finished, queue, batch))

    def _finished(self, queue: _Queue, batch: Sequence[_Item], future: asyncio.Future[Outcome]) -> None:
        queue.running -= 1
        if future.cancelled():
            return
        for item, outcome in zip(batch, future.result(), strict=True):
            item.done(outcome)
        self._start(queue)
        self._close_if_done(queue)

    def _close_if_done(self, queue: _Queue) -> None:
        if queue in self._leaving and not queue.running:
            self._leaving.remove(queue)
            self._loop.run_in_executor(self._pool, queue.runnable.predictor.close)


def can_merge(signature: Signature) -> bool:
    """Tell whether requests can be joined: every input and output has the batch as its first dimension, and only there."""
    specs = (*signature.inputs, *signature.outputs)
    return all(spec.shape[:1] == (BATCH,) and BATCH not in spec.shape[1:] for spec in specs) and bool(signature.inputs)


def merge(many: Sequence[Tensors]) -> Tensors:
    """Join requests along the batch."""
    return {name: np.concatenate([inputs[name] for inputs in many]) for name in many[0]}


def split(outputs: Tensors, rows: Sequence[int]) -> list[Tensors]:
    """Give each request its rows back. Raises ValueError if there are not as many rows as were asked for."""
    total = sum(rows)
    wrong = [name for name, array in outputs.items() if array.shape[:1] != (total,)]
    if wrong:
        raise ValueError(f"outputs {', '.join(wrong)} do not have the {total} rows of the inputs")
    ends = np.cumsum(rows).tolist()
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]


def _item(inputs: Tensors, done: Done, mergeable: bool, timing: Timing | None) -> _Item:
    if not mergeable:
        return _Item(inputs, done, None, 1, 0, timing)
    arrays = sorted(inputs.items())
    kind = tuple((name, array.shape[1:], array.dtype) for name, array in arrays)
    return _Item(inputs, done, kind, len(arrays[0][1]), sum(array.nbytes for _, array in arrays), timing)


def _run(predict: Predict, many: Sequence[Tensors]) -> Outcome:
    if len(many) == 1:
        return [_run_alone(predict, many[0])]
    try:
        return split(predict(merge(many)), [len(next(iter(inputs.values()))) for inputs in many])
    except Exception:
        # Whose fault it is shows when each runs alone; the others must not pay for it.
        return [_run_alone(predict, inputs) for inputs in many]


def _run_alone(predict: Predict, inputs: Tensors) -> Tensors | Exception:
    try:
        return predict(inputs)
    except Exception as error:
        return error
