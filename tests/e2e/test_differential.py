"""Differential fuzzing of HTTP/1 (threats S19): streams of mutated requests go through weir-proxy to a
back end that reads with another parser, h11. What h11 sees there must be as many requests as weir-proxy
says it has sent (those apart that it broke off because their client did), never two for one of ours, and
nothing that h11 refuses. What weir-proxy took for
requests is compared with what h11 makes of the client's bytes, as far as both follow.

Runs for DIFFERENTIAL_SECONDS (10); make fuzz gives it longer. What fails is printed as Python bytes."""

import os
import random
import socket
import threading
import time

import h11
import pytest

from processes import TOP, free_port, wait_until
from raw_http import fetch

SECONDS = float(os.environ.get("DIFFERENTIAL_SECONDS", "10"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", time.time_ns() % 1000000))
BATCH = 25
SEEDS = [path.read_bytes() for path in sorted((TOP / "tests/fuzz/corpus/fuzz_h1").iterdir())
         if not path.name.startswith("answer-")] + [
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n"
    b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n"
    b"Host: a\r\n\r\n"]
SPICE = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b":", b",", b";", b"0", b"1", b"00", b"0x", b"-",
         b"+", b"\r\n\r\n", b"\r\n ", b"0\r\n\r\n", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n",
         b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
         b"transfer-encoding:\tchunked\r\n", b"Transfer_Encoding: chunked\r\n", b"Connection: content-length\r\n",
         b"Connection: transfer-encoding\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.0",
         b"HTTP/1.1", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"\xff", b"\x85", b"chunked, ", b"\x7f"]


class Recorder:
    """A back end that answers what h11 takes for a request, and remembers what h11 refused."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port, self.lock = self.server.getsockname()[1], threading.Lock()
        self.requests, self.refused = [], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        parser, came = h11.Connection(h11.SERVER), b""
        with connection:
            while True:
                try:
                    event = parser.next_event()
                    if event is h11.NEED_DATA:
                        data = connection.recv(65536)
                        if not data:
                            return  # a client that broke off may end it in the middle
                        came += data
                        parser.receive_data(data)
                    elif isinstance(event, h11.Request):
                        with self.lock:
                            body, headers = bytearray(), dict(event.headers)
                            client = headers.get(b"x-forwarded-for", b"").split(b",")[-1].strip().decode()
                            self.requests.append((client, event.method, body))
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.EndOfMessage):
                        connection.sendall(parser.send(h11.Response(
                            status_code=200, headers=[("content-length", "0")])))
                        parser.send(h11.EndOfMessage())
                        if parser.our_state is h11.MUST_CLOSE:
                            return
                        parser.start_next_cycle()
                    elif isinstance(event, h11.ConnectionClosed):
                        return
                except h11.RemoteProtocolError as error:
                    with self.lock:
                        self.refused.append((str(error), came))
                    return
                except OSError:
                    return


def second_opinion(stream):
    """The requests [(method, body)] that h11 takes from the bytes of a client, up to what it refuses."""
    parser, found = h11.Connection(h11.SERVER), []
    parser.receive_data(stream)
    try:
        while True:
            event = parser.next_event()
            if isinstance(event, h11.Request):
                method, body = event.method, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                found.append((method, body))
                if parser.their_state is h11.MUST_CLOSE:
                    return found
                parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                parser.send(h11.EndOfMessage())
                parser.start_next_cycle()
            else:
                return found
    except h11.ProtocolError:
        return found


def mutated(chance):
    stream = b"".join(chance.choice(SEEDS) for _ in range(chance.randrange(1, 4)))
    for _ in range(chance.randrange(5)):
        at, end = chance.randrange(len(stream) + 1), chance.randrange(1, 12)
        kind = chance.randrange(5)
        if kind == 0:
            stream = stream[:at] + chance.choice(SPICE) + stream[at:]
        elif kind == 1:
            stream = stream[:at] + stream[at + end:]
        elif kind == 2:
            stream = stream[:at] + bytes([chance.randrange(256)]) + stream[at + 1:]
        elif kind == 3:  # a line again, somewhere
            lines = stream.split(b"\r\n")
            lines.insert(chance.randrange(len(lines)), chance.choice(lines))
            stream = b"\r\n".join(lines)
        else:  # a line of another
            lines, others = stream.split(b"\r\n"), chance.choice(SEEDS).split(b"\r\n")
            lines[chance.randrange(len(lines))] = chance.choice(others)
            stream = b"\r\n".join(lines)
    return stream[:16384]


# Behind each stream. Where it ended with a request, this one ends the connection; where it did not, the
# gateway's request_timeout does.
END = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def send(port, stream, pieces, address):
    """Sends the stream in so many pieces, from this address of loopback, by which its requests are known
    again, and reads until the proxy ends the connection."""
    with socket.create_connection(("127.0.0.1", port), 2, source_address=(address, 0)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            size = len(stream) // pieces + 1
            for at in range(0, len(stream), size):
                client.sendall(stream[at:at + size])
            while client.recv(65536):
                pass
        except TimeoutError:
            print(f"the connection was left open after {stream!r}")  # and idle, or the counts will tell
        except ConnectionError:
            pass


@pytest.fixture(scope="module")
def bed(stack):
    port, recorder, etcd = free_port(), Recorder(), stack.etcd()
    etcd.put_all({
        "gateways/edge": {"listeners": [{"name": "http", "address": "127.0.0.1", "port": port}],
                          "request_timeout": "0.2s", "request_headers_timeout": "0.2s"},
        "services/recorder": {"endpoints": [{"address": f"127.0.0.1:{recorder.port}"}]},
        "routes/all": {"gateways": ["edge"], "match": {"path": {"prefix": "/"}},
                       "backends": [{"service": "recorder"}]}})
    proxy = stack.proxy(stack.control(etcd), "edge")
    wait_until(lambda: fetch(port, "/").status == 200, "the first answer")
    yield port, recorder, proxy
    recorder.server.close()


def sent_by(proxy):
    """How many requests weir-proxy has sent, and how many of them it has broken off."""
    stats = proxy.stats()
    return (stats["cluster.recorder.upstream_rq_total"], stats["cluster.recorder.upstream_rq_cancelled"])


def is_balanced(recorder, proxy):
    """Whether every request that came was sent, and every request sent came or was broken off; what is
    on its way is waited for."""
    try:
        wait_until(lambda: len(recorder.requests) >= sent_by(proxy)[0] - sum(sent_by(proxy)[1:]),
                   "the requests that were sent", 20)
    except AssertionError:
        return False
    return len(recorder.requests) <= sent_by(proxy)[0]


def problems(bed, streams, chance):
    """What is wrong after these streams, as a list of sentences."""
    port, recorder, proxy = bed
    refused, found = len(recorder.refused), []
    addresses = {f"127.1.{len(recorder.requests) % 250}.{index + 1}": stream + END
                 for index, stream in enumerate(streams)}
    first = len(recorder.requests)
    for address, stream in addresses.items():
        send(port, stream, chance.randrange(1, 4), address)
    if not is_balanced(recorder, proxy):
        found.append(f"weir-proxy sent {sent_by(proxy)} requests, h11 saw {len(recorder.requests)}, "
                     f"in {streams!r}")
    for address, stream in addresses.items():
        ours = [(method, bytes(body)) for client, method, body in recorder.requests[first:]
                if client == address]
        theirs = second_opinion(stream)
        # The last one of ours may have come in part.
        for mine, other in zip(ours[:-1], theirs):
            if mine != other:
                found.append(f"h11 reads {other}, weir-proxy {mine}, in {stream!r}")
                break
    found += [f"h11 refuses what weir-proxy sent: {error}: {came!r}, in {streams!r}"
              for error, came in recorder.refused[refused:]]
    return found


def test_no_request_becomes_two(bed):
    chance, end, count = random.Random(SEED), time.monotonic() + SECONDS, 0
    while time.monotonic() < end or count < 4 * BATCH:
        streams = [mutated(chance) for _ in range(BATCH)]
        found = problems(bed, streams, chance)
        assert not found, f"DIFFERENTIAL_SEED={SEED}\n" + "\n".join(found)
        count += len(streams)
    assert len(bed[1].requests) > count / 20, "hardly any of the streams held a request that was forwarded"
    print(f"{count} streams, {len(bed[1].requests)} requests")


def test_the_comparison_would_notice(bed):
    """A request that weir-proxy does not know of, seen by the back end, is a finding."""
    _, recorder, proxy = bed
    broken_off = sent_by(proxy)[1]
    with socket.create_connection(("127.0.0.1", recorder.port)) as smuggler:
        for _ in range(broken_off + 1):
            smuggler.sendall(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            assert smuggler.recv(1000)
    assert not is_balanced(recorder, proxy)
