"""Event loops, both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in a loop; what goes wrong in a callback is an error of the test."""

    def go(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            wrong: list[dict[str, Any]] = []
            runner.get_loop().set_exception_handler(lambda loop, context: wrong.append(context))
            outcome = runner.run(coroutine)
        assert not wrong
        return outcome

    return go
