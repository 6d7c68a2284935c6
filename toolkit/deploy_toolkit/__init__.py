"""Whatever you deploy predicts what you trained, and here is the proof.

    from deploy_toolkit import check, connect, export, serve

    export(model, to=["onnx", "tflite"], name="simplenet", example=x)
    with serve("simplenet") as endpoint:
        print(connect(endpoint).predict({"features": x}))
    assert check("simplenet").ok

Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy_clients import Tls as Tls
    from deploy_clients import connect as connect
    from deploy_clients import connect_async as connect_async
    from deploy_clients import management as management
    from deploy_clients import management_async as management_async
    from deploy_toolkit.judging import bench as bench
    from deploy_toolkit.judging import check as check
    from deploy_toolkit.notebook import export as export
    from deploy_toolkit.notebook import migrate as migrate
    from deploy_toolkit.notebook import package as package
    from deploy_toolkit.notebook import predict as predict
    from deploy_toolkit.notebook import serve as serve

_HOMES = {
    "Tls": "deploy_clients",
    "bench": "deploy_toolkit.judging",
    "check": "deploy_toolkit.judging",
    "connect": "deploy_clients",
    "connect_async": "deploy_clients",
    "export": "deploy_toolkit.notebook",
    "management": "deploy_clients",
    "management_async": "deploy_clients",
    "migrate": "deploy_toolkit.notebook",
    "package": "deploy_toolkit.notebook",
    "predict": "deploy_toolkit.notebook",
    "serve": "deploy_toolkit.notebook",
}
__all__ = [
    "Tls",
    "bench",
    "check",
    "connect",
    "connect_async",
    "export",
    "management",
    "management_async",
    "migrate",
    "package",
    "predict",
    "serve",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
