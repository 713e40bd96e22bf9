"""A route, a limit, a key, a breaker put, changed and deleted in etcd take effect on live traffic
through weir-proxy and through stock Envoy, and the status tells the operator."""

import time

import pytest

from processes import free_port, wait_until
from raw_http import fetch


class Bed:
    """One control plane, both data planes, two back ends."""

    def __init__(self, stack):
        self.ports = {"weir": free_port(), "envoy": free_port()}
        self.settled = 0
        self.a, self.b = stack.backend("a"), stack.backend("b")
        self.etcd = stack.etcd()
        self.etcd.put_all({
            **{f"gateways/{name}": {"listeners": [
                {"name": "http", "address": "127.0.0.1", "port": port}]}
               for name, port in self.ports.items()},
            "services/a": {"endpoints": [{"address": f"127.0.0.1:{self.a.port}"}]},
            "services/b": {"endpoints": [{"address": f"127.0.0.1:{self.b.port}"}]},
            "routes/up": self.route("/up", direct_response={"status": 200})})
        self.control = stack.control(self.etcd)
        self.proxy = stack.proxy(self.control, "weir")
        self.envoy = stack.envoy(self.control, "envoy")
        for port in self.ports.values():
            wait_until(lambda: fetch(port, "/up").status == 200, "the first answer")

    @staticmethod
    def route(prefix, service=None, **fields):
        route = {"gateways": ["weir", "envoy"], "match": {"path": {"prefix": prefix}}, **fields}
        if service:
            route["backends"] = [{"service": service}]
        return route

    def everywhere(self, what, check):
        """Waits until check(port) holds through both data planes."""
        for name, port in self.ports.items():
            wait_until(lambda: check(port), f"{what} through {name}")

    def settle(self):
        """Waits until everything put so far is in use: what is put later is not used earlier."""
        self.settled += 1
        route = f"/settled/{self.settled}"
        self.etcd.put("routes/settled", self.route(route, direct_response={"status": 204}))
        self.everywhere("a later route", lambda port: fetch(port, route).status == 204)

    def status(self, target, **request):
        return {name: fetch(port, target, **request).status for name, port in self.ports.items()}


@pytest.fixture(scope="module")
def bed(stack):
    return Bed(stack)


def test_a_route_put_changed_and_deleted(bed):
    bed.etcd.put("routes/r", bed.route("/r", "a"))
    bed.everywhere("the new route", lambda port: fetch(port, "/r").header("x-backend") == "a")
    bed.etcd.put("routes/r", bed.route("/r", "b"))
    bed.everywhere("the changed route", lambda port: fetch(port, "/r").header("x-backend") == "b")
    bed.etcd.delete("routes/r")
    bed.everywhere("no route any more", lambda port: fetch(port, "/r").status == 404)


def test_a_value_may_be_yaml(bed):
    bed.etcd.put("routes/y", "gateways: [weir, envoy]\nmatch:\n  path: {exact: /y}\n"
                             "direct_response:\n  status: 200\n  body: yaml\n")
    bed.everywhere("the route", lambda port: fetch(port, "/y").body == b"yaml")
    bed.etcd.delete("routes/y")


def test_the_status_says_live_on_both(bed):
    bed.etcd.put("routes/st", bed.route("/st", "a"))
    def live():
        status = bed.etcd.status_of("routes/st") or {}
        return status if len(status.get("live_on", [])) == 2 else None
    status = wait_until(live, "live on two proxies")
    assert status["accepted"] is True
    assert sorted(status["live_on"]) == ["envoy", "weir-proxy"]
    assert bed.etcd.status_of("proxies/weir-proxy")["gateway"] == "weir"
    bed.etcd.delete("routes/st")
    wait_until(lambda: bed.etcd.status_of("routes/st") is None, "the status to go with its object")


def test_a_limit_put_changed_and_deleted(bed):
    bed.etcd.put_all({"limits/l": {"requests": 2, "per": "3600s"},
                      "routes/l": bed.route("/l", "a", limits=["l"])})
    bed.everywhere("the limit", lambda port: fetch(port, "/l").header("x-ratelimit-limit"))
    for port in bed.ports.values():
        assert 429 in [fetch(port, "/l").status for _ in range(3)]
    bed.etcd.put("limits/l", {"requests": 1000, "per": "3600s"})
    bed.everywhere("the larger limit", lambda port: fetch(port, "/l").status == 200)
    bed.etcd.put("limits/l", {"requests": 1, "per": "3600s"})
    bed.everywhere("the smaller limit", lambda port: fetch(port, "/l").status == 429)
    bed.etcd.put("routes/l", bed.route("/l", "a"))
    bed.everywhere("no limit any more", lambda port: fetch(port, "/l").status == 200)
    bed.etcd.delete("limits/l")
    bed.etcd.delete("routes/l")


def test_another_route_changed_leaves_a_limit_its_count(bed):
    bed.etcd.put_all({"limits/keep": {"requests": 1, "per": "3600s"},
                      "routes/keep": bed.route("/keep", "a", limits=["keep"])})
    port = bed.ports["weir"]
    wait_until(lambda: fetch(port, "/keep").status == 429, "the limit")
    bed.etcd.put("routes/other", bed.route("/other", "a"))
    wait_until(lambda: fetch(port, "/other").status == 200, "the other route")
    assert fetch(port, "/keep").status == 429
    bed.etcd.delete("routes/keep")
    bed.etcd.delete("routes/other")


