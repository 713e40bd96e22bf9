"""Holds our .proto files against the facts about upstream's wire format (facts/*.tsv).

A wrong number, type or oneof in proto/ would still compile and still round-trip through our own
code; only a peer would notice. So this compiles proto/ with protoc, walks the descriptors and wants
a row for everything outside package weir.*. Fields and values that upstream has and we leave out
are fine. It also checks what protoc-c cannot take and the convention by which pbjson knows a map
(proto/README.md), weir.* included.

Run: /usr/bin/python3 -m pytest tests/conformance
"""

import copy
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
FACTS = Path(__file__).resolve().parent / "facts"

Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    value: name[len("TYPE_"):].lower()
    for name, value in Field.Type.items()
    if name not in ("TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP")
}


# ---- reading ----------------------------------------------------------------------------------


def compile_protos(proto_dir, out):
    """Compiles every .proto below proto_dir. A missing protoc is a failure, never a skip."""
    protoc = shutil.which("protoc")
    if protoc is None:
        pytest.fail("protoc is not installed (Debian: protobuf-compiler)", pytrace=False)
    files = sorted(str(path.relative_to(proto_dir)) for path in proto_dir.rglob("*.proto"))
    if not files:
        pytest.fail(f"no .proto files below {proto_dir}", pytrace=False)
    command = [protoc, f"--proto_path={proto_dir}", "--include_imports", f"-o{out}"]
    done = subprocess.run(command + files, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"protoc: {done.stderr}", pytrace=False)
    descriptors = descriptor_pb2.FileDescriptorSet()
    descriptors.ParseFromString(out.read_bytes())
    # What our tree lacks is imported from protoc's own copy: then a file of ours is missing.
    foreign = sorted({file.name for file in descriptors.file} - set(files))
    if foreign:
        pytest.fail(f"imported but not in proto/: {', '.join(foreign)}", pytrace=False)
    return descriptors


class Facts:
    """The tables: what upstream has, by message, enum and service."""

    def __init__(self, folder):
        self.fields, self.enums, self.services = {}, {}, {}
        for row in self._rows(folder / "fields.tsv", 9):
            message = self.fields.setdefault(row[0], {})
            if row[3] != "empty":
                message[row[1]] = {
                    "number": int(row[2]),
                    "label": row[3],
                    "type": row[4],
                    "oneof": row[5],
                }
        for row in self._rows(folder / "enums.tsv", 5):
            self.enums.setdefault(row[0], {})[row[1]] = int(row[2])
        for row in self._rows(folder / "services.tsv", 8):
            self.services.setdefault(row[0], {})[row[1]] = {
                "request": row[2],
                "response": row[3],
                "client streams": row[4],
                "server streams": row[5],
            }

    @staticmethod
    def _rows(path, columns):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            row = line.split("\t")
            assert len(row) == columns, f"{path.name}:{number}: {len(row)} columns, not {columns}"
            yield row


# ---- comparing --------------------------------------------------------------------------------


def is_ours(package):
    return package == "weir" or package.startswith("weir.")


def messages_of(file):
    """Yields (full name, message) for the file's messages, nested ones too but no map entries."""

    def walk(prefix, messages):
        for message in messages:
            if message.options.map_entry:
                continue
            name = f"{prefix}.{message.name}"
            yield name, message
            yield from walk(name, message.nested_type)

    yield from walk(file.package, file.message_type)


def enums_of(file):
    for enum in file.enum_type:
        yield f"{file.package}.{enum.name}", enum
    for name, message in messages_of(file):
        for enum in message.enum_type:
            yield f"{name}.{enum.name}", enum


def map_entry_of(field, message):
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{message.name}.{nested.name}"):
            return nested
    return None


def type_of(field, message):
    """The field's type as the tables write it."""
    entry = map_entry_of(field, message)
    if entry is not None:
        key, value = sorted(entry.field, key=lambda part: part.number)
        return f"map<{type_of(key, entry)},{type_of(value, entry)}>"
    return SCALARS.get(field.type) or field.type_name.lstrip(".")


def field_as_row(field, message):
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "-"
    return {
        "number": field.number,
        "label": Field.Label.Name(field.label)[len("LABEL_"):].lower(),
        "type": type_of(field, message),
        "oneof": oneof,
    }


def differences(where, got, want):
    return [
        f"{where}: {what} is {got[what]}, upstream has {want[what]}"
        for what in want
        if got[what] != want[what]
    ]


