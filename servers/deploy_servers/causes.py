"""Why servers do not come up: what their logs say, and what to do about it."""

from __future__ import annotations

import re

# The first that is found in the end of the log is told.
CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"unable to find backend library for backend '(?P<backend>\w+)'"),
        "this Triton has no {backend} backend: --set backend=python runs the same file where the python backend has its runtime, or take an image with it",
    ),
    (
        re.compile(r"kind KIND_GPU but no GPUs are available|invalid or unsupported gpu id"),
        "Triton sees no such GPU: nvidia-smi lists those that there are; or serve with --device cpu",
    ),
    (
        re.compile(r"triton_python_backend_stub.*(is not found|(?P<library>libpython[\w.]+): cannot open)"),
        "Triton's python backend has no program for this Python: install the libpython that its log names, or serve --in container",
    ),
    (
        re.compile(r"Unable to initialize shared memory key|Failed to (increase|create) the shared memory"),
        "/dev/shm is too small for Triton's python backend: --set shm_mb=1 begins with less, --set shm_size=SIZE gives a container more",
    ),
    (
        re.compile(r"unrecognized option '--(?P<option>[\w-]+)"),
        "this version of the server has no option {option}: leave it out, or take a newer one",
    ),
    (
        re.compile(r'Bad option: "--(?P<option>[\w-]+)"'),
        "option {option} cannot have that value: its log says what it takes",
    ),
    (
        re.compile(r"INVALID_PROTOBUF|Protobuf parsing failed"),
        "the ONNX file cannot be read: `deploy store verify` says whether it is the one that was published",
    ),
    (
        re.compile(r"could not select device driver|unresolvable CDI devices|nvidia\.com/gpu"),
        "this engine cannot give a container a GPU: install the NVIDIA Container Toolkit and restart the engine, or serve with --device cpu",
    ),
    (
        re.compile(r"unsatisfied condition: cuda|driver/library version mismatch|driver version is insufficient"),
        "the GPU's driver is older than what the image's CUDA needs: bring the driver up to date, or take an older image",
    ),
    (
        re.compile(r"docker-init.*not found|catatonit.*not found"),
        "this engine has no init program for containers: install docker-init (Debian: tini) or catatonit (podman)",
    ),
    (
        re.compile(r"permission denied while trying to connect|[Cc]annot connect to the Docker daemon|docker\.sock"),
        "Docker does not answer: start its service, and let your user use it (group docker)",
    ),
    (
        re.compile(r"port is already allocated|rootlessport listen"),
        "another container has taken the port: try again, or choose another",
    ),
    (
        re.compile(r"needs (?P<modules>[\w., ]+) to be served"),
        "{modules} is missing where the server runs: install it there (an image gets it by PACKAGES, docs/containers.md), or export onnx",
    ),
    (
        re.compile(
            r"[Aa]ddress already in use|[Ss]ocket .* already in use|BindException|Failed to bind|cannot listen on"
        ),
        "another process has taken the port in the meantime: try again, or choose another",
    ),
    (
        re.compile(r"OutOfMemoryError|Cannot allocate memory|MemoryError|bad_alloc|SIGKILL|exit code 137"),
        "it ran out of memory: serve fewer models or workers, or give it more",
    ),
    (
        re.compile(r"No module named 'yaml'"),
        "TorchServe's workers need PyYAML: pip install 'deploy-toolkit[torchserve]'",
    ),
    (
        re.compile(r"tensorflow_model_server could not be started"),
        "no package registry has TensorFlow Serving's program: serve with --in container, or give --set binary=PATH",
    ),
    (
        re.compile(r"No versions of servable (?P<name>\S+) found under base path"),
        "the folder of {name} has no folder of a version in it: such a folder's name is a whole number, e.g. 1",
    ),
    (re.compile(r"No module named '(?P<name>[\w.]+)'"), "the Python module {name} is missing: install it"),
    (
        re.compile(r"Too small (?:initial|maximum) heap|Could not reserve enough space|Invalid maximum heap size"),
        "Java cannot have a heap of that size here: choose another by --set heap_mb=MIB",
    ),
    (
        re.compile(r"Invalid configuration: (?P<what>[^\n]+)"),
        "one of the options given by --set has a value that TorchServe cannot read: {what}",
    ),
    (
        re.compile(r'Cannot run program "(?P<program>[^"]+)"'),
        "the workers' Python, {program}, cannot be started: install deploy-toolkit[torchserve] in one that can",
    ),
    (
        re.compile(r"\A(?!.*(?:Traceback|worker process died)).*Load model failed: \S+, error: Worker died", re.DOTALL),
        "a worker was killed while it loaded its model, mostly for want of memory (dmesg tells): serve fewer models or workers, or give it more",
    ),
    (re.compile(r"UnsupportedClassVersionError"), "this Java is too old: install Java 17 or later, or set JAVA_HOME"),
    (re.compile(r"No space left on device"), "the disk is full: make room, or set TMPDIR to another disk"),
    (re.compile(r"Permission denied"), "a file or port may not be used: look at the log for which"),
)


def likely_cause(text: str) -> str:
    """Give the hint for the first known cause that the text shows; empty if there is none."""
    for pattern, hint in CAUSES:
        if match := pattern.search(text):
            return hint.format(**match.groupdict())
    return ""
