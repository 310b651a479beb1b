#!/usr/bin/env python3
"""Machines that find each other, and strangers that may not come in, on networks built for the purpose.

    netns_test.py BINARY [scenario...]

BINARY is `flotilla` (asked by GET /cluster) or `cluster_probe` (which prints what it sees); without it, FLOTILLA_BINARY
is used. Each machine is a network namespace, so its ports are its own and nothing of this host is touched. Needs root,
`ip` and, for one scenario, `nft`; exits with 77 where it cannot run, 0 where every claim holds, 1 otherwise.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from network import Namespaces, namespaces_missing, run  # noqa: E402

FOUND_WITHIN_SECONDS = 2.0
LOST_WITHIN_SECONDS = 5.0
WHOLE_WITHIN_SECONDS = 10.0
SKIPPED = 77
# Nothing that is not addressed to us by name, as on networks that filter what is sent to all. ICMPv6 stays: without
# neighbour discovery there is no IPv6 at all.
NO_BROADCASTS = """
table inet quiet {
  chain in { type filter hook input priority 0; meta l4proto udp meta pkttype { broadcast, multicast } drop; }
  chain out { type filter hook output priority 0;
    meta l4proto udp ip daddr { 224.0.0.0/4, 255.255.255.255, 10.77.0.255 } drop
    meta l4proto udp ip6 daddr ff00::/8 drop
  }
}
"""


class Network(Namespaces):
    """Namespaces with machines in them, which vanish with all of it at the end."""

    def __init__(self):
        super().__init__()
        self.machines = []

    def start(self, binary, host, name, *flags):
        machine = (Probe if "probe" in os.path.basename(binary) else Node)(binary, host, name, flags)
        self.machines.append(machine)
        return machine

    def close(self):
        for machine in self.machines:
            machine.stop()
        super().close()


class Machine:
    def __init__(self, host, name, command):
        self.host, self.name = host, name
        self.home = tempfile.mkdtemp(prefix="flotilla-netns-")
        self.log = open(os.path.join(self.home, "log"), "w+")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", host, *[part.replace("{home}", self.home) for part in command]],
            stdout=subprocess.PIPE, stderr=self.log, text=True)

    def stop(self):
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.seek(0)
        self.said = self.log.read()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def joined(self):
        """Names of the machines it serves together with, itself included."""
        return {member["name"] for member in self.members() if member["state"] in ("self", "joined")}


class Node(Machine):
    """A real node, asked over HTTP inside its namespace."""

    def __init__(self, binary, host, name, flags):
        super().__init__(host, name, [binary, "serve", "--home", "{home}", "--name", name, "--trust-lan",
                                      *([] if "--measures" in flags else ["--no-measure"]),
                                      *[flag for flag in flags if flag != "--measures"]])
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()

    def members(self):
        answer = subprocess.run(
            ["ip", "netns", "exec", self.host, "curl", "-s", "-m", "1", "http://127.0.0.1:52415/cluster"],
            capture_output=True, text=True)
        return json.loads(answer.stdout)["nodes"] if answer.returncode == 0 and answer.stdout else []


class Probe(Machine):
    """The cluster room alone; its last line is what it sees."""

    def __init__(self, binary, host, name, flags):
        self.seen = []
        super().__init__(host, name, [binary, "--name", name, *flags])
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.seen = json.loads(line)["members"]

    def members(self):
        return self.seen


def all_joined(machines, patience):
    """Seconds from the start of the last machine until every machine has joined every other; None where they have not."""
    names = {machine.name for machine in machines}
    last = max(machine.started for machine in machines)
    while time.monotonic() - last < patience:
        if all(names <= machine.joined() for machine in machines):
            return time.monotonic() - last
        time.sleep(0.01)
    return None


def explain(machines):
    for machine in machines:
        print(f"    {machine.name} sees {machine.members()}, process {machine.process.poll()}")


def wait_until(condition, patience):
    """Seconds until the condition held; None where it did not."""
    began = time.monotonic()
    while time.monotonic() - began < patience:
        if condition():
            return time.monotonic() - began
        time.sleep(0.01)
    return None


def claim(sentence, seconds, machines, within=FOUND_WITHIN_SECONDS):
    if seconds is not None and seconds < within:
        print(f"ok   {sentence}: {seconds:.2f} s")
        return True
    print(f"FAIL {sentence}: " + (f"took {seconds:.2f} s" if seconds is not None else "they did not"))
    explain(machines)
    return False


def three_on_a_bridge(network):
    hosts = [network.host(name) for name in ("a", "b", "c")]
    network.bridge(network.host("switch"), hosts)
    return hosts


def bridge_finds_itself(network, binary):
    hosts = three_on_a_bridge(network)
    machines = [network.start(binary, host, name) for host, name in zip(hosts[:2], "ab")]
    all_joined(machines, 10)
    machines.append(network.start(binary, hosts[2], "c"))
    return claim("three hosts on a bridge find each other without addresses", all_joined(machines, 15), machines)


def together_on_a_bridge(network, binary):
    hosts = three_on_a_bridge(network)
    machines = [network.start(binary, host, name) for host, name in zip(hosts, "abc")]
    return claim("three hosts that start together find each other", all_joined(machines, 15), machines)


def peer_where_broadcasts_are_dropped(network, binary):
    hosts = three_on_a_bridge(network)
    for host in hosts:
        run("ip", "netns", "exec", host, "nft", "-f", "-", text=NO_BROADCASTS)
    alone = [network.start(binary, host, name) for host, name in zip(hosts[:2], "ab")]
    if all_joined(alone, 4) is not None:
        print("FAIL the filter lets beacons through, so this scenario shows nothing")
        return False
    alone[1].stop()
    machines = [alone[0]]
    machines.append(network.start(binary, hosts[1], "b", "--peer", "10.77.0.1:52414"))
    machines.append(network.start(binary, hosts[2], "c", "--peer", "10.77.0.1:52414", "--peer", "10.77.0.2"))
    return claim("with broadcast and multicast dropped, --peer does it", all_joined(machines, 15), machines)


def cable_with_ipv6_link_local(network, binary):
    hosts = [network.host(name) for name in ("a", "b")]
    network.cable(*hosts)
    for host in hosts:
        run("ip", "-n", host, "link", "set", "eth0", "up")
    network.wait_for_addresses(hosts, "-6")
    machines = [network.start(binary, host, name) for host, name in zip(hosts, "ab")]
    return claim("two hosts on a cable find each other by IPv6 link-local addresses", all_joined(machines, 15), machines)


def cable_with_ipv4_link_local(network, binary):
    hosts = [network.host(name) for name in ("a", "b")]
    network.cable(*hosts)
    for number, host in enumerate(hosts, start=1):
        run("ip", "netns", "exec", host, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        run("ip", "-n", host, "addr", "add", f"169.254.10.{number}/16", "broadcast", "+", "scope", "link", "dev", "eth0")
        run("ip", "-n", host, "link", "set", "eth0", "up")
    network.wait_for_addresses(hosts, "-4")
    machines = [network.start(binary, host, name) for host, name in zip(hosts, "ab")]
    return claim("two hosts on a cable find each other by IPv4 link-local addresses", all_joined(machines, 15), machines)


def pulled_cable_is_noticed(network, binary):
    hosts = three_on_a_bridge(network)
    machines = [network.start(binary, host, name) for host, name in zip(hosts, "abc")]
    if all_joined(machines, 15) is None:
        return claim("three hosts join before a cable is pulled", None, machines)
    run("ip", "-n", f"{network.prefix}switch", "link", "set", "port3", "down")
    forgotten = lambda machine: all(member["name"] != "c" for member in machine.members())
    seconds = wait_until(lambda: forgotten(machines[0]) and forgotten(machines[1]), LOST_WITHIN_SECONDS + 3)
    noticed = claim("a machine behind a pulled cable is lost", seconds, machines, LOST_WITHIN_SECONDS)
    run("ip", "-n", f"{network.prefix}switch", "link", "set", "port3", "up")
    back = wait_until(lambda: all({"a", "b", "c"} <= machine.joined() for machine in machines), 30)
    return claim("plugged in again, all come back", back, machines, 15) and noticed


def cut(network, one, other, what="{}"):
    """These two hear nothing of each other any more; or only of what is said in nft's words."""
    for host, peer in ((one, other), (other, one)):
        rule = what.format(f"ether saddr {network.address_of(peer)}")
        run("ip", "netns", "exec", host, "nft", "-f", "-", text="table inet cut {\n chain in {\n"
            f"type filter hook input priority 0;\n{rule} drop\n}}\n}}\n")


