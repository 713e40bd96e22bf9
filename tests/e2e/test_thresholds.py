"""A service's limits, through weir-proxy and through stock Envoy, request by request. One worker each:
Envoy lets every worker have a connection to a host, whatever the limit."""

import time

import pytest

from processes import free_port, wait_until
from raw_http import Connection, build, fetch

# (limits, requests at once) -> statuses, sorted
CASES = {
    "those that wait for the connection are not under way": (
        {"max_connections": 1, "max_requests": 1}, 4, [200, 200, 200, 200]),
    "over the requests": ({"max_requests": 2}, 4, [200, 200, 503, 503]),
    "over those that wait": (
        {"max_connections": 1, "max_pending_requests": 2}, 5, [200, 200, 200, 503, 503]),
    "none may wait for a connection": ({"max_pending_requests": 0}, 1, [503]),
    "no connection but the first": ({"max_connections": 0}, 2, [200, 200]),
}


@pytest.fixture(scope="module")
def ports(stack):
    ports = {"weir": free_port(), "envoy": free_port()}
    backend = stack.backend("a")
    policy = {f"gateways/{name}": {"listeners": [
        {"name": "http", "address": "127.0.0.1", "port": port}]} for name, port in ports.items()}
    for number, (limits, _, _) in enumerate(CASES.values()):
        policy[f"services/s{number}"] = {
            "endpoints": [{"address": f"127.0.0.1:{backend.port}"}],
            "circuit_breaker": {"limits": limits}}
        policy[f"routes/r{number}"] = {
            "gateways": list(ports), "match": {"path": {"prefix": f"/{number}"}},
            "backends": [{"service": f"s{number}"}]}
    policy["routes/up"] = {"gateways": list(ports), "match": {"path": {"exact": "/up"}},
                           "direct_response": {"status": 200}}
    etcd = stack.etcd()
    etcd.put_all(policy)
    control = stack.control(etcd)
    stack.proxy(control, "weir", concurrency=1)
    stack.envoy(control, "envoy", concurrency=1)
    for port in ports.values():
        wait_until(lambda: fetch(port, "/up").status == 200, f"an answer on {port}")
    return ports


@pytest.mark.parametrize("plane", ["weir", "envoy"])
@pytest.mark.parametrize("case", CASES)
def test_limits_let_through_as_many_as_they_say(ports, plane, case):
    number, (_, count, expected) = list(CASES).index(case), CASES[case]
    connections = [Connection(ports[plane], 30) for _ in range(count)]
    for connection in connections:
        connection.send(build("GET", f"/{number}?delay=700"))
        time.sleep(0.05)  # one after the other, all while the first is answered
    answers = [connection.answer() for connection in connections]
    for connection in connections:
        connection.socket.close()
    assert sorted(answer.status for answer in answers) == expected
