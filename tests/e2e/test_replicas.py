"""Two weir-controls on one etcd: whoever writes an object's status, it is about all proxies."""

import threading

import pytest

from ads_client import Stream
from processes import Stack, wait_until


class Fake(threading.Thread):
    """A client that accepts what it is sent, but for routes while it has an error."""

    def __init__(self, control, node_id):
        super().__init__(daemon=True)
        self.stream = Stream(control.port, "public", delta=True, node_id=node_id)
        self.error = None
        self.stream.send("CDS")
        self.stream.send("LDS")
        self.stream.send("RDS", resource_names_subscribe=["public"])
        self.start()

    def run(self):
        while True:
            response = self.stream.incoming.get()
            if response is None or not hasattr(response, "type_url"):
                return
            is_routes = response.type_url.endswith("RouteConfiguration")
            self.stream.ack(response, error=self.error if is_routes else None)

    def leave(self):
        self.stream.call.cancel()


def route(path):
    return {"gateways": ["public"], "match": {"path": {"prefix": path}},
            "direct_response": {"status": 200, "body": path}}


@pytest.fixture
def bed(tmp_path):
    with Stack(tmp_path) as stack:
        stack.etcd_server = stack.etcd()
        stack.etcd_server.put_all({"gateways/public": {"listeners": [{"name": "http", "port": 80}]},
                                   "routes/a": route("/a")})
        stack.controls = [stack.control(stack.etcd_server, name=f"weir-control-{id}", extra=["--id", id])
                          for id in ("one", "two")]
        yield stack


def expect(stack, what, check, key="routes/a"):
    """Waits for a status that check accepts, and that stays so when both have had their say."""
    def status():
        return stack.etcd_server.status_of(key) or {}
    wait_until(lambda: check(status()), f"{what}: {status()}", 40)


def is_live_on(*names):
    return lambda status: sorted(status.get("live_on", [])) == sorted(names)


def test_an_object_is_live_on_the_proxies_of_both(bed):
    one, two = bed.controls
    first, second = Fake(one, "p1"), Fake(two, "p2")
    expect(bed, "live on both", is_live_on("p1", "p2"))

    bed.etcd_server.put("routes/a", route("/changed"))
    expect(bed, "the change live on both",
           lambda status: is_live_on("p1", "p2")(status) and status["accepted"])

    third = Fake(two, "p3")
    expect(bed, "live on all three", is_live_on("p1", "p2", "p3"))
    first.leave()
    expect(bed, "live on those that stay", is_live_on("p2", "p3"))
    moved = Fake(one, "p2")
    second.leave()
    expect(bed, "live on one that has moved", is_live_on("p2", "p3"))

    # A replica that starts does not take away what the others have.
    two.stop()
    expect(bed, "live where somebody serves it", is_live_on("p2"))
    two.start()
    fourth = Fake(two, "p4")
    expect(bed, "live again on both", is_live_on("p2", "p4"))
    for fake in (moved, third, fourth):
        fake.leave()


def test_a_refusal_is_told_by_whoever_writes_last(bed):
    one, two = bed.controls
    first, second = Fake(one, "p1"), Fake(two, "p2")
    expect(bed, "live on both", is_live_on("p1", "p2"))
    second.error = "routes are not what I like"
    bed.etcd_server.put("routes/b", route("/b"))
    expect(bed, "told who refuses it", lambda status: is_live_on("p1")(status) and [
        (r["proxy"], r["message"]) for r in status.get("refused_by", [])] == [("p2", second.error)],
        "routes/b")
    # What it had before stays live on it.
    expect(bed, "the older route live on both", is_live_on("p1", "p2"))
    second.error = None
    bed.etcd_server.put("routes/b", route("/c"))
    expect(bed, "the mended one on both",
           lambda status: is_live_on("p1", "p2")(status) and not status.get("refused_by"), "routes/b")
    first.leave(), second.leave()