def mend(*hosts):
    for host in hosts:
        run("ip", "netns", "exec", host, "nft", "delete", "table", "inet", "cut")


def a_cut_between_two_of_three(network, binary):
    """A third machine hears both: neither is lost for it, and the two find back by themselves."""
    hosts = three_on_a_bridge(network)
    for host in hosts:  # one way to each other, so that the cut is one
        run("ip", "netns", "exec", host, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
    machines = [network.start(binary, host, name) for host, name in zip(hosts, "abc")]
    if all_joined(machines, 15) is None:
        return claim("three hosts join before two are cut off from each other", None, machines)
    a, b, c = machines
    cut(network, hosts[0], hosts[1])
    forgotten = lambda machine, name: all(member["name"] != name for member in machine.members())
    began = time.monotonic()
    seconds = wait_until(lambda: forgotten(a, "b") and forgotten(b, "a"), 12)
    good = claim("two whose link is cut lose each other after the third's word has kept them for a while", seconds,
                 machines, 9)
    good = good and claim("though not before", 0 if time.monotonic() - began > 4 else None, machines)
    good = claim("the third keeps both", 0 if c.joined() == {"a", "b", "c"} else None, machines) and good
    mend(*hosts[:2])
    back = wait_until(lambda: all({"a", "b", "c"} <= machine.joined() for machine in machines), 20)
    return claim("mended, all are whole again", back, machines, WHOLE_WITHIN_SECONDS) and good


MODELS_FOLDER = os.environ.get("FLOTILLA_MODELS_DIR", os.path.join(os.path.dirname(__file__), "..", "..", ".cache", "models"))
MODEL = "SmolLM2-135M-Instruct.Q4_1"
QUESTION = {"model": MODEL, "prompt": "The lighthouse keeper opened the door and saw", "max_tokens": 80, "temperature": 0,
            "ignore_eos": True, "return_token_ids": True, "stream": True}


def answer(host, strike=None):
    """The token ids of a streamed answer, and the longest time between two. `strike` is called after the tenth."""
    client = subprocess.Popen(
        ["ip", "netns", "exec", host, "curl", "-sN", "-m", "90", "-H", "Content-Type: application/json",
         "-d", json.dumps(QUESTION), "http://127.0.0.1:52415/v1/completions"], stdout=subprocess.PIPE, text=True)
    ids, pause, last = [], 0, None
    for line in client.stdout:
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:]).get("choices", []):
            ids += choice.get("token_ids") or []
        pause, last = max(pause, time.monotonic() - last if last else 0), time.monotonic()
        if strike and len(ids) >= 10:
            strike()
            strike = None
    client.wait()
    return ids, pause


