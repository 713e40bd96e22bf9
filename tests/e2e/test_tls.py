"""The xDS port under mutual TLS: weir-proxy and stock Envoy with certificates, nobody without."""

import json
import re
import subprocess

import grpc
import pytest

from processes import BIN, Envoy, Process, Proxy, free_port, http_get, wait_until
from raw_http import fetch

SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"


class Authority:
    """A CA in a folder, and what it signs."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self._make(name, "-x509", "-addext", "basicConstraints=critical,CA:TRUE")

    def sign(self, name, alternative_names="DNS:proxy.test"):
        return self._make(name, "-x509", "-CA", self.cert, "-CAkey", self.key,
                          "-addext", f"subjectAltName={alternative_names}",
                          "-addext", "basicConstraints=critical,CA:FALSE")

    def _make(self, name, *options):
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "1", "-subj", f"/CN={name}", "-keyout", key, "-out", cert,
                        *options], check=True, capture_output=True)
        return cert, key


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ca")


@pytest.fixture(scope="module")
def served(stack, pki):
    """(control, port of its gateway's listeners by gateway) behind mutual TLS."""
    ports = {"weir": free_port(), "envoy": free_port()}
    folder = stack.folder / "policy"
    for gateway, port in ports.items():
        for kind, document in (("gateways", {"listeners": [{"name": "http", "port": port}]}),
                               ("routes", {"gateways": [gateway], "match": {"path": {"prefix": "/"}},
                                           "direct_response": {"status": 200, "body": gateway}})):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{gateway}.json").write_text(json.dumps(document))
    cert, key = pki.sign("control", "IP:127.0.0.1,DNS:control.test")
    control = stack.control(folder, extra=["--xds-cert", cert, "--xds-key", key,
                                           "--xds-client-ca", pki.cert])
    return control, ports


def bootstrap(control, gateway, name, admin_port, ca, pair):
    common = {"validation_context": {"trusted_ca": {"filename": str(ca)}}}
    if pair:
        common["tls_certificates"] = [{"certificate_chain": {"filename": str(pair[0])},
                                       "private_key": {"filename": str(pair[1])}}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": control.port}}
    return {
        "node": {"id": name, "cluster": gateway},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
            "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [{
            "name": "xds", "type": "STATIC", "connect_timeout": "5s",
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": "control.test", "common_tls_context": common}},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}}}},
            "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": address}}]}]}}]},
    }


def start(stack, kind, served, gateway, name, ca, pair):
    """A weir-proxy or an Envoy with the same kind of bootstrap; not waited for."""
    control, _ = served
    process = (Proxy if kind == "weir" else Envoy)(stack.folder, control.port, gateway, name=name)
    path = stack.folder / f"{name}.json"
    path.write_text(json.dumps(bootstrap(control, gateway, name, process.admin_port, ca, pair)))
    if kind == "weir":
        process.argv = [str(a) for a in (BIN / "weir-proxy", "--config-path", path)]
    return stack.add(process).start(wait=False)


@pytest.mark.parametrize("kind", ["weir", "envoy"])
def test_a_proxy_with_a_certificate_is_served(stack, served, pki, kind):
    process = start(stack, kind, served, kind, f"{kind}-good", pki.cert, pki.sign(f"{kind}-good"))
    wait_until(lambda: http_get(process.admin_port, "/ready")[0] == 200, f"{kind} ready", 60)
    assert fetch(served[1][kind], "/").body == kind.encode()
    assert f"{kind}-good" in http_get(served[0].admin_port, "/clients")[1]


@pytest.mark.parametrize("kind", ["weir", "envoy"])
@pytest.mark.parametrize("certificate", ["none", "foreign"])
def test_a_proxy_without_a_certificate_of_that_ca_is_not(stack, served, pki, tmp_path, kind, certificate):
    control, _ = served
    pair = Authority(tmp_path, "foreign").sign("stranger") if certificate == "foreign" else None
    name = f"{kind}-{certificate}"
    process = start(stack, kind, served, kind, name, pki.cert, pair)
    def was_disconnected():
        stats = http_get(process.admin_port, "/stats?filter=^cluster.xds.upstream_cx_destroy$")[1]
        return re.search(r": [1-9]", stats)

    failed = {"weir": lambda: "status=UNAVAILABLE" in process.log(), "envoy": was_disconnected}
    wait_until(failed[kind], f"{kind} told that it could not connect", 60)
    assert name not in http_get(control.admin_port, "/clients")[1]
    assert f"{kind}/http" not in http_get(process.admin_port, "/listeners")[1]
    process.kill()


def test_plaintext_gets_nothing_from_the_port(served):
    with grpc.insecure_channel(f"127.0.0.1:{served[0].port}") as channel:
        call = channel.stream_stream(SERVICE)(iter([]), timeout=20)
        with pytest.raises(grpc.RpcError):
            next(call)


def control_says(tmp_path, *flags):
    """What weir-control prints when it refuses to start."""
    result = subprocess.run([BIN / "weir-control", "--source", "dir", "--directory", tmp_path,
                             "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0",
                             *map(str, flags)], capture_output=True, text=True, timeout=30)
    assert result.returncode == 2, result.stderr
    return result.stderr


def test_files_that_cannot_be_used_are_named(tmp_path, pki):
    cert, key = pki.sign("mine")
    says = control_says(tmp_path, "--xds-cert", "/nowhere/cert.pem", "--xds-key", key)
    assert "--xds-cert: /nowhere/cert.pem cannot be opened" in says
    says = control_says(tmp_path, "--xds-cert", cert, "--xds-key", pki.key)
    assert f"--xds-key {pki.key}" in says and "does not belong" in says


@pytest.mark.parametrize("address,is_warned_of", [("127.0.0.1:0", False), ("[::ffff:127.0.0.1]:0", True)])
def test_plaintext_beyond_loopback_is_warned_of(tmp_path, address, is_warned_of):
    """The second address is on loopback, too, so that this test opens no port to the network; but
    it is not one of the notations that weir-control takes for that."""
    process = Process("exposed", tmp_path, [
        BIN / "weir-control", "--source", "dir", "--directory", tmp_path,
        "--xds-address", address, "--admin-address", "127.0.0.1:0"]).start()
    try:
        wait_until(lambda: " started " in process.log(), "the start")
    finally:
        process.kill()
    assert ("xds_in_clear" in process.log()) == is_warned_of
