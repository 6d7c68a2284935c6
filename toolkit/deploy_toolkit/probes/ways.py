"""In which ways a server can run here, by what the probes found: as process or container, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain

from deploy_core.device import CPU, Device
from deploy_exporters.formats import FORMATS
from deploy_servers import SERVERS
from deploy_servers.container import ENGINES, OWN, own_image
from deploy_servers.settings import find_program
from deploy_toolkit.probes.engines import TOOLKIT_HINT
from deploy_toolkit.probes.finding import Finding
from deploy_toolkit.probes.programs import JAVA_HINT
from deploy_toolkit.probes.python import numbers

Findings = Mapping[str, Finding]
CUDA = Device("cuda")
_PROGRAM_HINTS: Mapping[str, str] = {
    "java": JAVA_HINT,
    "tensorflow_model_server": "no package registry has it: serve with --in container, or give --set binary=PATH",
    "tritonserver": "pip install --no-deps nvidia-pytriton (only its python backend), or serve with --in container",
}


# Images of ours, for the CPU, that serve in place of a server's own where that cannot be had; and what they are to be given.
_INSTEAD: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tfserving": ("tfserving-stand-in", ()),
    "triton": ("triton-wheel", ("--set", "backend=python")),
}


@dataclass(frozen=True)
class Lack:
    """Something that is not here, and the command or step that mends it."""

    what: str
    hint: str


@dataclass(frozen=True)
class Way:
    """One way to run a server; `engine` and `image` are those of a container that are not taken by default.

    `further` are options that the image wants.
    """

    where: str
    device: str
    lacks: tuple[Lack, ...]
    engine: str = ""
    image: str = ""
    further: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it can be done here now."""
        return not self.lacks

    @property
    def options(self) -> tuple[str, ...]:
        """What `deploy serve` is to be given for it."""
        parts = ["--in", "container"] if self.where == "container" else []
        parts += ["--device", self.device] if self.device != "cpu" else []
        parts += ["--engine", self.engine] if self.engine else []
        parts += ["--image", self.image] if self.image else []
        return (*parts, *self.further)


@dataclass(frozen=True)
class Able:
    """What a server needs and whether it is here; `runs` are the formats of its that can be run."""

    server: str
    runs: tuple[str, ...]
    ways: tuple[Way, ...] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        """Whether it can run at all."""
        return any(way.ok for way in self.ways)


def images() -> tuple[str, ...]:
    """Give the images of all servers for all devices, each once."""
    return tuple(dict.fromkeys(_image(server, device) for server in SERVERS for device in (CPU, CUDA)))


def substitutes() -> tuple[str, ...]:
    """Give our images that serve in place of others."""
    return tuple(own_image(name) for name, _ in _INSTEAD.values())


def able(server: str, found: Findings) -> Able:
    """Say in which ways a server can run."""
    ways = [as_process(server, device, found) for device in (CPU, CUDA)]
    engine = _engine(found)
    # The first of the engines is taken unless another is named.
    named = (
        engine if any(found[name].facts.get("path") for name in ENGINES[: ENGINES.index(engine or "docker")]) else ""
    )
    ways += [_as_container(server, engine, named, device, found) for device in (CPU, CUDA)]
    return Able(server, _runs(server), tuple(ways))


def _as_container(server: str, engine: str, named: str, device: Device, found: Findings) -> Way:
    have = found[engine].facts["images"] if engine else ()
    name, further = _INSTEAD.get(server, ("", ()))
    if name and own_image(name) in have and _image(server, device) not in have and not device.on_gpu:
        return Way("container", device.kind, tuple(_modules(server)), named, own_image(name), further)
    lacks = (*_modules(server), *_of_container(server, engine, device, found))
    return Way("container", device.kind, lacks, named)


def as_process(server: str, device: Device, found: Findings) -> Way:
    """Say whether a server can run as a process; on a CPU, `found` need only tell of Java."""
    programs = import_module(SERVERS[server].module).PROGRAMS
    return Way(
        "process", device.kind, (*_modules(server), *_of_process(server, programs, _runs(server), device, found))
    )


def _modules(server: str) -> tuple[Lack, ...]:
    row = SERVERS[server]
    return tuple(
        Lack(f"the Python module {name}", f"pip install 'deploy-toolkit[{row.extra}]'") for name in row.missing
    )


