"""HTTPS: who is believed, and who we are; and proxies."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from webhook_sink import PATIENCE, Sink
from webhooks import make_backend, publish, running

from event_pusher.abc import DELIVERED, Outcome, Retry
from event_pusher.errors import SettingsError
from event_pusher_http.settings import HttpSettings


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority: Authority) -> Iterator[Sink]:
    """A receiver with a certificate for its address."""
    with Sink(authority.server("IP:127.0.0.1")) as one:
        yield one


def send(sink: Sink, tls: dict[str, Any], **handler: Any) -> Outcome:
    with running({"url": f"{sink.url}/hook", "tls": tls, **handler}) as backend:
        return publish(backend)


def file(path: Path) -> dict[str, str]:
    return {"file": str(path)}


def test_a_certificate_of_the_named_authority_is_believed(secure: Sink, authority: Authority) -> None:
    assert send(secure, {"ca": file(authority.ca)}) == DELIVERED


def test_a_certificate_of_another_authority_is_not(secure: Sink, tmp_path: Path) -> None:
    outcome = send(secure, {"ca": file(Authority(tmp_path).ca)})

    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("TLS: ")
    assert secure.requests == []


def test_without_a_named_authority_the_systems_are_believed(secure: Sink) -> None:
    outcome = send(secure, {})

    assert isinstance(outcome, Retry)
    assert secure.requests == []


def test_a_certificate_for_another_name_is_not_believed(authority: Authority) -> None:
    with Sink(authority.server("DNS:hook.example.net")) as sink:
        outcome = send(sink, {"ca": file(authority.ca)})

    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("TLS: ")


def test_the_name_of_the_certificate_may_be_said(authority: Authority) -> None:
    with Sink(authority.server("DNS:hook.example.net")) as sink:
        assert send(sink, {"ca": file(authority.ca), "server_name": "hook.example.net"}) == DELIVERED


def test_anybody_is_believed_when_the_operator_says_so(secure: Sink) -> None:
    assert send(secure, {"verify": False}) == DELIVERED


def test_a_receiver_may_ask_for_our_certificate(authority: Authority) -> None:
    # Given a receiver that takes requests of those it knows
    ours = authority.sign("ours", "DNS:pusher.example.org")
    with Sink(authority.server("IP:127.0.0.1", ask_for_certificate=True)) as sink:
        # Then without a certificate nothing is delivered, and with it everything
        assert send(sink, {"ca": file(authority.ca)}) != DELIVERED
        tls = {"ca": file(authority.ca), "certificate": file(ours.certificate), "key": file(ours.key)}
        assert send(sink, tls) == DELIVERED


def test_a_key_may_have_a_password(authority: Authority, tmp_path: Path) -> None:
    # Given an encrypted key
    ours, locked = authority.sign("locked", "DNS:pusher.example.org"), tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(ours.key), "-aes128", "-passout", "pass:s3cret", "-out", str(locked)]
    subprocess.run(command, check=True)
    tls = {"ca": file(authority.ca), "certificate": file(ours.certificate), "key": file(locked)}
    with Sink(authority.server("IP:127.0.0.1", ask_for_certificate=True)) as sink:
        # Then it opens with its password
        assert send(sink, {**tls, "key_password": "s3cret"}) == DELIVERED
        # And the start is refused without
        with pytest.raises(SettingsError, match=r"handlers\[0\]: tls: the certificates or the key cannot be used"):
            send(sink, tls)


@pytest.mark.parametrize("what", ["ca", "certificate"])
def test_files_that_are_no_certificates_refuse_the_start(tmp_path: Path, what: str) -> None:
    (tmp_path / "x.pem").write_text("nothing of the kind")
    handler = {"url": "https://h/", "tls": {what: file(tmp_path / "x.pem")}}

    with pytest.raises(SettingsError, match="tls: the certificates or the key cannot be used"):
        make_backend(HttpSettings.model_validate({"handlers": [handler]}))


def test_a_guarded_connection_asks_for_the_urls_name(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a receiver whose certificate has a name, and a user's URL with that name
    context = authority.server("DNS:hook.example.net")
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, context: asked.append(name)
    with Sink(context) as sink:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", sink.port))
        monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: [address])
        # When a request goes to the tested address
        handler = {"url": f"https://hook.example.net:{sink.port}/", "tls": {"ca": file(authority.ca)}}
        with running({**handler, "untrusted": True, "allow_networks": ["127.0.0.0/8"]}) as backend:
            outcome = publish(backend)
        # Then TLS and HTTP both name the host
        assert (outcome, asked) == (DELIVERED, ["hook.example.net"])
        assert sink.requests[0].headers["host"] == f"hook.example.net:{sink.port}"


def test_a_server_without_tls_is_an_unsent_request(sink: Sink) -> None:
    with running({"url": sink.url.replace("http:", "https:"), "connect_timeout": 1}) as backend:
        outcome = publish(backend)

    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("TLS: ")


# --- proxies ----------------------------------------------------------------------------------------------------------


class Tunnel:
    """A proxy that only tunnels; `heads` are what it was asked."""

    def __init__(self, to: int | None) -> None:
        self.heads: list[bytes] = []
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:p%40ss@127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def _spawn(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._spawn(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.heads.append(head)
            if self._to is None:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._to)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._spawn(_pump, server, client)
                _pump(client, server)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_http_goes_through_the_proxy_with_its_login(sink: Sink) -> None:
    # Given a receiver that plays the proxy
    proxy = sink.url.replace("//", "//user:p%40ss@")
    with running({"url": "http://hook.invalid/hook?a=b", "proxy": proxy}) as backend:
        # Then it gets the request for the name, which nobody here looks up
        assert publish(backend) == DELIVERED
    (got,) = sink.requests
    assert (got.path, got.headers["host"]) == ("http://hook.invalid/hook?a=b", "hook.invalid")
    assert base64.b64decode(got.headers["proxy-authorization"].split()[1]) == b"user:p@ss"


def test_https_goes_through_a_tunnel_that_learns_the_name_alone(authority: Authority) -> None:
    with Sink(authority.server("DNS:hook.invalid")) as sink:
        tunnel = Tunnel(sink.port)
        handler = {"url": "https://hook.invalid/hook", "tls": {"ca": file(authority.ca)}, "proxy": tunnel.url}
        with running({**handler, "headers": {"X-Token": "s3cret"}}) as backend:
            outcome = publish(backend)
        tunnel.close()
    assert (outcome, sink.requests[0].headers["x-token"]) == (DELIVERED, "s3cret")
    assert tunnel.heads[0].startswith(b"CONNECT hook.invalid:443 ")
    assert b"s3cret" not in tunnel.heads[0]


def test_a_proxy_that_refuses_sends_nothing() -> None:
    tunnel = Tunnel(None)
    with running({"url": "https://hook.invalid/", "proxy": tunnel.url}) as backend:
        outcome = publish(backend)
    tunnel.close()

    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("the proxy: ")
    assert "p@ss" not in outcome.reason


def test_a_proxy_that_is_away_sends_nothing(sink: Sink) -> None:
    sink.go_away()

    with running({"url": "http://hook.invalid/", "proxy": sink.url}) as backend:
        assert publish(backend) == Retry("the proxy: no connection: Connection refused")


def test_the_environments_proxies_are_not_asked(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    with running({"url": sink.url}) as backend:
        assert publish(backend) == DELIVERED


def test_the_tests_own_authority_is_one(authority: Authority) -> None:
    assert ssl.create_default_context(cafile=str(authority.ca)).cert_store_stats()["x509_ca"] == 1
