"""make bench: CPU per request of weir-proxy beside the floor and its peers, alternating in one run on
one core each; memory; and how long a change in etcd takes to govern traffic. Prints tables, writes
build/bench/bench.json and build/bench/bench.svg. Absolute times mean little on a shared machine: the
ratios to the floor are what counts."""

import argparse
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile
import time

from peers import PEERS, TOP

from processes import Process, Stack, free_port, wait_until
from raw_http import fetch

PROXY_CORE, LOAD_CORE = "0", "1"
SWAP_ROUNDS = 5
OUT = TOP / "build/bench"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def load(port, seconds, connections, pid):
    """One measurement: requests per second, CPU us per request, p50 and p99 in ms."""
    before = cpu_seconds(pid)
    out = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                          "--latency", f"http://127.0.0.1:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pid) - before
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    latency = dict(re.findall(r"(50|99)%\s+(\S+)", out))
    return {"rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
            "cpu_us": spent * 1e6 / requests, "p50_ms": milliseconds(latency["50"]),
            "p99_ms": milliseconds(latency["99"])}


def measure_requests(stack, names, rounds, seconds, connections):
    folder = stack.folder
    backend_port = free_port()
    stack.add(Process("backend", folder, ["taskset", "-c", LOAD_CORE, TOP / "build/bench/backend",
                                          backend_port])).start()
    wait_until(lambda: socket.create_connection(("127.0.0.1", backend_port)).close() is None, "the back end")
    running = {}
    for name in names:
        port = free_port()
        home = folder / name.replace(" ", "-").replace(",", "")
        home.mkdir()
        process = stack.add(Process(home.name, home, [
            "taskset", "-c", PROXY_CORE, *PEERS[name](home, port, backend_port)])).start()
        wait_until(lambda: _answers(port), f"{name} to answer", 30)
        time.sleep(0.5)
        running[name] = (process, port, process.rss_kib())
    results = {name: {"idle_rss_kib": idle, "rounds": []} for name, (_, _, idle) in running.items()}
    for name, (process, port, _) in running.items():
        load(port, 1, connections, process.pid)  # connections, caches, branch predictors
    for number in range(rounds):
        for name, (process, port, _) in running.items():
            results[name]["rounds"].append(load(port, seconds, connections, process.pid))
        print(f"round {number + 1} of {rounds}: " + "  ".join(
            f"{name} {results[name]['rounds'][-1]['cpu_us']:.1f}" for name in running), flush=True)
    for name, (process, _, _) in running.items():
        results[name]["loaded_rss_kib"] = process.rss_kib()
        for key in ("rps", "cpu_us", "p50_ms", "p99_ms"):
            results[name][key] = statistics.median(r[key] for r in results[name]["rounds"])
        process.kill()
    return results


def _answers(port):
    try:
        answer = fetch(port, "/")
        return answer and answer.status == 200
    except (OSError, EOFError):
        return False


def measure_changes(folder, route_count, changes):
    """Put-to-effect in ms through weir-proxy and Envoy with so many routes, and what they weigh."""
    with Stack(folder) as stack:
        ports = {"weir-proxy": free_port(), "envoy": free_port()}
        backend, etcd = stack.backend("a"), stack.etcd()
        gateways = {"weir-proxy": "weir", "envoy": "envoy"}
        route = lambda prefix, **fields: {"gateways": list(gateways.values()),
                                          "match": {"path": {"prefix": prefix}}, **fields}
        etcd.put_all({
            **{f"gateways/{gateways[name]}": {"listeners": [
                {"name": "http", "address": "127.0.0.1", "port": port}]} for name, port in ports.items()},
            "services/a": {"endpoints": [{"address": f"127.0.0.1:{backend.port}"}]},
            **{f"routes/r{i}": route(f"/r{i:05d}", backends=[{"service": "a"}])
               for i in range(route_count - 1)}})
        control = stack.control(etcd)
        proxies = {"weir-proxy": stack.proxy(control, "weir", concurrency=1),
                   "envoy": stack.envoy(control, "envoy", concurrency=1)}
        times = {name: [] for name in ports}
        for name in ports:
            for number in range(changes):
                body = f"{name}-{number}"
                value = route("/probe", direct_response={"status": 200, "body": body})
                began = time.perf_counter()
                etcd.put("routes/probe", value)
                while True:
                    try:
                        if fetch(ports[name], "/probe").body == body.encode():
                            break
                    except (OSError, EOFError, AttributeError):
                        pass
                    assert time.perf_counter() - began < 30, f"{name} never took the change"
                times[name].append((time.perf_counter() - began) * 1e3)
        result = {name: {"p50_ms": statistics.median(t), "p99_ms": sorted(t)[int(len(t) * 0.99) - 1],
                         "rss_kib": proxies[name].rss_kib()} for name, t in times.items()}
        result["weir-control"] = {"rss_kib": control.rss_kib()}
        return result