def _runs(server: str) -> tuple[str, ...]:
    module = import_module(SERVERS[server].module)  # a plan needs nothing of what it launches
    return tuple(name for name in module.SERVES if server != "embedded" or not FORMATS[name].missing)


def _of_process(
    server: str, programs: Iterable[str], runs: tuple[str, ...], device: Device, found: Findings
) -> list[Lack]:
    lacks = [
        Lack(program, _PROGRAM_HINTS.get(program, "put it on the PATH"))
        for program in programs
        if not find_program(program)
    ]
    if "java" in programs and not lacks and not found["java"].ok:
        lacks.append(Lack(found["java"].told, found["java"].hint))
    if not runs:
        lacks.append(
            Lack("what runs a file: ONNX Runtime, torch, TensorFlow or LiteRT", "pip install 'deploy-toolkit[serve]'")
        )
    return [*lacks, *_of_gpu(found), *_of_cuda(server, found)] if device.on_gpu else lacks


def _of_container(server: str, engine: str, device: Device, found: Findings) -> list[Lack]:
    if not engine:
        told = "; ".join(f"{name}: {found[name].told}" for name in ENGINES)
        hints = (found[name].hint for name in ENGINES if found[name].told != "not installed")
        return [Lack(f"a container engine ({told})", next(hints, found[ENGINES[0]].hint)), *_gpu_if(device, found)]
    lacks = _of_image(server, engine, device, found)
    if device.on_gpu and not found[engine].facts.get("gpus"):
        lacks.append(Lack("the NVIDIA Container Toolkit", TOOLKIT_HINT[engine]))
    return [*lacks, *_gpu_if(device, found)]


def _of_image(server: str, engine: str, device: Device, found: Findings) -> list[Lack]:
    image, here = _image(server, device), found[engine].facts["images"]
    if image not in here:
        return [
            Lack(f"the image {image}", _building(server, device) if image.startswith(OWN) else f"{engine} pull {image}")
        ]
    have, want = found["driver"].facts.get("cuda", ""), here[image]
    if device.on_gpu and have and numbers(want) > numbers(have):
        return [
            Lack(
                f"a driver for CUDA {want}, which {image} wants",
                f"bring the driver, which ends at CUDA {have}, up to date",
            )
        ]
    return []


def _image(server: str, device: Device) -> str:
    image: str = import_module(SERVERS[server].module).image(device)
    return image


def _building(server: str, device: Device) -> str:
    own = {"embedded": "", "torchserve": ""}.get(server, "BASE_IMAGE=IMAGE ")
    return f"{own}{'DEVICE=cuda ' if device.on_gpu and not own else ''}docker/build {server}"


def _gpu_if(device: Device, found: Findings) -> list[Lack]:
    return _of_gpu(found) if device.on_gpu else []


def _of_gpu(found: Findings) -> list[Lack]:
    return [] if found["gpu"].ok else [Lack("an NVIDIA GPU", found["gpu"].hint or "serve with --device cpu")]


def _of_cuda(server: str, found: Findings) -> list[Lack]:
    """What a process lacks of libraries for CUDA, and what they lack of the driver."""
    facts = found["driver"].facts
    torch, onnx = facts.get("torch", ""), facts.get("onnxruntime", False)
    if server == "torchserve" and not torch:
        return [Lack("a torch for CUDA", "pip install --force-reinstall torch (a build for CUDA)")]
    if server == "embedded" and not (torch or onnx):
        return [Lack("a runtime for CUDA", "pip uninstall onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]'")]
    if server in ("torchserve", "embedded") and found["driver"].state == "warning" and not onnx:
        return [Lack(f"a driver for CUDA {torch}, which torch wants", found["driver"].hint)]
    return []


def _engine(found: Findings) -> str:
    return next((name for name in ENGINES if found[name].facts.get("version")), "")


def lacks_of(ways: Iterable[Way]) -> dict[Lack, list[Way]]:
    """Give everything that is lacking once, with the ways that lack it."""
    everything = dict.fromkeys(chain.from_iterable(way.lacks for way in ways))
    return {lack: [way for way in ways if lack in way.lacks] for lack in everything}
