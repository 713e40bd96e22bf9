"""What back ends and policy do to answers: an answer before the end of its request (threats S10) and
texts of strangers in headers of answers (S14), through weir-proxy and through stock Envoy."""

import socket
import subprocess
import threading

import pytest

from processes import BIN, Process, envoy_binary, free_port, wait_until
from raw_http import Connection, build, fetch
from test_bootstrap import BOOTSTRAP, GROUND


class HastyServer:
    """A back end that answers as soon as it has a head, never reads bodies apart from heads, and keeps
    every byte that came on each of its connections."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.connections, self.is_closed = [], []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections.append(b"")
            self.is_closed.append(False)
            threading.Thread(target=self._answer, args=(connection, len(self.connections) - 1),
                             daemon=True).start()

    def _answer(self, connection, index):
        with connection:
            answered = 0
            while True:
                try:
                    data = connection.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    self.is_closed[index] = True
                    return
                self.connections[index] += data
                heads = self.connections[index].count(b"\r\n\r\n")
                while answered < heads:
                    connection.sendall(self.ANSWER)
                    answered += 1

    def connection_of(self, start):
        """Index of the connection on which a request beginning with these bytes came."""
        return next((i for i, data in enumerate(self.connections) if start in data), None)


@pytest.fixture(scope="module")
def bed(stack):
    """(ports of both data planes, the hasty server, etcd)."""
    ports, hasty = {"weir": free_port(), "envoy": free_port()}, HastyServer()
    backend, etcd = stack.backend("a"), stack.etcd()
    route = lambda prefix, **fields: {"gateways": list(ports), "match": {"path": {"prefix": prefix}},
                                      **fields}
    etcd.put_all({
        **{f"gateways/{name}": {"listeners": [{"name": "http", "address": "127.0.0.1", "port": port}]}
           for name, port in ports.items()},
        "services/hasty": {"endpoints": [{"address": f"127.0.0.1:{hasty.port}"}]},
        "services/a": {"endpoints": [{"address": f"127.0.0.1:{backend.port}"}]},
        "routes/hasty": route("/hasty", backends=[{"service": "hasty"}]),
        "routes/prefix": route("/to-prefix", redirect={"prefix": "/new"}),
        "routes/host": route("/to-host", redirect={"host": "other.example.com"}),
        "routes/up": route("/up", direct_response={"status": 200})})
    control = stack.control(etcd)
    stack.proxy(control, "weir", concurrency=1)
    stack.envoy(control, "envoy", concurrency=1)
    for port in ports.values():
        wait_until(lambda: fetch(port, "/up").status == 200, "the first answer")
    yield ports, hasty, etcd
    hasty.server.close()


@pytest.mark.parametrize("plane", ["weir", "envoy"])
def test_an_answer_before_the_end_of_its_upload_costs_the_connection_upstream(bed, plane):
    """S10: what is left of the upload must not become the next request on a pooled connection."""
    ports, hasty, _ = bed
    smuggled = b"GET /hasty/smuggled HTTP/1.1\r\nHost: e\r\n\r\n"
    upload = f"/hasty/upload-{plane}".encode()
    with Connection(ports[plane]) as client:
        client.send(b"POST %s HTTP/1.1\r\nHost: e\r\nContent-Length: 100000\r\n\r\nbegin" % upload)
        assert client.answer().body == b"ok"
        index = hasty.connection_of(upload)
        try:
            client.send(smuggled)
        except OSError:
            pass  # it does not take more, which is as well
        wait_until(lambda: hasty.is_closed[index], "the connection upstream to be closed")
    following = f"/hasty/next-{plane}"
    assert fetch(ports[plane], following).body == b"ok"
    assert hasty.connection_of(following.encode()) not in (None, index)
    # The rest of the upload came as what it is, if at all, and nobody was answered for it.
    assert hasty.connections[index].count(b"HTTP/1.1\r\n") <= 2
    assert hasty.connection_of(b"/hasty/smuggled") in (None, index)


@pytest.mark.parametrize("plane", ["weir", "envoy"])
def test_a_complete_exchange_leaves_the_connection_to_the_next(bed, plane):
    """The test above could not tell otherwise."""
    ports, hasty, _ = bed
    first, second = f"/hasty/first-{plane}", f"/hasty/second-{plane}"
    assert fetch(ports[plane], first).body == b"ok"
    assert fetch(ports[plane], second).body == b"ok"
    assert hasty.connection_of(first.encode()) == hasty.connection_of(second.encode()) is not None


ESCAPED = "%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0aHTTP/1.1%20200%20OK"


@pytest.mark.parametrize("target", [f"/to-prefix/{ESCAPED}", f"/to-host/{ESCAPED}", f"/to-prefix?q={ESCAPED}",
                                    "/to-prefix/%00", "/to-host?%00"])
def test_what_a_path_escapes_splits_no_answer(bed, target):
    """S14."""
    locations = {}
    for plane, port in bed[0].items():
        locations[plane] = one_answer(port, target).header("location")
    assert locations["weir"] == locations["envoy"]
    if ESCAPED in target:
        assert ESCAPED.lower() in locations["weir"].lower()


def one_answer(port, target):
    """What the request is answered with; fails where that is more than one answer or sets a cookie."""
    with Connection(port) as client:
        client.send(build("GET", target) + build("GET", "/up"))
        answer, following = client.answer(), client.answer()
    assert following is None if answer.status == 400 else following.status in (200, 404, 503)
    assert answer.header("set-cookie") is None
    return answer


TEMPLATE = """direct_response: {{status: 200, body: {{inline_string: made here}}}}
                response_headers_to_add:
                - header: {{key: x-path, value: "%REQ(:PATH)%"}}
                - header: {{key: x-client, value: "<%REQ(x-client)%>"}}
