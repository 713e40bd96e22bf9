"""Hostile and broken requests (HTTP request smuggling, splitting, confusion, exhaustion) sent to
weir-proxy: each gets its answer, the connection ends where it must, and nothing reaches a back end."""

import socket
import threading
import time

import pytest

from processes import free_port, wait_until
from raw_http import Connection, fetch

HEAD = b"POST /echo HTTP/1.1\r\nHost: e\r\n"


def te(line, version=b"1.1"):
    return b"POST /echo HTTP/" + version + b"\r\nHost: e\r\n" + line + b"\r\n\r\n0\r\n\r\n"


def length(value):
    return HEAD + b"Content-Length:" + value + b"\r\n\r\nhello"


def chunk(data):
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + data


def line(text):
    return text + b"\r\nHost: e\r\n\r\n"


def header(text):
    return b"GET /echo HTTP/1.1\r\nHost: e\r\n" + text + b"\r\n\r\n"


# name: (bytes, accepted statuses). Each must close the connection and reach no back end.
REJECTED = {
    "S1 length and chunked": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "S1 chunked and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", {400}),
    "S2 two different lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400}),
    "S2 list of different lengths": (length(b" 5, 6"), {400}),
    "S2 plus": (length(b" +5"), {400}),
    "S2 hex": (length(b" 0x5"), {400}),
    "S2 underscore": (length(b" 5_0"), {400}),
    "S2 inner space": (length(b" 5 5"), {400}),
    "S2 empty": (length(b""), {400}),
    "S2 negative": (length(b" -1"), {400}),
    "S2 beyond 63 bits": (length(b" 92233720368547758080"), {400, 413}),
    "S3 chunked twice": (te(b"Transfer-Encoding: chunked, chunked"), {400, 501}),
    "S3 identity, chunked": (te(b"Transfer-Encoding: identity, chunked"), {400, 501}),
    "S3 space before colon": (te(b"Transfer-Encoding : chunked"), {400}),
    "S3 vertical tab": (te(b"Transfer-Encoding:\x0bchunked"), {400, 501}),
    "S3 xchunked": (te(b"Transfer-Encoding: xchunked"), {400, 501}),
    "S3 two lines": (te(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), {400, 501}),
    "S3 gzip, chunked": (te(b"Transfer-Encoding: gzip, chunked"), {400, 501}),
    "S3 in HTTP/1.0": (te(b"Transfer-Encoding: chunked", b"1.0"), {400, 426}),
    "S4 0x": (chunk(b"0x5\r\nhello\r\n0\r\n\r\n"), {400}),
    "S4 sign": (chunk(b"+5\r\nhello\r\n0\r\n\r\n"), {400}),
    "S4 underscore": (chunk(b"5_\r\nhello\r\n0\r\n\r\n"), {400}),
    "S4 overflow": (chunk(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), {400}),
    "S4 17 digits": (chunk(b"00000000000000005\r\nhello\r\n0\r\n\r\n"), {400}),
    "S4 no CRLF behind data": (chunk(b"5\r\nhelloX\r\n0\r\n\r\n"), {400}),
    "S4 bare LF behind size": (chunk(b"5\nhello\r\n0\r\n\r\n"), {400}),
    "S4 bare LF behind data": (chunk(b"5\r\nhello\n0\r\n\r\n"), {400}),
    "S4 bare CR in an extension": (chunk(b"5;a=\rb\r\nhello\r\n0\r\n\r\n"), {400}),
    "S4 extension of 64 KB": (chunk(b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"), {400, 413, 431}),
    "S4 empty size": (chunk(b"\r\nhello\r\n0\r\n\r\n"), {400}),
    "S5 bare LF behind the request line": (b"GET /echo HTTP/1.1\nHost: e\r\n\r\n", {400}),
    "S5 bare LF behind a header": (b"GET /echo HTTP/1.1\r\nHost: e\nX: y\r\n\r\n", {400}),
    "S5 bare CR in a value": (header(b"X: a\rb"), {400}),
    "S5 NUL in a value": (header(b"X: a\0b"), {400}),
    "S5 NUL in a name": (header(b"X\0: a"), {400}),
    "S5 NUL in the method": (line(b"GE\0T /echo HTTP/1.1"), {400}),
    "S5 folded header": (header(b"X: a\r\n b"), {400}),
    "S5 leading space on the first header": (b"GET /echo HTTP/1.1\r\n Host: e\r\n\r\n", {400}),
    "S5 empty name": (header(b": a"), {400}),
    "S5 no colon": (header(b"abc"), {400}),
    "S5 space in a name": (header(b"a b: c"), {400}),
    "S7 HTTP/0.9": (b"GET /echo\r\n\r\n", {400}),
    "S7 odd version": (line(b"GET /echo HTTP/1.32"), {400, 505}),
    "S7 HTTP/2.0": (line(b"GET /echo HTTP/2.0"), {400, 505}),
    "S7 two spaces": (line(b"GET  /echo HTTP/1.1"), {400}),
    "S7 tabs": (line(b"GET\t/echo\tHTTP/1.1"), {400}),
    "S7 absolute form with another host": (b"GET http://a/echo HTTP/1.1\r\nHost: b\r\n\r\n", {400}),
    "S7 no host": (b"GET /echo HTTP/1.1\r\n\r\n", {400}),
    "S7 two hosts": (b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    "S7 same host twice": (b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", {400}),
    "S7 list of hosts": (b"GET /echo HTTP/1.1\r\nHost: a,b\r\n\r\n", {400}),
    "S7 userinfo": (b"GET /echo HTTP/1.1\r\nHost: user@a\r\n\r\n", {400}),
    "S7 host with a path": (b"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", {400}),
    "S7 relative target": (line(b"GET echo HTTP/1.1"), {400}),
    "S12 CONNECT without a port": (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", {400, 404, 405}),
    "S12 CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", {404, 405}),
    "S40 one header of 1 MB": (header(b"X: " + b"x" * (1 << 20)), {431}),
    "S40 10,000 headers": (header(b"\r\n".join(b"x-%d: 1" % i for i in range(10000))), {431}),
    "S40 cookie of 64 KB": (header(b"Cookie: " + b"c" * 65536), {431}),
    "S40 target of 1 MB": (line(b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1"), {414, 431}),
}
# name: (target, accepted statuses): no back end either, but the connection may go on.
BAD_PATHS = {
    "S23 escaped slash": ("/echo/%2fadmin", {400}),
    "S23 escaped backslash": ("/echo/%5cadmin", {400}),
    "S23 escaped NUL": ("/echo/%00", {400}),
}


@pytest.fixture(scope="module")
def proxied(stack):
    """(gateway port, back end, proxy)."""
    port, backend, etcd = free_port(), stack.backend("echo"), stack.etcd()
    etcd.put_all({
        "gateways/edge": {"listeners": [{"name": "http", "address": "127.0.0.1", "port": port}],
                          "request_headers_timeout": "1s", "request_timeout": "2s"},
        "services/echo": {"endpoints": [{"address": f"127.0.0.1:{backend.port}"}]},
        "routes/echo": {"gateways": ["edge"], "match": {"path": {"prefix": "/echo"}},
                        "backends": [{"service": "echo"}]},
        "routes/admin": {"gateways": ["edge"], "match": {"path": {"prefix": "/admin"}},
                         "direct_response": {"status": 403}}})
    proxy = stack.proxy(stack.control(etcd), "edge")
    wait_until(lambda: fetch(port, "/echo").status == 200, "the first answer")
    return port, backend, proxy


@pytest.mark.parametrize("name", REJECTED)
def test_is_rejected_closed_and_not_forwarded(proxied, name):
    port, backend, _ = proxied
    data, statuses = REJECTED[name]
    before = backend.count()
    with Connection(port) as connection:
        try:
            connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had seen enough; the answer is there all the same
        answer = connection.answer()
        assert answer is not None and answer.status in statuses, answer
        assert answer.header("connection") == "close"
        assert connection.is_closed()
    assert backend.count() == before


@pytest.mark.parametrize("name", BAD_PATHS)
def test_a_path_that_could_be_read_in_two_ways_is_not_forwarded(proxied, name):
    port, backend, _ = proxied
    target, statuses = BAD_PATHS[name]
    before = backend.count()
    assert fetch(port, target).status in statuses
    assert backend.count() == before


@pytest.mark.parametrize("target", ["/echo/../admin", "/echo/%2e%2e/admin", "/echo/%2E./admin",
                                    "/echo/..;x/admin", "//admin", "/./admin", "/echo/..\\admin"])
def test_a_path_is_routed_by_its_canonical_form(proxied, target):
    """S23: what routes decide about is what a back end would see."""
    port, backend, _ = proxied
    before = backend.count()
    assert fetch(port, target).status in (403, 400)
    assert backend.count() == before


@pytest.mark.parametrize("target,seen", [
    ("/echo/a/../b", "/echo/b"), ("/echo/%61", "/echo/a"), ("/echo//a", "/echo/a"),
    ("/echo//../admin", "/echo/admin"), ("/echo/x;y/z", "/echo/x;y/z"),
    ("/echo?a=1;b=2&a=1", "/echo?a=1;b=2&a=1")])
def test_the_back_end_sees_the_canonical_path(proxied, target, seen):
    answer = fetch(proxied[0], target)
    assert answer.status == 200 and answer.json()["path"] == seen


def test_identical_lengths_become_one(proxied):
    """S2."""
    with Connection(proxied[0]) as connection:
        connection.send(HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
        answer = connection.answer()
    assert answer.status == 200 and answer.json()["body_bytes"] == 5
    assert answer.json()["headers"].get("content-length") == "5"


def test_trailers_do_not_become_headers(proxied):
    """S6."""
    with Connection(proxied[0]) as connection:
        connection.send(chunk(b"2\r\nhi\r\n0\r\nContent-Length: 99\r\nHost: evil\r\n"
                              b"Authorization: x\r\n\r\n"))
        seen = {k.lower(): v for k, v in connection.answer().json()["headers"].items()}
    assert seen["host"] == "e" and "authorization" not in seen and "content-length" not in seen


def test_trailers_are_limited(proxied):
    """S6."""
    with Connection(proxied[0]) as connection:
        connection.send(chunk(b"2\r\nhi\r\n0\r\nX: " + b"x" * 200000 + b"\r\n\r\n"))
        answer = connection.answer()
        assert answer is None or answer.status in (400, 431)
        assert connection.is_closed()


def test_pipelined_requests_are_answered_up_to_the_malformed_one(proxied):
    """S8."""
    good = b"".join(b"GET /echo/%d HTTP/1.1\r\nHost: e\r\n\r\n" % i for i in range(1000))
    with Connection(proxied[0]) as connection:
        threading.Thread(target=connection.send, args=(good + b"BAD\x01 / HTTP/1.1\r\n\r\n",)).start()
        for i in range(1000):
            assert connection.answer().json()["path"] == f"/echo/{i}"
        assert connection.answer().status == 400
        assert connection.is_closed()


@pytest.mark.parametrize("expect,statuses", [(b"100-continue", {200}), (b"200-ok", {417, 400}),
                                             (b"100-continue, x", {417, 400})])
def test_expect(proxied, expect, statuses):
    """S9: answered, or refused; the connection never goes out of step."""
    with Connection(proxied[0]) as connection:
        connection.send(HEAD + b"Expect: " + expect + b"\r\nContent-Length: 5\r\n\r\nhello")
        answer = connection.answer()
        assert answer.status in statuses
        if answer.status == 200:
            assert answer.json()["body_bytes"] == 5
            connection.send(b"GET /echo/next HTTP/1.1\r\nHost: e\r\n\r\n")
            assert connection.answer().json()["path"] == "/echo/next"
        else:
            assert connection.is_closed()


def test_upgrade_with_a_body_is_not_forwarded(proxied):
    """S11."""
    port, backend, _ = proxied
    before = backend.count()
    with Connection(port) as connection:
        connection.send(HEAD + b"Connection: upgrade\r\nUpgrade: foo\r\nContent-Length: 30\r\n\r\n"
                        b"GET /echo/smuggled HTTP/1.1\r\n\r\n")
        answer = connection.answer()
    assert answer.status == 403
    assert backend.count() == before


def test_connection_cannot_remove_what_the_gateway_adds(proxied):
    """S20."""
    answer = fetch(proxied[0], "/echo", headers=[
        ("Connection", "close, X-Forwarded-For, Authorization, Content-Length, Cookie, X-Request-Id"),
        ("Authorization", "a"), ("Cookie", "b")], method="POST", body=b"hello")
    seen = {k.lower(): v for k, v in answer.json()["headers"].items()}
    assert seen["authorization"] == "a" and seen["cookie"] == "b"
    assert "x-forwarded-for" in seen and "x-request-id" in seen
    assert answer.json()["body_bytes"] == 5


def test_forged_gateway_headers_are_replaced(proxied):
    """S21."""
    answer = fetch(proxied[0], "/echo", headers=[
        ("X-Forwarded-Proto", "https"), ("X-Request-Id", "forged"), ("x-weir-consumer", "admin"),
        ("X-Envoy-External-Address", "1.2.3.4"), ("X-Envoy-Internal", "true"),
        ("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4"), ("X-Forwarded-Host", "admin"),
        ("X-Forwarded-Port", "1"), ("X-Forwarded-Prefix", "/a"), ("X-Forwarded-Client-Cert", "a")])
    seen = {k.lower(): v for k, v in answer.json()["headers"].items()}
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-request-id"] != "forged" and len(seen["x-request-id"]) == 36
    assert "x-weir-consumer" not in seen
    assert seen.get("x-envoy-internal") is None
    assert seen.get("x-envoy-external-address") != "1.2.3.4"
    assert not {"forwarded", "x-real-ip", "x-forwarded-host", "x-forwarded-port",
                "x-forwarded-prefix", "x-forwarded-client-cert"} & seen.keys()


@pytest.mark.parametrize("name", ["x_weir_consumer", "X_Weir-Consumer", "x_forwarded_for"])
def test_names_with_underscores_are_dropped(proxied, name):
    """S22."""
    seen = fetch(proxied[0], "/echo", headers=[(name, "admin")]).json()["headers"]
    assert name.lower() not in {key.lower() for key in seen}


def test_ten_thousand_query_parameters_are_fine(proxied):
    """S24."""
    target = "/echo?" + "&".join(f"a={i}" for i in range(5000))
    assert fetch(proxied[0], target).json()["path"] == target


class Upstream:
    """A back end that answers each connection with fixed bytes, for answers no server would give."""

    def __init__(self, data):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.data = self.server.getsockname()[1], data
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            connection.settimeout(60)
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            connection.sendall(self.data)
            try:
                connection.recv(1)  # until the proxy lets go
            except OSError:
                pass


# name: (bytes of the back end, method, expected status, expected body)
UPSTREAM_ANSWERS = {
    "S13 HEAD with a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HEAD", 200, b""),
    "S13 204 with a body": (b"HTTP/1.1 204 No Content\r\n\r\nhello", "GET", 204, b""),
    "S13 304 with a body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "GET", 304, b""),
    "S13 more than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", "GET", 200, b"he"),
    "S13 length and chunked": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                               b"0\r\n\r\n", "GET", 502, None),
    "S13 two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "GET", 502, None),
    "S13 chunked interim answer": (b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", 502, None),
    "S11 an upgrade that nobody asked for": (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n"
                                             b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", 502, None),
    "S13 hundreds of interim answers": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500 +
                                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", 502, None),
    "S14 CR in a header": (b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", "GET", 502, None),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", "GET", 502, None),
}


@pytest.fixture(scope="module")
def odd_upstreams(stack):
    etcd, port = stack.etcd(name="etcd-odd"), free_port()
    servers = {name: Upstream(row[0]) for name, row in UPSTREAM_ANSWERS.items()}
    objects = {"gateways/odd": {"listeners": [{"name": "http", "address": "127.0.0.1", "port": port}]}}
    for index, server in enumerate(servers.values()):
        objects[f"services/s{index}"] = {"endpoints": [{"address": f"127.0.0.1:{server.port}"}]}
        objects[f"routes/r{index}"] = {"gateways": ["odd"], "match": {"path": {"exact": f"/{index}"}},
                                       "backends": [{"service": f"s{index}"}]}
    etcd.put_all(objects)
    control = stack.control(etcd, name="control-odd")
    stack.proxy(control, "odd", name="proxy-odd")
    wait_until(lambda: fetch(port, "/nothing").status == 404, "the listener")
    yield port
    for server in servers.values():
        server.server.close()


@pytest.mark.parametrize("name", UPSTREAM_ANSWERS)
def test_odd_answers_of_back_ends_do_not_spill(odd_upstreams, name):
    """S13: and the next request on the same connection gets its own answer."""
    _, method, status, body = UPSTREAM_ANSWERS[name]
    index = list(UPSTREAM_ANSWERS).index(name)
    with Connection(odd_upstreams) as connection:
        for _ in range(2):
            connection.send(f"{method} /{index} HTTP/1.1\r\nHost: e\r\n\r\n".encode())
            answer = connection.answer(method)
            # Envoy's status for an upstream that breaks the protocol is 502 (UPE)
            assert answer.status == status
            if body is not None:
                assert answer.body == body


# --- slowness (S39) and idle clients ---------------------------------------------------------------

def test_a_slow_head_ends_in_408_or_close(proxied):
    with Connection(proxied[0]) as connection:
        connection.send(b"GET /echo HTTP/1.1\r\n")
        began = time.monotonic()
        answer = connection.answer()
        assert answer is None or answer.status == 408
        assert time.monotonic() - began > 0.5
        assert connection.is_closed()


def test_a_slow_body_ends_in_408(proxied):
    with Connection(proxied[0]) as connection:
        connection.send(HEAD + b"Content-Length: 100\r\n\r\nhello")
        answer = connection.answer()
        assert answer is None or answer.status == 408
        assert connection.is_closed()


def test_a_thousand_stalled_clients_leave_others_alone(proxied):
    port, _, proxy = proxied
    stalled = []
    try:
        for _ in range(1000):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"GET /echo HTTP/1.1\r\nHost:")
            stalled.append(client)
        for _ in range(20):
            assert fetch(port, "/echo").status == 200
        assert proxy.rss_kib() < 100 * 1024
    finally:
        for client in stalled:
            client.close()


def test_a_client_that_does_not_read_costs_bounded_memory(proxied):
    port, _, proxy = proxied
    before = proxy.rss_kib()
    clients = []
    try:
        for _ in range(20):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /echo?body=20000000 HTTP/1.1\r\nHost: e\r\n\r\n")
            clients.append(client)
        time.sleep(2)
        assert fetch(port, "/echo").status == 200
        assert proxy.rss_kib() - before < 60 * 1024  # 20 x 20 MB were asked for
    finally:
        for client in clients:
            client.close()
