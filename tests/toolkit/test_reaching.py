"""Endpoints behind TLS, tokens and headers, as the command line reaches them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import tls_server
from command_line import run_deploy

from deploy_clients import Tls
from deploy_core.errors import DeployError, UsageError
from deploy_toolkit.cli import deploy
from deploy_toolkit.commands.reaching import line, reaching
from deploy_toolkit.flows.access import Access

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make certificates")

TOKEN = "t0ken-s3cret"
METADATA = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
}


class Sums(BaseHTTPRequestHandler):
    """Adds up each row, for those who have the token; keeps the headers of every request."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self._answer(METADATA)

    def do_POST(self) -> None:
        (tensor,) = json.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"]
        sums = np.reshape(tensor["data"], tensor["shape"]).sum(axis=1)
        self._answer({"outputs": [{"name": "y", "datatype": "FP32", "shape": [len(sums)], "data": sums.tolist()}]})

    def _answer(self, document: Any) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        allowed = self.headers["authorization"] == f"Bearer {TOKEN}"
        body = json.dumps(document if allowed else {"error": "no token"}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def pki(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    return shared("pki", tls_server.fill)


@pytest.fixture
def port(pki: Path) -> Generator[int]:
    """A server that asks for a token, and for a certificate of the client."""
    Sums.seen = []
    port, stop = tls_server.start(Sums, pki, "good", ask=True)
    yield port
    stop()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text('{"x": [[1, 2], [3, 4.5]]}')
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "headers").write_text("x-team: vision\n\nx-more:  a: b \n")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32))
    return tmp_path


def trusting(pki: Path) -> tuple[object, ...]:
    return ("--ca", pki / "ca.pem", "--certificate", pki / "user.pem", "--key", pki / "user.key")


def run(*args: object) -> Any:
    return deploy.main([str(arg) for arg in args], standalone_mode=False)


def test_a_prediction_behind_tls_with_a_token_and_headers(port: int, pki: Path, folder: Path) -> None:
    url = f"oip+rests://127.0.0.1:{port}/m"
    secrets = ("--token-file", "token", "--header", "@headers", "--header", "X-Key: 7")
    done = run_deploy("predict", url, "--input", "x.json", *trusting(pki), *secrets, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"]["y"]["data"] == [3.0, 7.5]
    assert {(seen["x-team"], seen["x-more"], seen["x-key"]) for seen in Sums.seen} == {("vision", "a: b", "7")}


def test_endpoints_are_checked_with_a_token_of_the_environment(port: int, pki: Path, folder: Path) -> None:
    urls = [f"oip+rests://{host}:{port}/m" for host in ("127.0.0.1", "localhost")]
    arguments = ("check", urls[0], "--endpoint", urls[1], "--inputs", "x.npz", *trusting(pki), "--token-env", "KEY")
    done = run_deploy(*arguments, "--json", cwd=folder, KEY=TOKEN)
    assert done.returncode == 0, done.stderr
    assert [(row["subject"], row["ok"]) for row in json.loads(done.stdout)["rows"]] == [(urls[1], True)]


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ((), "failed at TLS: .*trusted here", "--ca FILE"),
        (("--ca", "ca.pem"), "wants a certificate|broke off|closed|EOF occurred", ""),
        (("--ca", "ca.pem", "--certificate", "both.pem"), "answered HTTP 401: no token", "--token-file"),
    ],
)
def test_a_server_that_refuses_says_which_option_is_missing(
    port: int, pki: Path, folder: Path, options: tuple[str, ...], words: str, hint: str
) -> None:
    given = [pki / text if text.endswith(".pem") else text for text in options]
    with pytest.raises(DeployError, match=words) as caught:
        run("predict", f"oip+rests://127.0.0.1:{port}/m", "--input", "x.json", *given)
    assert hint in caught.value.hint