def test_a_key_put_changed_and_deleted(bed):
    key = lambda value: {"headers": [("x-api-key", value)]}
    bed.etcd.put_all({"policies/keys": {"api_key": {}},
                      "consumers/alice": {"api_keys": [{"key": "one"}]},
                      "routes/k": bed.route("/k", "a", policies=["keys"])})
    bed.everywhere("a right key", lambda port: fetch(port, "/k", **key("one")).status == 200)
    assert set(bed.status("/k").values()) == {401}
    assert set(bed.status("/k", **key("two")).values()) == {401}
    bed.etcd.put("consumers/alice", {"api_keys": [{"key": "two"}]})
    bed.everywhere("the new key", lambda port: fetch(port, "/k", **key("two")).status == 200)
    assert set(bed.status("/k", **key("one")).values()) == {401}
    bed.etcd.delete("consumers/alice")
    bed.everywhere("no key any more", lambda port: fetch(port, "/k", **key("two")).status == 401)
    bed.etcd.delete("routes/k")


def breaker(bed, **fields):
    return {"endpoints": [{"address": f"127.0.0.1:{bed.a.port}"}], "circuit_breaker": fields}


def trip(bed, port):
    """Sends failing requests until one is answered without the back end; how many reached it."""
    before = bed.a.count()
    for _ in range(50):
        if fetch(port, "/cb?status=500").header("x-backend") is None:
            break
    return bed.a.count() - before


def test_a_breaker_put_changed_and_deleted(bed):
    bed.etcd.put_all({"services/cb": breaker(bed, consecutive_failures=3, open_for="8s"),
                      "routes/cb": bed.route("/cb", "cb")})
    bed.everywhere("the service", lambda port: fetch(port, "/cb").status == 200)
    for name, port in bed.ports.items():
        reached = trip(bed, port)
        assert reached == 3 if name == "weir" else reached >= 3, name
        answer = fetch(port, "/cb")
        assert answer.status == 503 and answer.header("x-backend") is None
        if name == "weir":
            assert 1 <= int(answer.header("retry-after")) <= 8
    bed.everywhere("the breaker to close again", lambda port: fetch(port, "/cb").status == 200)
    bed.etcd.put("services/cb", breaker(bed, consecutive_failures=5, open_for="8s"))
    bed.settle()
    assert trip(bed, bed.ports["weir"]) == 5
    bed.etcd.put("services/cb", {"endpoints": [{"address": f"127.0.0.1:{bed.a.port}"}]})
    bed.everywhere("no breaker any more", lambda port: fetch(port, "/cb").status == 200)
    for port in bed.ports.values():
        assert all(fetch(port, "/cb?status=500").status == 500 for _ in range(10))
    bed.etcd.delete("routes/cb")


def test_half_open_lets_one_request_try_and_a_failure_opens_again(bed):
    bed.etcd.put_all({"services/ho": breaker(bed, consecutive_failures=2, open_for="8s"),
                      "routes/ho": bed.route("/cb", "ho")})
    port = bed.ports["weir"]
    wait_until(lambda: fetch(port, "/cb").status == 200, "the service")
    assert trip(bed, port) == 2
    assert "state::open" in _clusters(bed, "ho")
    time.sleep(8.2)
    before = bed.a.count()
    assert fetch(port, "/cb?status=500").header("x-backend") == "a"
    assert fetch(port, "/cb").header("x-backend") is None
    assert bed.a.count() - before == 1
    time.sleep(8.2)
    assert fetch(port, "/cb").status == 200 and fetch(port, "/cb").status == 200
    assert "state::closed" in _clusters(bed, "ho")
    bed.etcd.delete("routes/ho")


def _clusters(bed, name):
    from processes import http_get
    return "\n".join(line for line in http_get(bed.proxy.admin_port, "/clusters")[1].splitlines()
                     if line.startswith(f"{name}::"))


def test_a_leased_endpoint_comes_and_goes_with_its_lease(bed):
    bed.etcd.put_all({"services/leased": {}, "routes/leased": bed.route("/leased", "leased")})
    bed.everywhere("no endpoint", lambda port: fetch(port, "/leased").status == 503)
    lease = bed.etcd.call("lease/grant", {"TTL": 5})["ID"]
    bed.etcd.call("kv/put", {"key": bed.etcd._b64("/weir/v1/endpoints/leased/i-1"), "lease": lease,
                             "value": bed.etcd._b64(f'{{"address":"127.0.0.1:{bed.a.port}"}}')})
    def is_reached(port):
        bed.etcd.call("lease/keepalive", {"ID": lease})
        return fetch(port, "/leased").status == 200
    bed.everywhere("the endpoint", is_reached)
    bed.everywhere("the lease to end", lambda port: fetch(port, "/leased").status == 503)
    bed.etcd.delete("routes/leased")


def test_a_listener_put_moved_and_deleted(bed):
    first, second = free_port(), free_port()
    listeners = lambda *ports: {"listeners": [
        {"name": f"l{i}", "address": "127.0.0.1", "port": port} for i, port in enumerate(ports)]}
    bed.etcd.put("gateways/weir", listeners(bed.ports["weir"], first))
    wait_until(lambda: _answers(first), "the second listener")
    bed.etcd.put("gateways/weir", listeners(bed.ports["weir"], second))
    wait_until(lambda: _answers(second) and not _answers(first), "the listener to move")
    bed.etcd.put("gateways/weir", {"listeners": [
        {"name": "http", "address": "127.0.0.1", "port": bed.ports["weir"]}]})
    wait_until(lambda: not _answers(second), "the listener to go")
    wait_until(lambda: _answers(bed.ports["weir"]), "the first listener")


def _answers(port):
    try:
        return fetch(port, "/up").status == 200
    except (OSError, EOFError, AttributeError):
        return False