def compare_message(name, message, facts):
    if name not in facts.fields:
        return [f"{name}: no such message in facts/fields.tsv"]
    problems = []
    for field in message.field:
        where = f"{name}.{field.name}"
        if field.name not in facts.fields[name]:
            problems.append(f"{where}: no such field in facts/fields.tsv")
            continue
        problems += differences(where, field_as_row(field, message), facts.fields[name][field.name])
        if field.options.HasField("packed"):
            problems.append(f"{where}: says packed, upstream leaves it to proto3's rule")
    return problems


def compare_enum(name, enum, facts):
    if name not in facts.enums:
        return [f"{name}: no such enum in facts/enums.tsv"]
    problems = []
    for value in enum.value:
        where, numbers = f"{name}.{value.name}", facts.enums[name]
        if value.name not in numbers:
            problems.append(f"{where}: no such value in facts/enums.tsv")
        else:
            want = {"number": numbers[value.name]}
            problems += differences(where, {"number": value.number}, want)
    return problems


def compare_service(name, service, facts):
    if name not in facts.services:
        return [f"{name}: no such service in facts/services.tsv"]
    problems = []
    for method in service.method:
        where = f"{name}/{method.name}"
        if method.name not in facts.services[name]:
            problems.append(f"{where}: no such method in facts/services.tsv")
            continue
        got = {
            "request": method.input_type.lstrip("."),
            "response": method.output_type.lstrip("."),
            "client streams": "y" if method.client_streaming else "-",
            "server streams": "y" if method.server_streaming else "-",
        }
        problems += differences(where, got, facts.services[name][method.name])
    return problems


def compare(descriptors, facts):
    """Everything in which our files contradict the facts, one sentence each."""
    problems = []
    for file in descriptors.file:
        if is_ours(file.package):
            continue
        for name, message in messages_of(file):
            problems += compare_message(name, message, facts)
        for name, enum in enums_of(file):
            problems += compare_enum(name, enum, facts)
        for service in file.service:
            problems += compare_service(f"{file.package}.{service.name}", service, facts)
    return problems


# ---- what protoc-c and pbjson need -------------------------------------------------------------


def entry_name(field_name):
    """protoc's name for the entry message of a map field."""
    return re.sub(r"(?:^|_)(.?)", lambda m: m.group(1).upper(), field_name) + "Entry"


def looks_like_a_map(field, messages_by_name):
    """pbjson's convention (proto/README.md), by what a protobuf-c descriptor still tells."""
    message = messages_by_name.get(field.type_name.lstrip("."))
    return (
        field.label == Field.LABEL_REPEATED
        and message is not None
        and message.name == entry_name(field.name)
        and [(part.name, part.number) for part in message.field] == [("key", 1), ("value", 2)]
    )


def check_for_c(descriptors):
    """What would not survive protoc-c, or would be taken for a map when it is none."""
    problems = []
    everything = {}

    def collect(prefix, messages):
        for message in messages:
            everything[f"{prefix}.{message.name}"] = message
            collect(f"{prefix}.{message.name}", message.nested_type)

    for file in descriptors.file:
        collect(file.package, file.message_type)
        if file.syntax != "proto3":
            problems.append(f"{file.name}: not proto3")
    for name, message in everything.items():
        for field in message.field:
            where = f"{name}.{field.name}"
            if field.name == "base":
                problems.append(f"{where}: every protobuf-c struct has a member of that name")
            if field.proto3_optional:
                problems.append(f"{where}: protoc-c does not take proto3 optional")
            if field.options.deprecated:
                problems.append(f"{where}: [deprecated] makes every use warn in C")
            entry = everything.get(field.type_name.lstrip("."))
            is_map = entry is not None and entry.options.map_entry
            if is_map != looks_like_a_map(field, everything):
                verb = "is" if is_map else "is not"
                problems.append(f"{where}: {verb} a map, but pbjson would think otherwise")
    return problems


# ---- the tests --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory):
    return compile_protos(PROTO, tmp_path_factory.mktemp("descriptors") / "own.pb")


@pytest.fixture(scope="module")
def facts():
    return Facts(FACTS)


def test_our_protos_agree_with_upstream(descriptors, facts):
    problems = compare(descriptors, facts)
    assert not problems, "\n".join(problems)


def test_our_protos_suit_protoc_c_and_pbjson(descriptors):
    problems = check_for_c(descriptors)
    assert not problems, "\n".join(problems)


def test_there_was_something_to_compare(descriptors):
    foreign = [file for file in descriptors.file if not is_ours(file.package)]
    compared = [name for file in foreign for name, _ in messages_of(file)]
    assert len(compared) > 300
    assert "google.protobuf.Any" in compared
    assert "etcdserverpb.WatchResponse" in compared
    assert "envoy.config.route.v3.RouteAction.HashPolicy.Cookie" in compared