def a_cut_under_a_stream(network, binary):
    """The two machines of a ring are cut off from each other in mid-answer."""
    if "probe" in os.path.basename(binary) or not os.path.exists(os.path.join(MODELS_FOLDER, MODEL + ".gguf")):
        return True
    hosts = three_on_a_bridge(network)
    for host in hosts:
        run("ip", "netns", "exec", host, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
    flags = ("--models", os.path.abspath(MODELS_FOLDER), "--threads", "1")
    machines = [network.start(binary, host, name, *flags) for host, name in zip(hosts, "abc")]
    if all_joined(machines, 15) is None:
        return claim("three hosts join before a ring is cut", None, machines)
    order = json.dumps({"model": MODEL, "nodes": ["a", "b"], "context": 512, "sequences": 2})
    run("ip", "netns", "exec", hosts[0], "curl", "-s", "-m", "60", "-H", "Content-Type: application/json", "-d", order,
        "http://127.0.0.1:52415/load")
    unbroken, _ = answer(hosts[0])
    ids, pause = answer(hosts[0], lambda: cut(network, hosts[0], hosts[1]))
    good = len(unbroken) == 80 and claim("a stream outlives a cut in its ring", pause, machines, 15)
    same = claim("with the tokens of the unbroken one", 0 if ids == unbroken else None, machines)
    mend(*hosts[:2])
    back = wait_until(lambda: all({"a", "b", "c"} <= machine.joined() for machine in machines), 20)
    return claim("mended, all are whole again", back, machines, WHOLE_WITHIN_SECONDS) and good and same


def another_way_round_a_cut(network, binary):
    """IPv4 between two machines stops working; a third hears both, and IPv6 still does."""
    hosts = three_on_a_bridge(network)
    network.wait_for_addresses(hosts, "-6")
    machines = [network.start(binary, host, name) for host, name in zip(hosts, "abc")]
    if all_joined(machines, 15) is None:
        return claim("three hosts join before IPv4 is cut", None, machines)
    a, b, c = machines

    def way(machine, name):
        return [member.get("host", "") for member in machine.members() if member["name"] == name]

    ways = way(a, "b")
    kind = "meta protocol ip6" if ways and ":" in ways[0] else "meta protocol ip"
    cut(network, hosts[0], hosts[1], kind + " {}")
    other = lambda: ({"a", "b", "c"} <= a.joined() and way(a, "b") and way(a, "b") != ways
                     and {"a", "b", "c"} <= b.joined())
    return claim(f"a broken connection is made anew by another address, not {ways}", wait_until(other, 15), machines, 9)


def direct_cable_beside_a_switch(network, binary):
    """Two hosts on a slow switch and on a cable with link-local addresses alone: rings are to take the cable."""
    sentence = "a cable that measures better is preferred to the switch"
    if "probe" in os.path.basename(binary):
        return True  # the cluster room alone measures nothing
    hosts = [network.host(name) for name in ("a", "b")]
    network.bridge(network.host("switch"), hosts)
    one, other = hosts
    run("ip", "-n", one, "link", "add", "cable0", "type", "veth", "peer", "name", "cable0", "netns", other)
    for host in hosts:
        run("ip", "-n", host, "link", "set", "cable0", "up")
        try:
            run("tc", "-n", host, "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "50mbit", "burst", "16kb",
                "latency", "400ms")
        except (RuntimeError, FileNotFoundError) as error:
            print(f"SKIPPED {sentence}: no way to slow the switch here ({error})")
            return True
    machines = [network.start(binary, host, name, "--measures") for host, name in zip(hosts, "ab")]
    if all_joined(machines, 15) is None:
        return claim("two hosts join before their links are measured", None, machines)

    def others(machine):
        return [member for member in machine.members() if member["state"] == "joined"]

    def by_cable(machine):
        links = [link for member in machine.members() if member["state"] == "self" for link in member.get("links", [])]
        return ([link["interface"] for link in links] == ["cable0"]
                and all(member["host"].endswith("%cable0") for member in others(machine)))

    # Both measure their kernels first, one after the other, for they share a host.
    chosen = claim(sentence, wait_until(lambda: all(by_cable(machine) for machine in machines), 90), machines, 90)
    run("ip", "-n", one, "link", "set", "cable0", "down")
    by_switch = lambda machine: others(machine) and others(machine)[0]["host"].startswith("10.77.")
    back = wait_until(lambda: all(by_switch(machine) for machine in machines), 20)
    return claim("a pulled cable gives way to the switch", back, machines, 20) and chosen


# Opens connections until one is answered unasked, which is how one too many is; prints how many there were before it.
CROWD = """
import socket, sys
crowd = []
while len(crowd) < 100:
    crowd.append(socket.create_connection(("10.77.0.1", 52415), 5))
    crowd[-1].sendall(b"GET /health HTTP/1.1\\r\\nHost: 10.77.0.1\\r\\n\\r\\n")
    if b" 429 " in crowd[-1].recv(4096).split(b"\\r\\n")[0]:
        break
print(len(crowd) - 1)
"""


def strangers_at_the_door(network, binary):
    """What only another machine can try: an API that is open to the network, from outside."""
    if "probe" in os.path.basename(binary):
        return True  # the cluster room alone has no API
    hosts = [network.host(name) for name in ("a", "b")]
    network.bridge(network.host("switch"), hosts)
    serve = f"{binary} serve --home {{home}} --no-measure --no-discovery --api 0.0.0.0:52415"
    machine = Machine(hosts[0], "a", ["sh", "-c", f"{binary} key create --home {{home}} --name ann >{{home}}/key && exec {serve}"])
    network.machines.append(machine)

    def status(host, address, path, *headers):
        words = [word for header in headers for word in ("-H", header)]
        return run("ip", "netns", "exec", host, "sh", "-c", 'curl -s -o /dev/null -m 5 -w "%{http_code}" "$@" || true',
                   "curl", *words, f"http://{address}:52415{path}")

    def claims(expected):
        good = True
        for sentence, host, address, path, headers, wanted in expected:
            got = status(host, address, path, *headers)
            good = good and got == wanted
            print(f"{'ok  ' if got == wanted else 'FAIL'} {sentence}: {got}" + ("" if got == wanted else f", not {wanted}"))
        return good

    home, away = (hosts[0], "127.0.0.1"), (hosts[1], "10.77.0.1")
    if wait_until(lambda: status(*away, "/health") == "200", 15) is None:
        return claim("a stranger reaches a node whose API is open", None, [])
    key = "x-api-key: " + open(os.path.join(machine.home, "key")).read().strip()
    local = json.load(open(os.path.join(machine.home, "local.json")))["key"]
    good = claims([
        ("a stranger without a key is refused", *away, "/v1/models", [], "401"),
        ("a stranger with one comes in", *away, "/v1/models", [key], "200"),
        ("the key of the node's own user is worth nothing from outside", *away, "/cluster", [f"x-api-key: {local}"], "401"),
        ("and everything inside", *home, "/cluster", [f"x-api-key: {local}"], "200"),
        ("a name that was pointed here is refused", *away, "/v1/models", [key, "Host: evil.example"], "403")])
    crowd = run("ip", "netns", "exec", hosts[1], sys.executable, "-c", CROWD).strip()
    print(f"{'ok  ' if crowd == '64' else 'FAIL'} one address has 64 connections: {crowd}")
    run(binary, "key", "revoke", "ann", "--home", machine.home)
    return claims([
        ("once the last key is revoked, strangers stay outside", *away, "/v1/models", [key], "401"),
        ("and this machine needs none", *home, "/cluster", [], "200")]) and good and crowd == "64"


# Keeps what passes a port of the switch: payloads of each TCP flow and of datagrams, one file for each.
LISTENER = """
import socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE: nothing is missed while we write
wire.bind((sys.argv[1], 0))
print("listening", flush=True)
files = {}
while True:
    frame = wire.recv(1 << 17)
    kind, ip = frame[12:14], frame[14:]
    if kind == b"\\x08\\x00":
        length = struct.unpack("!H", ip[2:4])[0] or len(ip)
        protocol, ends, body = ip[9], ip[12:20], ip[(ip[0] & 15) * 4:length]
    elif kind == b"\\x86\\xdd":
        protocol, ends, body = ip[6], ip[8:40], ip[40:]
    else:
        continue
    if protocol == 6:
        flow, payload = ends + body[:4], body[(body[12] >> 4) * 4:]
    elif protocol == 17:
        flow, payload = b"datagrams", body[8:]
    else:
        continue
    file = files.get(flow) or files.setdefault(flow, open("%s/%d" % (sys.argv[2], len(files)), "wb", 0))
    file.write(payload)
"""
SECRET_WORDS = "the heron keeps its promise to the ferryman"
SECRET_TOKENS = [11013, 22022, 33033, 44044, 12321, 23432]  # of no text anyone writes


def nothing_is_read_on_the_way(network, binary):
    """A model divided between two machines that joined by token, and who listens on the switch between them."""
    models = os.environ.get("FLOTILLA_MODELS_DIR", os.path.join(os.getcwd(), ".cache", "models"))
    file = os.path.join(models, "SmolLM2-135M-Instruct.Q4_1.gguf")
    if "probe" in os.path.basename(binary) or not os.path.exists(file):
        return True
    hosts = [network.host(name) for name in ("a", "b")]
    switch = network.host("switch")
    network.bridge(switch, hosts)
    captured = tempfile.mkdtemp(prefix="flotilla-netns-wire-")
    listener = subprocess.Popen(["ip", "netns", "exec", switch, sys.executable, "-c", LISTENER, "port2", captured],
                                stdout=subprocess.PIPE, text=True)
    try:
        listener.stdout.readline()
        return listen_to_an_answer(network, binary, hosts, models, file, captured)
    finally:
        listener.kill()
        listener.wait()
        shutil.rmtree(captured, ignore_errors=True)


def listen_to_an_answer(network, binary, hosts, models, file, captured):
    def serve(host, name, *flags):
        machine = Machine(host, name, [binary, "serve", "--home", "{home}", "--name", name, "--no-measure", *flags])
        threading.Thread(target=lambda: [None for _ in machine.process.stdout], daemon=True).start()
        network.machines.append(machine)
        return machine

    def on(host, *command):
        return run("ip", "netns", "exec", host, *command)

    def post(host, path, body):
        return on(host, "curl", "-s", "-m", "60", "-H", "Content-Type: application/json", "-d", json.dumps(body),
                  f"http://127.0.0.1:52415{path}")

    def is_up(host):
        return subprocess.run(["ip", "netns", "exec", host, "curl", "-s", "-m", "1", "-o", "/dev/null",
                               "http://127.0.0.1:52415/health"], capture_output=True).returncode == 0

    a = serve(hosts[0], "heronry", "--models", models)
    wait_until(lambda: is_up(hosts[0]), 15)
    token = on(hosts[0], binary, "token", "create", "--home", a.home).split()[0]
    b = serve(hosts[1], "ferry", "--join", token)
    wait_until(lambda: is_up(hosts[1]), 15)
    joined = wait_until(lambda: Node.members(b) and {"heronry", "ferry"} <= {
        member["name"] for member in Node.members(b) if member["state"] in ("self", "joined")}, 15)
    if joined is None:
        return claim("two machines join by token before anyone listens", None, [])
    model = os.path.basename(file)[: -len(".gguf")]
    post(hosts[1], "/load", {"model": model, "nodes": ["heronry", "ferry"], "mode": "pipeline", "context": 256, "sequences": 2})
    # Asked at the machine that is not the head, so that the question travels too.
    asked = json.loads(post(hosts[1], "/v1/completions", {"model": model, "prompt": SECRET_WORDS, "max_tokens": 16, "temperature": 0}))
    answer = asked["choices"][0]["text"]
    post(hosts[1], "/v1/completions", {"model": model, "prompt": SECRET_TOKENS, "max_tokens": 2})
    stages = json.loads(on(hosts[1], "curl", "-s", "http://127.0.0.1:52415/placements"))["placements"][0]["stages"]
    on(hosts[1], sys.executable, "-c",
       f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto({SECRET_WORDS.encode()!r}, ('10.77.0.1', 9))")
    pieces = []
    with open(file, "rb") as weights:
        for ninth in range(1, 9):  # a half of the layers travels
            weights.seek(os.path.getsize(file) * ninth // 9)
            pieces.append(weights.read(32))
    heard = lambda: [open(os.path.join(captured, name), "rb").read() for name in os.listdir(captured)]
    wait_until(lambda: any(SECRET_WORDS.encode() in flow for flow in heard()), 5)
    flows = heard()
    holding = lambda what: sum(what in flow for flow in flows)
    ids = b"".join(bytes([0x19, token >> 8, token & 255]) for token in SECRET_TOKENS)  # as CBOR has them
    packed = b"".join(token.to_bytes(4, "little") for token in SECRET_TOKENS)
    size = sum(len(flow) for flow in flows)
    facts = [
        ("the model is divided", len(stages) == 2, f"{len(stages)} stages"),
        ("who listens hears much", size > 10 << 20, f"{size >> 20} MiB in {len(flows)} flows"),
        ("and would hear words: those in a datagram in the clear, once", holding(SECRET_WORDS.encode()) == 1, holding(SECRET_WORDS.encode())),
        ("and beacons, which are in the clear", holding(b"heronry") >= 1, holding(b"heronry")),
        ("but no answer", len(answer) > 12 and holding(answer.encode()) == 0, repr(answer)),
        ("no token of a prompt", holding(ids) + holding(packed) == 0, holding(ids) + holding(packed)),
        ("no weights", not any(map(holding, pieces)), sum(map(holding, pieces))),
        ("no name of a model", holding(model.encode()) == 0, holding(model.encode())),
        ("and not the token that let a machine in", holding(token.encode()) == 0, holding(token.encode()))]
    for sentence, holds, figure in facts:
        print(f"{'ok  ' if holds else 'FAIL'} {sentence}: {figure}")
    return all(holds for _, holds, _ in facts)


SCENARIOS = [bridge_finds_itself, together_on_a_bridge, peer_where_broadcasts_are_dropped, cable_with_ipv6_link_local,
             cable_with_ipv4_link_local, pulled_cable_is_noticed, a_cut_between_two_of_three, a_cut_under_a_stream,
             another_way_round_a_cut,
             direct_cable_beside_a_switch, strangers_at_the_door, nothing_is_read_on_the_way]


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(SKIPPED)


def check_machine():
    for tool in ("ip", "nft", "curl"):
        if shutil.which(tool) is None:
            skip(f"{tool} is not installed")
    missing = namespaces_missing()
    if missing:
        skip(missing)


def main():
    check_machine()
    arguments = sys.argv[1:]
    binary = os.path.abspath(arguments.pop(0) if arguments else os.environ["FLOTILLA_BINARY"])
    failed = 0
    for scenario in SCENARIOS:
        if arguments and scenario.__name__ not in arguments:
            continue
        network = Network()
        good = False
        try:
            good = scenario(network, binary)
        except RuntimeError as error:
            print(f"FAIL {scenario.__name__}: {error}")
        finally:
            network.close()
        if not good:
            failed += 1
            for machine in network.machines:
                print(f"    log of {machine.name}: {machine.said.strip()[-2000:]}")
    print(f"{failed} of {len(arguments) or len(SCENARIOS)} scenarios failed" if failed else "all networks found themselves")
    sys.exit(1 if failed else 0)


main()