def measure_swaps(folder, changes, seconds):
    """p50 and p99 of wrk -c64 through weir-proxy, in turns with nothing else going on, with puts that
    concern nobody (what etcd and its client take of the machine), and with configuration changes
    (routes, clusters, endpoints, listener), so many in all; medians of turns of so many seconds."""
    with Stack(folder) as stack:
        port, etcd = free_port(), stack.etcd()
        backends = [stack.backend("a"), stack.backend("b")]
        endpoints = [{"address": f"127.0.0.1:{b.port}"} for b in backends]
        gateway = {"listeners": [{"name": "http", "address": "127.0.0.1", "port": port}]}
        route = lambda service: {"gateways": ["public"], "match": {"path": {"prefix": "/"}},
                                 "backends": [{"service": service}]}
        etcd.put_all({"gateways/public": gateway, "services/a": {"endpoints": endpoints[:1]},
                      "services/b": {"endpoints": endpoints[1:]}, "routes/all": route("a")})
        proxy = stack.proxy(stack.control(etcd), "public", concurrency=1)
        wait_until(lambda: _answers(port), "the first answer")
        kinds = [
            lambda i: etcd.put("routes/all", route("ab"[i // 4 % 2])),
            lambda i: etcd.put("services/a", {"endpoints": endpoints[:1],
                                              "connect_timeout": f"{1 + i // 4 % 9}s"}),
            lambda i: etcd.put("services/b", {"endpoints": endpoints[i // 4 % 2:]}),
            lambda i: etcd.put("gateways/public", {**gateway, "max_headers_count": 100 + i // 4 % 7})]
        elsewhere = lambda i: etcd.put("elsewhere", {"number": i}, prefix="/bench/")
        rounds = {"without changes": [], "puts elsewhere in etcd": [], "with changes": []}
        for number in range(SWAP_ROUNDS):
            for name in rounds:
                count = 0 if name == "without changes" else changes // SWAP_ROUNDS
                wrk = subprocess.Popen(["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency",
                                        f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True)
                began = time.monotonic()
                for i in range(number * count, (number + 1) * count):
                    (kinds[i % 4] if name == "with changes" else elsewhere)(i)
                    due = began + (i % count + 1) * seconds * 0.9 / count
                    time.sleep(max(0, due - time.monotonic()))
                out = wrk.communicate()[0]
                assert "Non-2xx" not in out and "Socket errors" not in out, out
                latency = dict(re.findall(r"(50|99)%\s+(\S+)", out))
                rounds[name].append({"requests": int(re.search(r"(\d+) requests in", out).group(1)),
                                     "p50_ms": milliseconds(latency["50"]),
                                     "p99_ms": milliseconds(latency["99"]), "rss_kib": proxy.rss_kib()})
        return {name: {**{key: statistics.median(r[key] for r in turns)
                          for key in ("requests", "p50_ms", "p99_ms")},
                       "rss_kib": [turns[0]["rss_kib"], turns[-1]["rss_kib"]]}
                for name, turns in rounds.items()}


def print_swaps(results, changes):
    print(f"\n{f'{changes} changes under load':26}{'requests':>9}{'p50 ms':>9}{'p99 ms':>9}"
          f"{'RSS MB, first and last turn':>29}")
    for name, r in results.items():
        first, last = (kib / 1024 for kib in r["rss_kib"])
        print(f"{name:26}{r['requests']:>9.0f}{r['p50_ms']:9.2f}{r['p99_ms']:9.2f}{first:23.1f}{last:6.1f}")


def print_requests(results):
    floor = results.get("floor", next(iter(results.values())))["cpu_us"]
    print(f"\n{'':26}{'req/s':>9}{'CPU us/req':>12}{'x floor':>9}{'p50 ms':>8}{'p99 ms':>8}"
          f"{'idle MB':>9}{'loaded MB':>11}")
    for name, r in results.items():
        print(f"{name:26}{r['rps']:9.0f}{r['cpu_us']:12.2f}{r['cpu_us'] / floor:9.2f}{r['p50_ms']:8.2f}"
              f"{r['p99_ms']:8.2f}{r['idle_rss_kib'] / 1024:9.1f}{r['loaded_rss_kib'] / 1024:11.1f}")


def print_changes(results):
    print(f"\n{'put to effect':26}{'routes':>9}{'p50 ms':>9}{'p99 ms':>9}{'RSS MB':>9}")
    for count, by_name in results.items():
        for name, r in by_name.items():
            times = f"{r['p50_ms']:9.1f}{r['p99_ms']:9.1f}" if "p50_ms" in r else " " * 18
            print(f"{name:26}{count:>9}{times}{r['rss_kib'] / 1024:9.1f}")


def draw(results, path):
    """Bars of CPU per request."""
    width, row, left = 760, 34, 200
    longest = max(r["cpu_us"] for name, r in results.items() if "envoy 10" not in name)
    bars = []
    for index, (name, r) in enumerate(results.items()):
        y = 50 + index * row
        length = min(r["cpu_us"] / longest, 1) * (width - left - 90)
        colour = "#2b6cb0" if name.startswith("weir") else "#a0aec0"
        bars.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{name}</text>'
                    f'<rect x="{left}" y="{y}" width="{length:.0f}" height="22" fill="{colour}"/>'
                    f'<text x="{left + length + 6:.0f}" y="{y + 16}">{r["cpu_us"]:.1f} us</text>')
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
                    f'height="{70 + len(results) * row}" font-family="sans-serif" font-size="14">'
                    f'<rect width="100%" height="100%" fill="white"/>'
                    f'<text x="20" y="28" font-size="17">CPU per request (shorter is better)</text>'
                    + "".join(bars) + "</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", nargs="*", help="names of contestants")
    parser.add_argument("--changes", type=int, default=200, help="0: leave the second part out")
    parser.add_argument("--swaps", type=int, default=500, help="0: leave the third part out")
    parser.add_argument("--routes", type=int, nargs="*", default=[10, 10000])
    options = parser.parse_args()
    names = options.only or list(PEERS)
    with tempfile.TemporaryDirectory() as folder, Stack(folder) as stack:
        requests = measure_requests(stack, names, options.rounds, options.seconds, options.connections)
    print_requests(requests)
    changes = {}
    for count in options.routes if options.changes else ():
        with tempfile.TemporaryDirectory() as folder:
            changes[count] = measure_changes(folder, count, options.changes)
    if changes:
        print_changes(changes)
    swaps = {}
    if options.swaps:
        with tempfile.TemporaryDirectory() as folder:
            swaps = measure_swaps(folder, options.swaps, 4)
        print_swaps(swaps, options.swaps)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps(
        {"requests": requests, "changes": changes, "swaps": swaps}, indent=1))
    draw(requests, OUT / "bench.svg")
    print(f"\nwritten: {OUT.relative_to(TOP)}/bench.json and bench.svg")


if __name__ == "__main__":
    main()
