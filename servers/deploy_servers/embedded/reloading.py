"""TensorFlow Serving's call that gives a server another configuration: ModelService/HandleReloadConfigRequest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from deploy_core.errors import UsageError
from deploy_dialects.malformed import refusing
from deploy_dialects.messages import message, parsed
from deploy_dialects.wire import Handler, Plane, RpcRequest
from deploy_servers.embedded.following import LabelError
from deploy_servers.embedded.servables import Wanted, wanted_of
from deploy_servers.embedded.service import Tables

_METHOD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
_INVALID_ARGUMENT, _UNKNOWN, _FAILED_PRECONDITION = 3, 2, 9

# Takes what is wanted from now on; gives the models that did not become available.
Reload = Callable[[tuple[Wanted, ...]], Coroutine[Any, Any, list[str]]]


def reloadable(tables: Tables, reload: Reload) -> Tables:
    """Give tables that take the call; the whole configuration is replaced, and the answer comes when all is loaded."""

    def handle(plane: Plane, request: RpcRequest, match: re.Match[str] | None, /) -> Any:
        with refusing():
            asked = parsed(message("tfserving", "tensorflow.serving.ReloadConfigRequest"), request.body)
        return asyncio.get_running_loop().create_task(_answer(asked.config, reload))

    own: Handler[RpcRequest, bytes] = handle
    return replace(tables, rpc={**tables.rpc, _METHOD: own})


async def _answer(config: Any, reload: Reload) -> bytes:
    # What went wrong is told inside an answer that is itself OK.
    try:
        absent = await reload(wanted_of(config))
    except UsageError as error:
        return _status(_FAILED_PRECONDITION if isinstance(error, LabelError) else _INVALID_ARGUMENT, str(error))
    if absent:
        return _status(_UNKNOWN, f"{len(absent)} model(s) did not become available: {{{', '.join(absent)}}}")
    return _status(0, "")


def _status(code: int, text: str) -> bytes:
    answer = message("tfserving", "tensorflow.serving.ReloadConfigResponse")()
    answer.status.SetInParent()
    answer.status.error_code = code
    answer.status.error_message = text
    return bytes(answer.SerializeToString())
