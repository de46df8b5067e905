"""Amazon on loopback: moto's SNS and SQS behind a real HTTP server that can leave, hold requests, and answer itself."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs

import boto3  # type: ignore[import-untyped]  # it ships no types
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REGION: Final = "eu-west-1"
ACCOUNT: Final = "123456789012"  # moto's
KEY: Final = "AKIAIOSFODNN7EXAMPLE"
SECRET: Final = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PATIENCE: Final = 10.0
_SESSION: Final = boto3.session.Session("testing", "testing", region_name=REGION)

#: Given the entries of a PublishBatch, what to answer in moto's place (status, XML, headers); None = ask moto.
Fault = Callable[[list[dict[str, str]]], tuple[int, str, dict[str, str]] | None]


class Request:
    """One PublishBatch that arrived."""

    def __init__(self, form: dict[str, str], headers: dict[str, str]) -> None:
        self.topic = form["TopicArn"]
        self.entries = _entries(form)
        self.headers = headers


class Aws:
    """A context manager. `requests` are the PublishBatches that arrived; `faults` answer them, one after the other."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.arrived = threading.Condition()
        self._go = threading.Event()
        self._go.set()
        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.come_back()
        self._clients()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what stands in the section ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    def options(self, **more: Any) -> dict[str, Any]:
        """The section of a backend that publishes to it."""
        where = {"region": REGION, "account_id": ACCOUNT, "sns_host": self.url}
        return where | {"access_key_id": KEY, "secret_access_key": SECRET} | more

    # --- what it may be asked to do ---------------------------------------------------------------------------

    def topic(self, name: str) -> Queue:
        """Create a topic, and a queue that is subscribed to it."""
        fifo = name.endswith(".fifo")
        kind = {"FifoTopic": "true"} if fifo else {}
        arn = self.sns.create_topic(Name=name, Attributes=kind)["TopicArn"]
        queue = Queue(self.sqs, arn, name, fifo=fifo)
        raw = {"RawMessageDelivery": "true"}
        self.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn, Attributes=raw)
        return queue

    def leave(self) -> None:
        """Refuse connections from now on."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join(PATIENCE)

    def come_back(self) -> None:
        """Take connections at the same port as before."""
        self._server = make_server("127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Quiet)
        self._port = self._server.server_port
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), name="aws", daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Answer no PublishBatch until `close`."""
        self._go.clear()

    def wait_requests(self, number: int) -> bool:
        """Wait until so many PublishBatch requests have arrived."""
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.requests) >= number, PATIENCE)

    def close(self) -> None:
        """Let everything go; called twice is fine."""
        self._go.set()
        self.leave()
        for client in (self.sns, self.sqs):
            client.close()

    # --- inside -----------------------------------------------------------------------------------------------

    def _clients(self) -> None:
        self.sns: Any = _SESSION.client("sns", endpoint_url=self.url)
        self.sqs: Any = _SESSION.client("sqs", endpoint_url=self.url)
        # moto keeps its state in the process: what another test left goes.
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")).close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("Action") == "PublishBatch":
            headers = {name: text for name, text in environ.items() if name.startswith("HTTP_")}
            request = Request(form, headers)
            with self.arrived:
                self.requests.append(request)
                fault = self.faults.pop(0) if self.faults else None
                self.arrived.notify_all()
            self._go.wait(PATIENCE)
            said = fault(request.entries) if fault is not None else None
            if said is not None:
                status, xml, more = said
                start_response(f"{status} said", [("Content-Type", "text/xml"), *more.items()])
                return [xml.encode()]
        return self._moto(environ, start_response)


class Queue:
    """An SQS queue that gets what is published to a topic."""

    def __init__(self, sqs: Any, topic: str, name: str, *, fifo: bool) -> None:
        self._sqs = sqs
        self.topic = topic
        kind = {"FifoQueue": "true"} if fifo else {}
        self._url = sqs.create_queue(QueueName=name, Attributes=kind)["QueueUrl"]
        self.arn = sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.taken: list[dict[str, Any]] = []

    def receive(self) -> list[dict[str, Any]]:
        """Take all that has arrived; give it with what was taken before."""
        while messages := self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for one in messages:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=one["ReceiptHandle"])
                self.taken.append(one)
        return self.taken

    def bodies(self) -> list[str]:
        """The texts of all that has arrived."""
        return [one["Body"] for one in self.receive()]

    def wait(self, number: int) -> list[str]:
        """Wait until so many have arrived; give their texts."""
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.05)):
            if len(self.bodies()) >= number:
                break
            pause.wait(0.05)
        return self.bodies()


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""


def refusal(status: int, code: str, **headers: str) -> Fault:
    """Answer a whole request with an error."""
    fault = "Sender" if status < 500 else "Receiver"
    error = f"<Error><Type>{fault}</Type><Code>{code}</Code><Message>it quotes: Wherefore art thou?</Message></Error>"
    return lambda _entries: (status, f"<ErrorResponse>{error}<RequestId>r1</RequestId></ErrorResponse>", headers)


def partial(codes: dict[int, tuple[str, bool]], silent: frozenset[int] = frozenset()) -> Fault:
    """Take a batch but for the entries at these places (code, the sender's fault), and say nothing about `silent`."""

    def answer(entries: list[dict[str, str]]) -> tuple[int, str, dict[str, str]]:
        good, bad = "", ""
        for place, entry in enumerate(entries):
            if place in codes:
                code, fault = codes[place]
                bad += f"<member><Id>{entry['Id']}</Id><Code>{code}</Code><Message>no</Message>"
                bad += f"<SenderFault>{str(fault).lower()}</SenderFault></member>"
            elif place not in silent:
                good += f"<member><Id>{entry['Id']}</Id><MessageId>m</MessageId></member>"
        result = f"<Successful>{good}</Successful><Failed>{bad}</Failed>"
        xml = f"<PublishBatchResponse><PublishBatchResult>{result}</PublishBatchResult></PublishBatchResponse>"
        return 200, xml, {}

    return answer


def _entries(form: dict[str, str]) -> list[dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for name, text in form.items():
        if name.startswith("PublishBatchRequestEntries.member."):
            place, _, field = name.removeprefix("PublishBatchRequestEntries.member.").partition(".")
            found.setdefault(int(place), {})[field] = text
    return [found[place] for place in sorted(found)]
