"""A server is ready when it predicts right: waiting for that, and saying why it did not come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from threading import Thread

from deploy_core.child import Child
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError
from deploy_core.predictor import Predictor
from deploy_servers.causes import likely_cause
from deploy_servers.ports import is_listening

Accept = Callable[[Predictor], str | None]
OnEvent = Callable[[str], None]

_PAUSE = 0.05  # seconds between looks at a server that is not ready
_LINES = 20  # of the log, told with a failure
_SEARCHED = 400  # of the log, searched for what is fatal
_WHOLE = 1000  # of the log, searched for causes: Triton's help, which follows a wrong option, has 430
_AFTERWORDS = 0.3  # seconds for a failing server to finish what it is saying


def wait_until_ready(
    process: Child,
    endpoints: Sequence[Endpoint],
    accept: Accept,
    *,
    deadline: float,
    fatal: Sequence[str] = (),
    since: int = 0,
    on_event: OnEvent,
) -> None:
    """Return when every endpoint answers right. Raises UnavailableError, naming the stage that failed.

    `fatal` texts count where they come after `since` bytes of the log.
    """
    for endpoint in endpoints:
        on_event(f"waiting for {endpoint}")
        _Attempts(process, endpoint, accept, deadline, fatal, since).until_ready()


def failure(process: Child, what: str, cause: BaseException | None = None) -> UnavailableError:
    """Give the error for a server that failed: the last lines of its log are a note, what they show is the hint."""
    tail = process.log_tail(_WHOLE)
    hint = likely_cause(f"{tail}\n{what}") or f"its log is {process.log}"
    error = UnavailableError(f"{process.what} {what}", hint=hint)
    lines = "\n".join(tail.splitlines()[-_LINES:])
    error.add_note(f"the end of {process.log}:\n{lines}" if lines else f"{process.log} is empty")
    error.__cause__ = cause
    return error


class _Attempts:
    """Tries one endpoint until it answers right, or never will."""

    def __init__(
        self,
        process: Child,
        endpoint: Endpoint,
        accept: Accept,
        deadline: float,
        fatal: Sequence[str],
        since: int,
    ) -> None:
        self._process = process
        self._endpoint = endpoint
        self._accept = accept
        self._deadline = deadline
        self._fatal = fatal
        self._since = since
        self._stage = "listen"
        self._last: UnavailableError | None = None

    def until_ready(self) -> None:
        while not self._is_ready():
            self._require_hope()
            self._process.wait(_PAUSE)

    def _is_ready(self) -> bool:
        if not is_listening(self._endpoint.host, self._endpoint.port):
            return False
        attempt: Future[str | None] = Future()
        # Beside us, because a request may wait for ever in a server whose workers have died.
        Thread(target=_fulfil, args=(attempt, self._judged), daemon=True).start()
        while not attempt.done():
            self._require_hope()
            wait((attempt,), _PAUSE)
        try:
            wrong = attempt.result()
        except UnavailableError as error:
            self._last = error
            return False
        if wrong is not None:
            raise failure(self._process, f"answers wrong at {self._endpoint}: {wrong}")
        return True

    def _judged(self) -> str | None:
        self._stage = "connect"
        left = max(1.0, self._deadline - time.monotonic())
        with closing(_connected(self._endpoint, left)) as predictor:
            self._stage = "predict"
            return self._accept(predictor)

    def _require_hope(self) -> None:
        stage = f"{_STAGES[self._stage]} at {self._endpoint}"
        if self._process.returncode is not None:
            raise failure(self._process, f"{self._process.death()} before it {stage}", self._last)
        if self._said():
            self._process.wait(_AFTERWORDS)
            raise failure(self._process, f"failed before it {stage}: {self._said()}", self._last)
        if time.monotonic() > self._deadline:
            last = f": {self._last}" if self._last else ""
            raise failure(self._process, f"took too long until it {stage}{last}", self._last)

    def _said(self) -> str:
        """Give what the log says if that is the end of all hope."""
        for line in self._process.log_tail(_SEARCHED, since=self._since).splitlines():
            for text in self._fatal:
                if text in line:
                    return line[line.index(text) :]
        return ""


def _connected(endpoint: Endpoint, timeout: float) -> Predictor:
    """Give a client that asks as most clients do: by raw bytes only where a tensor has no other form."""
    from deploy_clients import connect
    from deploy_dialects.carrying import only_binary

    client = connect(endpoint, timeout=timeout)
    if not only_binary(endpoint.dialect, client.signature):
        return client
    client.close()
    return connect(endpoint, timeout=timeout, binary=True)


def _fulfil(attempt: Future[str | None], judged: Callable[[], str | None]) -> None:
    try:
        attempt.set_result(judged())
    except BaseException as error:
        attempt.set_exception(error)


_STAGES = {"listen": "listened", "connect": "could be connected to", "predict": "predicted"}
