"""The load balancers an operator can name, through weir-proxy and through stock Envoy."""

import select
import socket
import threading

import pytest

from processes import free_port, wait_until
from raw_http import Connection, build, fetch


class Hole:
    """A back end that takes requests and never answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.arrivals, self.held = 0, []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                taken, _ = self.listener.accept()
            except OSError:
                return
            self.held.append(taken)
            if taken.recv(65536):
                self.arrivals += 1


@pytest.fixture(scope="module")
def bed(stack):
    class Bed:
        pass
    bed = Bed()
    bed.ports = {"weir": free_port(), "envoy": free_port()}
    bed.hole = Hole()
    a, b = stack.backend("a"), stack.backend("b")
    both = ["weir", "envoy"]
    address = lambda port, **more: {"address": f"127.0.0.1:{port}", **more}
    policy = {
        **{f"gateways/{name}": {"listeners": [
            {"name": "http", "address": "127.0.0.1", "port": port}]}
           for name, port in bed.ports.items()},
        "services/least": {"load_balancer": "LEAST_REQUEST",
                           "endpoints": [address(a.port), address(bed.hole.port)]},
        "services/weighted": {"load_balancer": "LEAST_REQUEST",
                              "endpoints": [address(a.port, weight=3), address(b.port, weight=1)]},
        "services/random": {"load_balancer": "RANDOM",
                            "endpoints": [address(a.port), address(b.port)]},
        **{f"routes/{name}": {"gateways": both, "match": {"path": {"prefix": f"/{name}"}},
                              "timeout": "300s", "backends": [{"service": name}]}
           for name in ("least", "weighted", "random")}}
    etcd = stack.etcd()
    etcd.put_all(policy)
    control = stack.control(etcd)
    stack.proxy(control, "weir", concurrency=1)
    stack.envoy(control, "envoy", concurrency=1)
    for port in bed.ports.values():
        wait_until(lambda: fetch(port, "/random").status == 200, f"an answer on {port}")
    yield bed
    bed.hole.listener.close()


# Envoy may draw the same host twice, so that a loaded one still gets every fourth request.
@pytest.mark.parametrize("plane,answered_at_least", [("weir", 39), ("envoy", 21)])
def test_least_request_avoids_a_back_end_that_does_not_answer(bed, plane, answered_at_least):
    answered, stuck = 0, []
    for _ in range(40):
        before = bed.hole.arrivals
        connection = Connection(bed.ports[plane], 30)
        connection.send(build("GET", "/least"))
        is_readable = lambda: select.select([connection.socket], [], [], 0.01)[0]
        wait_until(lambda: is_readable() or bed.hole.arrivals > before, "either back end", 30, 0)
        if bed.hole.arrivals > before:
            stuck.append(connection)
            continue
        assert connection.answer().status == 200
        answered += 1
        connection.socket.close()
    for connection in stuck:
        connection.socket.close()
    assert answered >= answered_at_least


def backends_of(port, target, count):
    with Connection(port, 30) as connection:
        chosen = []
        for _ in range(count):
            connection.send(build("GET", target))
            chosen.append(connection.answer().header("x-backend"))
        return chosen


@pytest.mark.parametrize("plane", ["weir", "envoy"])
def test_least_request_keeps_weights_where_nothing_is_under_way(bed, plane):
    assert 57 <= backends_of(bed.ports[plane], "/weighted", 80).count("a") <= 63


@pytest.mark.parametrize("plane", ["weir", "envoy"])
def test_random_takes_no_turns(bed, plane):
    chosen = backends_of(bed.ports[plane], "/random", 200)
    assert 50 < chosen.count("a") < 150
    assert any(before == after for before, after in zip(chosen, chosen[1:]))
