"""From a stored version to a live endpoint.

A server is a module with
    OPTIONS                                                  option → one line of help, for `--set OPTION=VALUE`
    SERVES, SPEAKS                                           formats of which it serves one; dialects, each over REST and gRPC
    PROGRAMS                                                 what must be on the PATH to run it as a process
    LABELS                                                   whether aliases of the store can be asked for there (may be absent)
    PORTS                                                    how many ports it needs besides HTTP and gRPC
    USUAL_PORTS                                              HTTP, gRPC and those, as its own documentation has them
    image(device: Device) -> str                             what its container runs unless another is named
    plan(versions: Sequence[Version], settings: Settings) -> Launch     what would be started; nothing happens
    swap(old: Sequence[Version], new: Sequence[Version], settings: Settings) -> Swap
                                                             how it would come to serve others while it runs
and `deploy_servers.launch.running` is the one function that starts what a plan says. With `settings.container` a plan
is for a container (`deploy_servers.container.run_command`), else for a process; `settings.inside` is the run's folder as
the server sees it, `settings.listen` the address that it is to listen on.
"""

from deploy_core.table import Row, Table

SERVERS = Table(
    "server",
    {
        "embedded": Row(
            "deploy_servers.embedded.plan", ("grpc", "httptools", "orjson", "google.protobuf", "uvloop"), "serve"
        ),
        "tfserving": Row("deploy_servers.tfserving.plan", ("google.protobuf", "grpc", "orjson", "urllib3"), "client"),
        "triton": Row("deploy_servers.triton.plan", ("google.protobuf", "grpc", "orjson", "urllib3"), "client"),
        "torchserve": Row("deploy_servers.torchserve", ("ts", "torch", "yaml"), "torchserve"),
    },
)

__all__ = ["SERVERS"]
