"""A raw ADS client on the complete Envoy messages of xds-protos, and a decoder that lets nothing pass:
an unknown field, bytes that do not parse, or an Any that does not unpack fails."""

import importlib
import pathlib
import pkgutil
import queue
import subprocess
import tempfile

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

from processes import TOP

URL = "type.googleapis.com/"
TYPES = {
    "LDS": "envoy.config.listener.v3.Listener", "RDS": "envoy.config.route.v3.RouteConfiguration",
    "CDS": "envoy.config.cluster.v3.Cluster", "EDS": "envoy.config.endpoint.v3.ClusterLoadAssignment",
}
_SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"


def _import_all(package):
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if found.name.endswith("_pb2"):
            importlib.import_module(found.name)


def _add_weir_messages():
    """Our own messages, from proto/weir, into the pool that holds Envoy's."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "weir.pb"
        subprocess.run(["protoc", "-Iproto", "-o", out, "--include_imports",
                        *(str(p.relative_to(TOP)) for p in (TOP / "proto").glob("weir/v1/*.proto"))],
                       check=True, cwd=TOP)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    for file in files:
        if file.name.startswith("weir/"):
            descriptor_pool.Default().Add(file) if hasattr(descriptor_pool.Default(), "Add") else \
                descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


for _package in ("envoy.config", "envoy.extensions", "envoy.type"):
    _import_all(_package)
_add_weir_messages()


def check(message, path):
    """Fails where a message, at any depth, holds what its complete definition does not know."""
    unknown = [field.field_number for field in UnknownFieldSet(message)]
    assert not unknown, f"{path}: unknown fields {unknown} in {message.DESCRIPTOR.full_name}"
    if isinstance(message, any_pb2.Any):
        check(unpack(message, path), f"{path}<{message.type_url.removeprefix(URL)}>")
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        here = f"{path}.{field.name}"
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for key in value:
                    check(value[key], f"{here}[{key}]")
        elif field.label == field.LABEL_REPEATED if hasattr(field, "label") else field.is_repeated:
            for index, item in enumerate(value):
                check(item, f"{here}[{index}]")
        else:
            check(value, here)


def unpack(packed, path):
    name = packed.type_url.removeprefix(URL)
    assert packed.type_url == URL + name, f"{path}: type URL {packed.type_url!r}"
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        raise AssertionError(f"{path}: nobody knows the type {name}")
    return message_factory.GetMessageClass(descriptor).FromString(packed.value)


class Stream:
    """One ADS stream, state-of-the-world or delta; requests and responses are xds-protos messages."""

    def __init__(self, port, gateway, delta=False, node_id="raw-client", user_agent=""):
        self.delta, self.node_id, self.gateway, self.user_agent = delta, node_id, gateway, user_agent
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [
            ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1)])
        self.outgoing = queue.Queue()
        kind = "Delta" if delta else ""
        request, response = ((discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse)
                             if delta else
                             (discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse))
        self.request_class = request
        method = "DeltaAggregatedResources" if delta else "StreamAggregatedResources"
        call = self.channel.stream_stream(_SERVICE + method, request.SerializeToString,
                                          response.FromString)
        self.call = call(iter(self.outgoing.get, None))
        self.incoming = queue.Queue()
        self.is_first = True
        import threading
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        try:
            for response in self.call:
                self.incoming.put(response)
        except grpc.RpcError as error:
            self.incoming.put(error)
        self.incoming.put(None)

    def send(self, kind, with_node=None, **fields):
        """Sends a request for a type ("CDS" …); the node goes with the first one."""
        request = self.request_class(type_url=URL + TYPES.get(kind, kind), **fields)
        if with_node if with_node is not None else self.is_first:
            request.node.id, request.node.cluster = self.node_id, self.gateway
            request.node.user_agent_name = self.user_agent
        self.is_first = False
        self.outgoing.put(request)

    def receive(self, timeout=60):
        """The next response; None where the stream ended well; raises its error otherwise."""
        response = self.incoming.get(timeout=timeout)
        if isinstance(response, grpc.RpcError):
            raise response
        return response

    def is_silent(self, seconds=0.5):
        try:
            self.pushed_back = self.incoming.get(timeout=seconds)
            return False
        except queue.Empty:
            return True

    def ack(self, response, kind=None, names=(), error=None):
        """Acknowledges (or, with error, refuses) a response."""
        kind = kind or next(k for k, v in TYPES.items() if response.type_url == URL + v)
        fields = {"response_nonce": response.nonce}
        if not self.delta:
            fields |= {"version_info": "" if error else response.version_info,
                       "resource_names": names}
        self.send(kind, **fields, **({"error_detail": {"code": 3, "message": error}} if error else {}))

    def close(self):
        self.call.cancel()
        self.outgoing.put(None)
        self.channel.close()


def fetch_all(port, gateway, user_agent=""):
    """Everything a gateway is served, state-of-the-world: {"LDS": {name: message}, …}; every message
    checked to the last field."""
    stream = Stream(port, gateway, user_agent=user_agent)
    found = {}
    try:
        for kind, names in (("CDS", None), ("EDS", "CDS"), ("LDS", None), ("RDS", "LDS")):
            wanted = sorted(_referenced(found, kind)) if names else []
            found[kind] = {}
            if names and not wanted:
                continue
            stream.send(kind, resource_names=wanted)
            response = stream.receive()
            assert response.type_url == URL + TYPES[kind]
            for resource in response.resources:
                message = unpack(resource, kind)
                name = getattr(message, "cluster_name", None) or message.name
                check(message, f"{kind} {name}")
                assert name not in found[kind], f"{name} twice in one response"
                found[kind][name] = message
            stream.ack(response, kind, wanted)
    finally:
        stream.close()
    return found


def _referenced(found, kind):
    if kind == "EDS":
        return {c.eds_cluster_config.service_name or c.name for c in found["CDS"].values() if c.type == 3}
    names = set()
    for listener in found["LDS"].values():
        for chain in listener.filter_chains:
            for network_filter in chain.filters:
                manager = unpack(network_filter.typed_config, "HCM")
                if manager.HasField("rds"):
                    names.add(manager.rds.route_config_name)
    return names
