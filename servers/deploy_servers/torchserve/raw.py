"""An archive of somebody else's, served as it is: requests and answers are whatever its handler takes and gives."""

from __future__ import annotations

import http.client
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError, reason
from deploy_dialects.answers import body_of
from deploy_dialects.wire import HttpReply
from deploy_servers.launch import Running, running
from deploy_servers.ports import is_listening
from deploy_servers.readiness import OnEvent, failure
from deploy_servers.settings import prepare
from deploy_servers.torchserve.planning import plan_archive

_NAME = "model"
_PAUSE = 0.1  # seconds between looks at a server that is not ready
_LONGEST = 60.0  # seconds for one answer
_TOO_EARLY = (500, 503)  # statuses of a server whose worker is not there yet
Body = tuple[bytes, str]


class Asker:
    """Asks the one model of a running TorchServe."""

    def __init__(self, server: Running, endpoint: Endpoint) -> None:
        self._server = server
        self._endpoint = endpoint

    def ask(self, body: Body) -> bytes:
        """Give the answer to one request. Raises EndpointError with what the server says instead."""
        from deploy_clients.keys import bearer

        data, kind = body
        headers = {**bearer(Path(self._server.launch.facts["key_file"])), "content-type": kind}
        connection = http.client.HTTPConnection(self._endpoint.host, self._endpoint.port, timeout=_LONGEST)
        try:
            connection.request("POST", f"/predictions/{_NAME}", data, headers)
            answer = connection.getresponse()
            reply = HttpReply(answer.status, {}, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"{self._endpoint} did not answer: {reason(error)}") from error
        finally:
            connection.close()
        return body_of(self._endpoint, reply)

    def wait(self, first: Body, timeout: float) -> None:
        """Return when it answers. Raises UnavailableError if it never will."""
        deadline = time.monotonic() + timeout
        while not self._answers(first):
            self._server.require_alive()
            tail = self._server.process.log_tail(400)
            if said := next((text for text in self._server.launch.fatal if text in tail), ""):
                raise failure(self._server.process, f"failed: {said}")
            if time.monotonic() > deadline:
                raise failure(self._server.process, "took too long until it answered the first request")
            self._server.process.wait(_PAUSE)

    def _answers(self, body: Body) -> bool:
        if not is_listening(self._endpoint.host, self._endpoint.port):
            return False
        try:
            self.ask(body)
        except EndpointError as error:
            if error.status in _TOO_EARLY and "workers" in str(error):
                return False
            raise
        except UnavailableError:
            return False  # its keys are not written yet
        return True


@contextmanager
def serving(path: Path, bodies: Sequence[Body], *, timeout: float, on_event: OnEvent) -> Generator[list[bytes]]:
    """Serve an archive, give its answers to these requests. Raises UnavailableError if there are none."""
    settings = prepare("torchserve", path.parent, extra_ports=3)
    launch = plan_archive(path, _NAME, settings)
    with running(launch, accept=lambda predictor: None, timeout=timeout, on_event=on_event) as server:
        asker = Asker(server, Endpoint("torchserve", "rest", settings.host, settings.http_port, _NAME))
        asker.wait(bodies[0], timeout)
        yield [asker.ask(body) for body in bodies]