"""


@pytest.fixture(scope="module")
def templated(stack, tmp_path_factory):
    """Ports of both data planes, of one file each, in which headers of answers are made of requests."""
    ports = {}
    for plane, command in (("weir", [BIN / "weir-proxy"]),
                           ("envoy", [envoy_binary(), "--use-dynamic-base-id", "--disable-hot-restart"])):
        folder, ports[plane] = tmp_path_factory.mktemp(plane), free_port()
        path = folder / "bootstrap.yaml"
        path.write_text(with_action(TEMPLATE).format(admin=free_port(), port=ports[plane], backend=1,
                                                     log="/dev/null"))
        stack.add(Process(f"templated-{plane}", folder, [*command, "-c", path, "-l", "warning"])).start()
        wait_until(lambda: fetch(ports[plane], "/direct").status == 200, "the first answer")
    return ports


def with_action(action):
    """The bootstrap of test_bootstrap.py with something else in place of its direct response."""
    before = "direct_response: {{status: 200, body: {{inline_string: made here}}}}\n"
    assert before in BOOTSTRAP
    return BOOTSTRAP.replace(before, action)


@pytest.mark.parametrize("target", [f"/direct/{ESCAPED}", f"/direct?q={ESCAPED}"])
def test_what_a_template_copies_of_a_path_splits_no_answer(templated, target):
    """S14."""
    paths = {plane: one_answer(port, target).header("x-path") for plane, port in templated.items()}
    assert paths["weir"] == paths["envoy"] == target


@pytest.mark.parametrize("value", [b"a\rSet-Cookie: a=b", b"a\nSet-Cookie: a=b", b"a\0b", b"a\r\n b"])
def test_what_a_template_copies_of_a_header_splits_no_answer(templated, value):
    """S14: refused where it comes in, where stock Envoy takes most of these."""
    with Connection(templated["weir"]) as client:
        client.send(b"GET /direct HTTP/1.1\r\nHost: e\r\nx-client: " + value + b"\r\n\r\n")
        answer = client.answer()
    assert answer.status == 400 and answer.header("set-cookie") is None
    assert fetch(templated["weir"], "/direct", headers=[("x-client", "me")]).header("x-client") == "<me>"


@pytest.mark.parametrize("key,value", [
    ("routes/split", {"gateways": ["weir"], "match": {"path": {"prefix": "/s"}},
                      "redirect": {"host": "a\r\nSet-Cookie: a=b"}}),
    ("routes/split", {"gateways": ["weir"], "match": {"path": {"prefix": "/s"}},
                      "redirect": {"path": "/a\r\nSet-Cookie: a=b"}}),
    ("routes/split", {"gateways": ["weir"], "match": {"path": {"prefix": "/s"}},
                      "redirect": {"prefix": "/a\nb"}}),
    ("routes/split", {"gateways": ["weir"], "match": {"path": {"prefix": "/s"}},
                      "direct_response": {"status": 200},
                      "response_headers": {"set": {"x-a": "a\r\nSet-Cookie: a=b"}}}),
    ("policies/split", {"headers": {"response": {"add": {"x-a": "a\nb"}}}}),
], ids=["redirect host", "redirect path", "redirect prefix", "response header", "header policy"])
def test_policy_with_line_ends_is_kept_out(bed, key, value):
    """S14: also where an operator's tool was tricked into writing it."""
    etcd = bed[2]
    etcd.put(key, value)
    status = wait_until(lambda: etcd.status_of(key), "its status")
    assert not status.get("accepted") and key in status["message"], status
    etcd.delete(key)
    wait_until(lambda: etcd.status_of(key) is None, "its status to go")


@pytest.mark.parametrize("action", [
    r'redirect: {{host_redirect: "a\r\nSet-Cookie: a=b"}}',
    r'redirect: {{path_redirect: "/a\r\nSet-Cookie: a=b"}}',
    r'redirect: {{prefix_rewrite: "/a\nb"}}',
    TEMPLATE.replace("%REQ(:PATH)%", r"a\r\nSet-Cookie: a=b"),
], ids=["host", "path", "prefix", "header"])
def test_another_control_plane_cannot_make_it_split_answers(tmp_path, action):
    """S14: weir-proxy checks for itself."""
    path = tmp_path / "bad.yaml"
    path.write_text(with_action(action + "\n").format(**GROUND))
    result = subprocess.run([BIN / "weir-proxy", "--mode", "validate", "--config-path", path],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "route" in result.stderr + result.stdout, result.stderr
    assert not any(line.startswith("Set-Cookie") for line in result.stderr.splitlines())
