"""What weir-control serves, seen by clients that are not ours: every message of the example and of
every golden input decoded with Envoy's complete definitions, and gRPC's own xDS resolver."""

import json
import pathlib
import shutil
import subprocess

import grpc
import pytest

from ads_client import Stream, check, fetch_all
from processes import TOP, Control, Stack, free_port, wait_until

EXAMPLE = TOP / "deploy/examples/quickstart"
GOLDEN = sorted(p for p in (TOP / "tests/golden").iterdir() if (p / "in").is_dir())


def gateways_of(folder):
    return sorted(p.stem for p in (folder / "gateways").glob("*")) if (folder / "gateways").exists() else []


@pytest.mark.parametrize("folder", [EXAMPLE, *(case / "in" for case in GOLDEN)],
                         ids=lambda folder: folder.parent.name if folder.name == "in" else folder.name)
def test_everything_served_decodes_with_the_complete_messages(folder, tmp_path):
    with Stack(tmp_path) as stack:
        policy = shutil.copytree(folder, tmp_path / "policy")
        control = stack.control(policy)
        for gateway in gateways_of(policy):
            for user_agent in ("envoy", "gRPC C-core"):
                fetch_all(control.port, gateway, user_agent)


def test_the_decoder_lets_nothing_pass():
    from envoy.config.cluster.v3 import cluster_pb2
    from envoy.config.core.v3 import extension_pb2
    good = cluster_pb2.Cluster(name="a")
    check(good, "good")
    with pytest.raises(AssertionError, match="unknown fields"):
        check(cluster_pb2.Cluster.FromString(good.SerializeToString() + b"\xf8\xff\x03\x01"), "bad")
    packed = extension_pb2.TypedExtensionConfig()
    packed.typed_config.type_url = "type.googleapis.com/no.such.Type"
    with pytest.raises(AssertionError, match="nobody knows"):
        check(packed, "bad")
    packed.typed_config.Pack(good)
    packed.typed_config.value += b"\xff"
    with pytest.raises(Exception):
        check(packed, "bad")


def test_there_are_golden_inputs():
    assert len(GOLDEN) >= 20
    assert gateways_of(EXAMPLE)


def test_the_example_serves_all_four_types(tmp_path):
    with Stack(tmp_path) as stack:
        control = stack.control(shutil.copytree(EXAMPLE, tmp_path / "policy"))
        found = fetch_all(control.port, "public")
        assert set(found["CDS"]) == {"users", "orders"} == set(found["EDS"])
        assert set(found["LDS"]) == {"public/http"} and set(found["RDS"]) == {"public"}


GRPC_CLIENT = """
import grpc, sys
with grpc.insecure_channel("xds:///greeter.example.com") as channel:
    grpc.channel_ready_future(channel).result(timeout=60)
    call = channel.unary_unary("/test.Echo/Say", lambda b: b, lambda b: b)
    print(call(b"hello", timeout=60).decode())
"""


def test_grpc_resolves_and_calls_through_its_own_xds_client(stack, tmp_path):
    from concurrent import futures

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request + b" from afar")

    server = grpc.server(futures.ThreadPoolExecutor(2), [Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        etcd = stack.etcd()
        etcd.put_all({
            "gateways/inner": {"listeners": [
                {"name": "grpc", "address": "127.0.0.1", "port": free_port()}]},
            "services/greeter": {"endpoints": [{"address": f"127.0.0.1:{port}"}]},
            "routes/greeter": {"gateways": ["inner"], "hosts": ["greeter.example.com"],
                               "match": {"path": {"prefix": "/"}},
                               "backends": [{"service": "greeter"}]}})
        control = stack.control(etcd)
        bootstrap = tmp_path / "grpc.json"
        bootstrap.write_text(json.dumps({
            "xds_servers": [{"server_uri": f"127.0.0.1:{control.port}",
                             "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
            "node": {"id": "grpc-client", "cluster": "inner"}}))
        result = subprocess.run(
            ["/usr/bin/python3", "-c", GRPC_CLIENT], capture_output=True, text=True, timeout=150,
            env={"GRPC_XDS_BOOTSTRAP": str(bootstrap), "PATH": "/usr/bin", "no_proxy": "*"})
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip() == "hello from afar"
    finally:
        server.stop(None)


@pytest.fixture(scope="module")
def served(stack):
    etcd = stack.etcd(name="etcd-raw")
    etcd.put_all({
        "gateways/public": {"listeners": [
            {"name": "http", "address": "127.0.0.1", "port": free_port()}]},
        "services/a": {"endpoints": [{"address": "127.0.0.1:9"}]},
        "routes/a": {"gateways": ["public"], "match": {"path": {"prefix": "/"}},
                     "backends": [{"service": "a"}]}})
    return etcd, stack.control(etcd, name="control-raw")


def test_a_refusal_is_not_repeated_and_is_told_to_the_operator(served):
    etcd, control = served
    stream = Stream(control.port, "public", node_id="refuser")
    try:
        stream.send("CDS")
        stream.ack(stream.receive(), "CDS", error="cluster a: I do not like it")
        assert stream.is_silent(1)
        status = wait_until(lambda: (etcd.status_of("services/a") or {}).get("refused_by"),
                            "the refusal in the status")
        assert status[0]["proxy"] == "refuser" and "I do not like it" in status[0]["message"]
        etcd.put("services/a", {"endpoints": [{"address": "127.0.0.1:9"}], "connect_timeout": "2s"})
        stream.ack(stream.receive(), "CDS")
        wait_until(lambda: not (etcd.status_of("services/a") or {}).get("refused_by"),
                   "the refusal to go from the status")
    finally:
        stream.close()


def test_two_replicas_serve_equal_versions(served, stack):
    etcd, control = served
    other = stack.control(etcd, name="control-other")
    versions = []
    for port in (control.port, other.port):
        stream = Stream(port, "public")
        stream.send("CDS")
        versions.append(stream.receive().version_info)
        stream.close()
    assert versions[0] == versions[1] != ""


def test_a_stream_without_a_node_is_refused(served):
    stream = Stream(served[1].port, "public")
    stream.send("CDS", with_node=False)
    with pytest.raises(grpc.RpcError) as failure:
        stream.receive()
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    stream.close()


def test_delta_tells_that_a_name_does_not_exist_and_sends_it_when_it_does(served):
    etcd, control = served
    stream = Stream(control.port, "public", delta=True)
    try:
        stream.send("EDS", resource_names_subscribe=["later"])
        response = stream.receive()
        assert list(response.removed_resources) == ["later"] and not response.resources
        stream.ack(response)
        etcd.put_all({"services/later": {"endpoints": [{"address": "127.0.0.1:9"}]},
                      "routes/later": {"gateways": ["public"], "match": {"path": {"exact": "/later"}},
                                       "backends": [{"service": "later"}]}})
        response = stream.receive()
        assert [resource.name for resource in response.resources] == ["later"]
    finally:
        stream.close()
