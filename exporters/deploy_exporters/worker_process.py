"""What runs inside a worker: call by name, answer with plain data, go when the parent goes."""

from __future__ import annotations

import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from deploy_core import messages
from deploy_core.errors import DeployError, reason

_HEAVY = ("torch", "tensorflow", "onnxruntime")


def main(number: int) -> None:
    """Answer calls on the inherited socket of that file number until the other side closes it."""
    with socket.socket(fileno=number) as connection:
        while True:
            try:
                function, args, kwargs = messages.receive(connection)
            except EOFError:
                return
            messages.send(connection, _answer(function, args, kwargs))


def _answer(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> messages.Parts:
    try:
        module, _, name = function.partition(":")
        value = getattr(import_module(module), name)(*args, **kwargs)
        return messages.parts(("value", value, _loaded()))
    except DeployError as error:
        traceback.print_exc()
        return messages.parts(("refused", error, _loaded()))
    except (Exception, SystemExit) as error:
        # SystemExit: a user's module that calls sys.exit() must not end the worker without a word.
        traceback.print_exc()
        return messages.parts(("failed", _told(error), _loaded()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _told(error: BaseException) -> str:
    """The error and the one that began it all: converters wrap what happened in what they were doing."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    return reason(error) if root is error else f"{reason(error)} (first of all, {reason(root)})"


def _loaded() -> tuple[str, ...]:
    return tuple(name for name in _HEAVY if name in sys.modules)