def test_the_tables_are_upstreams_and_not_made_of_our_files(descriptors, facts):
    ours = {(name, field.name) for file in descriptors.file for name, message in messages_of(file)
            for field in message.field}
    left_out = [(message, field) for message, fields in facts.fields.items() for field in fields
                if (message, field) not in ours]
    assert len(left_out) > 50


# ---- the test can fail ------------------------------------------------------------------------


def find(descriptors, full_name):
    """The message, enum or service of that name, for the mutations below to change in place."""
    for file in descriptors.file:
        for name, message in messages_of(file):
            if name == full_name:
                return message
        for name, enum in enums_of(file):
            if name == full_name:
                return enum
        for service in file.service:
            if f"{file.package}.{service.name}" == full_name:
                return service
    raise KeyError(full_name)


def name_of(parameter):
    return getattr(parameter, "__name__", "")


def part(parts, name):
    return next(p for p in parts if p.name == name)


ANY = ".google.protobuf.Any"
DISCOVERY = "envoy.service.discovery.v3"
DESCRIPTOR = "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor"
RETRY = "envoy.config.route.v3.RetryPolicy"
ROUTE = "envoy.config.route.v3.Route"
MATCH = "envoy.config.route.v3.RouteMatch"
ADS = f"{DISCOVERY}.AggregatedDiscoveryService"
FILTERS = f"{ROUTE}.typed_per_filter_config"
HEALTH = "envoy.config.core.v3.HealthStatus"


def wrong_number(d):
    part(find(d, ROUTE).field, "name").number = 99


def wrong_name(d):
    part(find(d, ROUTE).field, "stat_prefix").name = "stats_prefix"


def wrong_scalar(d):
    part(find(d, "envoy.type.v3.Percent").field, "value").type = Field.TYPE_FLOAT


def wrong_message_type(d):
    part(find(d, ROUTE).field, "redirect").type_name = ".envoy.config.route.v3.RouteAction"


def wrong_label(d):
    part(find(d, MATCH).field, "headers").label = Field.LABEL_OPTIONAL


def lost_oneof(d):
    part(find(d, ROUTE).field, "redirect").ClearField("oneof_index")


def renamed_oneof(d):
    find(d, MATCH).oneof_decl[0].name = "path"


def invented_oneof(d):
    part(find(d, ROUTE).field, "decorator").oneof_index = 0


def map_with_other_values(d):
    entry = part(find(d, ROUTE).nested_type, "TypedPerFilterConfigEntry")
    part(entry.field, "value").type_name = ".google.protobuf.Struct"


def map_with_other_keys(d):
    entry = part(find(d, ROUTE).nested_type, "TypedPerFilterConfigEntry")
    part(entry.field, "key").type = Field.TYPE_BYTES


def map_made_a_list(d):
    part(find(d, ROUTE).nested_type, "TypedPerFilterConfigEntry").options.ClearField("map_entry")


def unpacked(d):
    part(find(d, RETRY).field, "retriable_status_codes").options.packed = False


def invented_field(d):
    field = find(d, ROUTE).field.add(name="weir_extra", number=77)
    field.type, field.label = Field.TYPE_BOOL, Field.LABEL_OPTIONAL


def invented_message(d):
    part(d.file, "envoy/config/route/v3/route.proto").message_type.add(name="Invented")


def wrong_enum_number(d):
    part(find(d, HEALTH).value, "DRAINING").number = 9


def invented_enum_value(d):
    find(d, HEALTH).value.add(name="SLEEPY", number=42)


def invented_enum(d):
    part(d.file, "envoy/config/core/v3/health_check.proto").enum_type.add(name="Mood")


def wrong_request(d):
    method = part(find(d, ADS).method, "DeltaAggregatedResources")
    method.input_type = f".{DISCOVERY}.DiscoveryRequest"


def wrong_response(d):
    method = part(find(d, ADS).method, "DeltaAggregatedResources")
    method.output_type = f".{DISCOVERY}.DiscoveryResponse"


def lost_client_stream(d):
    part(find(d, ADS).method, "StreamAggregatedResources").client_streaming = False


def lost_server_stream(d):
    part(find(d, "etcdserverpb.Watch").method, "Watch").server_streaming = False


def invented_method(d):
    find(d, ADS).method.add(name="Guess", input_type=ANY, output_type=ANY)


def invented_service(d):
    part(d.file, "etcd/rpc.proto").service.add(name="Oracle")


