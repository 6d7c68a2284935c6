"""Which Triton runs as a process, which backends it has, and what its python backend needs to find a Python."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from deploy_core.errors import UnavailableError, UsageError
from deploy_model_store import Version
from deploy_servers.settings import Settings, find_program
from deploy_servers.triton.options import native

BACKENDS = ("onnxruntime", "pytorch", "python")
RUNS: Mapping[str, tuple[str, ...]] = {"onnx": ("onnxruntime", "python"), "torchscript": ("pytorch", "python")}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Program:
    """A server that is here: `links` and `env` are what it needs besides, `arguments` where that is."""

    binary: str
    backends: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Path] = field(default_factory=dict)


def find(settings: Settings) -> Program:
    """Give the server that would run as a process. Raises UnavailableError if there is none."""
    binary = settings.options.get("binary", "") or find_program("tritonserver")
    if not binary or not Path(binary).is_file():
        raise UnavailableError(
            f"there is no Triton at {binary}" if binary else "there is no tritonserver on the PATH",
            hint="pip install --no-deps nvidia-pytriton (only the python backend), --set binary=PATH, or --in container",
        )
    binary = str(Path(binary).absolute())  # it runs in another folder
    home = Path(binary).resolve().parent.parent
    folder = Path(native(settings.options, "backend-directory") or home / "backends").absolute()
    if not folder.is_dir():
        raise UnavailableError(f"Triton's backends are not in {folder}", hint="--set backend-directory=PATH")
    found = tuple(name for name in BACKENDS if (folder / name).is_dir())
    if (home / "python_backend_stubs").is_dir():
        return _of_wheel(binary, home, found, settings)
    # Its python backend brings a Python of its own, or takes the system's: neither is ours to choose.
    return Program(binary, found, ("--backend-directory", str(folder)))


def choose(program: Program | None, wanted: str, format_: str) -> str:
    """Give the backend for a format; a container's (None) is expected to have all. Raises UsageError, UnavailableError."""
    if wanted and wanted not in BACKENDS:
        raise UsageError(f"option backend is {wanted!r}", hint=f"give {', '.join(BACKENDS)}")
    if wanted and wanted not in RUNS[format_]:
        raise UsageError(f"the {wanted} backend does not run {format_}", hint=f"{' or '.join(RUNS[format_])} does")
    able = [name for name in ((wanted,) if wanted else RUNS[format_]) if program is None or name in program.backends]
    if able:
        return able[0]
    have = ", ".join(program.backends) if program else ""
    hint = "--set backend=python" if "python" in have else "--set binary=PATH names another, --in container needs none"
    raise UnavailableError(
        f"this Triton has no {wanted or ' and no '.join(RUNS[format_])} backend; it has {have or 'none'}", hint=hint
    )


def require_strings(program: Program, versions: Sequence[Version]) -> None:
    """Raise UnavailableError for strings with a python backend and a numpy between which they do not get through."""
    specs = [(v, spec) for v in versions for spec in (*v.signature.inputs, *v.signature.outputs)]
    texts = [f"{spec.name!r} of {v}" for v, spec in specs if spec.dtype == "string"]
    if texts and program.links and int(version("numpy").split(".")[0]) >= 2:
        raise UnavailableError(
            f"this Triton's python backend cannot carry strings with numpy 2: tensor {texts[0]}",
            hint="serve it with --server embedded, with a Triton of its own (--set binary=PATH) or --in container",
        )


def _of_wheel(binary: str, home: Path, backends: tuple[str, ...], settings: Settings) -> Program:
    """Give the server of the wheel, whose python backend runs in the Python that we run in."""
    stub = home / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
    if not stub.is_file():
        raise UnavailableError(
            f"the Triton in {home} is not made for Python {sysconfig.get_python_version()}",
            hint=f"it is made for {', '.join(sorted(path.name for path in stub.parent.parent.iterdir()))}",
        )
    # It looks for the stub beside the backend, where the wheel has none; what lies there finds its libraries by env.
    files = {path.name: path for path in sorted((home / "backends" / "python").iterdir()) if path.is_file()}
    links = {f"backends/python/{name}": path for name, path in {**files, stub.name: stub}.items()}
    libraries = [str(home.parents[1] / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR") or ""]
    env = {
        "LD_LIBRARY_PATH": ":".join(part for part in libraries if part),
        # The stub ignores PYTHONHOME and PYTHONPATH; it takes the Python that is first on the PATH.
        "PATH": f"{Path(settings.python).parent}:{_SYSTEM_PATH}",
    }
    return Program(binary, backends, ("--backend-directory", str(settings.folder / "backends")), env, links)