def test_a_server_that_hangs_is_not_waited_for_longer(folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"oip+rest://127.0.0.1:{listener.getsockname()[1]}/m"
        with pytest.raises(DeployError, match=r"did not answer within 0\.2 s") as caught:
            run("predict", url, "--input", "x.json", "--timeout", "0.2")
    assert "--timeout" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--timeout", "0"), "leaves no time"),
        (("--timeout", "nan"), "leaves no time"),
        (("--timeout", "inf"), "longer than a day"),
        (("--header", TOKEN), "a --header is not NAME: VALUE"),
        (("--header", f": {TOKEN}"), "a --header is not NAME: VALUE"),
        (("--header", f"a b: {TOKEN}"), "name has characters"),
        (("--header", f"x: {TOKEN}\r\ny: z"), "value of header x cannot be sent"),
        (("--header", f"X-A: {TOKEN}", "--header", "x-a: 2"), "header x-a is given twice"),
        (("--header", "@absent"), "file of headers absent cannot be read: No such file"),
        (("--header", f"Authorization: {TOKEN}", "--token-file", "token"), "header Authorization is given twice"),
        (("--token-file", "absent"), "token file absent cannot be read: No such file"),
        (("--token-file", "empty"), "token file empty holds no token"),
        (("--token-file", "words"), "what the token file words holds cannot be sent"),
        (("--token-env", "ABSENT_VARIABLE"), "environment variable ABSENT_VARIABLE holds no token"),
        (("--token-file", "token", "--token-env", "A"), "both say which token"),
        (("--ca", "absent.pem"), "CA file absent.pem cannot be read"),
        (("--ca", "token"), "CA file token is not PEM"),
        (("--key", "token"), "a key is of no use"),
    ],
)
def test_values_that_are_none_are_told_before_anything_is_sent_and_shown_to_nobody(
    folder: Path, options: tuple[str, ...], words: str
) -> None:
    (folder / "empty").write_text(" \n")
    (folder / "words").write_text(f"{TOKEN} {TOKEN}")
    for command, inputs in (("predict", ("--input", "x.json")), ("check", ("--inputs", "x.npz"))):
        with pytest.raises(UsageError, match=words) as caught:
            run(command, "oip+rests://127.0.0.1:1/m", *inputs, *options)
        assert TOKEN not in str(caught.value) + caught.value.hint
        assert caught.value.hint


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("oip+rest://127.0.0.1:1/m", ("--ca", "ca.pem"), "does not use TLS"),
        ("oip+grpc://127.0.0.1:1/m", ("--header", "x-bin: 1"), "header x-bin cannot be sent over gRPC"),
        ("x.npz", ("--token-file", "token"), "no endpoint is named"),
    ],
)
def test_options_that_go_to_no_endpoint(
    pki: Path, folder: Path, url: str, options: tuple[str, ...], words: str
) -> None:
    given = [pki / text if text.endswith(".pem") else text for text in options]
    with pytest.raises(UsageError, match=words):
        run("predict", url, "--input", "x.json", *given)


def test_a_timeout_that_is_no_number(folder: Path) -> None:
    with pytest.raises(click.BadParameter, match="'soon' is not a valid float"):
        run("predict", "oip+rest://127.0.0.1:1/m", "--input", "x.json", "--timeout", "soon")


def test_what_is_for_named_endpoints_does_not_go_to_servers_that_are_started() -> None:
    access = Access(5.0, {"authorization": f"Bearer {TOKEN}"}, Tls(ca="ca.pem"))
    assert access.ours == Access(5.0)
    assert TOKEN not in repr(access)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("oip+rest://203.0.113.9:8080/net", True),
        ("oip+grpc://models.example:8081/net", True),
        ("oip+rests://models.example:443/net", False),
        ("oip+rest://127.0.0.1:8080/net", False),
        ("oip+grpc://[::1]:8081/net", False),
        ("oip+rest://localhost:8080/net", False),
    ],
)
def test_a_token_that_others_could_read_on_its_way_is_warned_of(
    url: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    command = click.command("ask")(click.argument("subjects", nargs=-1)(reaching(lambda subjects, access: None)))
    command.main([url, "net", "--token-env", "KEY"], standalone_mode=False)
    command.main([url, "net"], standalone_mode=False)
    said = capsys.readouterr().err
    assert said.count("as plain text") == warned
    assert (url in said) == warned
    assert "s3cret" not in said


def test_a_command_line_that_is_told_holds_no_secret() -> None:
    given = ["check", "net a", "--header", f"X-Key: {TOKEN}", f"--header=authorization: Bearer {TOKEN}"]
    told = line([*given, "--header", "@headers.txt", "--token-file", "token", "--atol=1e-3"])
    assert told == (
        "deploy check 'net a' --header 'X-Key: …' '--header=authorization: …' --header @headers.txt --token-file token "
        "--atol=1e-3"
    )