FACT_MUTATIONS = [
    (wrong_number, f"{ROUTE}.name: number is 99, upstream has 14"),
    (wrong_name, f"{ROUTE}.stats_prefix: no such field"),
    (wrong_scalar, "envoy.type.v3.Percent.value: type is float, upstream has double"),
    (wrong_message_type, f"{ROUTE}.redirect: type is {ROUTE}Action, upstream has"),
    (wrong_label, f"{MATCH}.headers: label is optional, upstream has repeated"),
    (lost_oneof, f"{ROUTE}.redirect: oneof is -, upstream has action"),
    (renamed_oneof, f"{MATCH}.prefix: oneof is path, upstream has path_specifier"),
    (invented_oneof, f"{ROUTE}.decorator: oneof is action, upstream has -"),
    (map_with_other_values, f"{FILTERS}: type is map<string,google.protobuf.Struct>, upstream"),
    (map_with_other_keys, f"{FILTERS}: type is map<bytes,google.protobuf.Any>, upstream has map"),
    (map_made_a_list, f"{FILTERS}: type is {ROUTE}.TypedPerFilterConfigEntry, upstream has map"),
    (unpacked, f"{RETRY}.retriable_status_codes: says packed"),
    (invented_field, f"{ROUTE}.weir_extra: no such field"),
    (invented_message, "envoy.config.route.v3.Invented: no such message"),
    (wrong_enum_number, f"{HEALTH}.DRAINING: number is 9, upstream has 3"),
    (invented_enum_value, f"{HEALTH}.SLEEPY: no such value"),
    (invented_enum, "envoy.config.core.v3.Mood: no such enum"),
    (wrong_request, f"{ADS}/DeltaAggregatedResources: request is"),
    (wrong_response, f"{ADS}/DeltaAggregatedResources: response is"),
    (lost_client_stream, f"{ADS}/StreamAggregatedResources: client streams is -, upstream has y"),
    (lost_server_stream, "etcdserverpb.Watch/Watch: server streams is -, upstream has y"),
    (invented_method, f"{ADS}/Guess: no such method"),
    (invented_service, "etcdserverpb.Oracle: no such service"),
]


@pytest.mark.parametrize("mutate, message", FACT_MUTATIONS, ids=name_of)
def test_a_contradiction_is_reported(descriptors, facts, mutate, message):
    mutant = copy.deepcopy(descriptors)
    mutate(mutant)
    reported = [p for p in compare(mutant, facts) if p not in compare(descriptors, facts)]
    assert reported and reported[0].startswith(message), reported


def field_called_base(d):
    part(find(d, ROUTE).field, "stat_prefix").name = "base"


def proto3_optional(d):
    part(find(d, ROUTE).field, "name").proto3_optional = True


def marked_deprecated(d):
    part(find(d, ROUTE).field, "name").options.deprecated = True


def list_that_looks_like_a_map(d):
    message = find(d, DESCRIPTOR)
    part(message.nested_type, "Entry").name = "EntriesEntry"
    part(message.field, "entries").type_name = f".{DESCRIPTOR}.EntriesEntry"


def map_that_does_not_look_like_one(d):
    part(find(d, ROUTE).field, "typed_per_filter_config").name = "typed_config"


C_MUTATIONS = [
    (field_called_base, f"{ROUTE}.base: every protobuf-c struct"),
    (proto3_optional, f"{ROUTE}.name: protoc-c does not take proto3 optional"),
    (marked_deprecated, f"{ROUTE}.name: [deprecated]"),
    (list_that_looks_like_a_map, f"{DESCRIPTOR}.entries: is not a map, but"),
    (map_that_does_not_look_like_one, f"{ROUTE}.typed_config: is a map, but"),
]


@pytest.mark.parametrize("mutate, message", C_MUTATIONS, ids=name_of)
def test_what_c_cannot_take_is_reported(descriptors, mutate, message):
    mutant = copy.deepcopy(descriptors)
    mutate(mutant)
    reported = [p for p in check_for_c(mutant) if p not in check_for_c(descriptors)]
    assert reported and reported[0].startswith(message), reported


def test_a_missing_protoc_is_a_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="protoc is not installed"):
        compile_protos(PROTO, tmp_path / "own.pb")


def test_a_file_that_does_not_compile_is_a_failure(tmp_path):
    (tmp_path / "broken.proto").write_text('syntax = "proto3"; message {')
    with pytest.raises(pytest.fail.Exception, match="broken.proto"):
        compile_protos(tmp_path, tmp_path / "own.pb")


def test_an_import_from_outside_our_tree_is_a_failure(tmp_path):
    text = """syntax = "proto3";
    import "google/protobuf/any.proto";
    message A { google.protobuf.Any a = 1; }"""
    (tmp_path / "alone.proto").write_text(text)
    with pytest.raises(pytest.fail.Exception, match="google/protobuf/any.proto"):
        compile_protos(tmp_path, tmp_path / "own.pb")
