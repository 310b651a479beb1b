"""Networks built for a test: each machine is a network namespace, so its ports are its own and nothing of this host is
touched. Needs root, `ip` and, for cuts, `nft`.

    with Switch(["a", "b", "c"]) as switch:
        fleet = Fleet(["a", "b", "c"], switch=switch)
        switch.cut([("a", "b"), ("b", "a")])
        switch.mend()
"""

import contextlib
import ctypes
import http.client
import json
import os
import subprocess
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def enter(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


@contextlib.contextmanager
def inside(namespace):
    """Sockets that this thread opens meanwhile belong to the namespace, and stay there."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(home.fileno())


class Connection(http.client.HTTPConnection):
    """To a server on 127.0.0.1, of a namespace where one is given."""

    def __init__(self, port, timeout, namespace=None):
        super().__init__("127.0.0.1", port, timeout=timeout)
        self.namespace = namespace

    def connect(self):
        with inside(self.namespace) if self.namespace else contextlib.nullcontext():
            super().connect()


class Namespaces:
    """Hosts and what joins them; close() takes all of it away."""

    def __init__(self):
        self.prefix = f"fl{os.getpid()}"
        self.hosts = []

    def host(self, name):
        namespace = f"{self.prefix}{name}"
        run("ip", "netns", "add", namespace)
        self.hosts.append(namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    def cable(self, one, other):
        """A direct cable: eth0 at both ends."""
        run("ip", "-n", one, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", other)

    def bridge(self, switch, hosts):
        """Host number N, from 1, has 10.77.0.N and hangs at the switch's port N."""
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        for number, host in enumerate(hosts, start=1):
            port = f"port{number}"
            run("ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch)
            run("ip", "-n", switch, "link", "set", port, "master", "br0", "up")
            run("ip", "-n", host, "addr", "add", f"10.77.0.{number}/24", "broadcast", "+", "dev", "eth0")
            run("ip", "-n", host, "link", "set", "eth0", "up")

    def wait_for_addresses(self, hosts, version):
        """Link-local addresses may not be used before they are known to be unique."""
        deadline = time.monotonic() + 10
        for host in hosts:
            while True:
                shown = run("ip", "-n", host, version, "-o", "addr", "show", "dev", "eth0")
                if "scope link" in shown and "tentative" not in shown:
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{host} has no usable link-local address: {shown}")
                time.sleep(0.1)

    def address_of(self, host):
        """Of its card."""
        return json.loads(run("ip", "-n", host, "-j", "link", "show", "dev", "eth0"))[0]["address"]

    def close(self):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", host], capture_output=True)


class Switch(Namespaces):
    """One switch with a machine at each port."""

    def __init__(self, names):
        super().__init__()
        self.names = list(names)
        try:
            self.machines = [self.host(name) for name in self.names]
            self.itself = self.host("switch")
            self.bridge(self.itself, self.machines)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def namespace(self, name):
        return self.machines[self.names.index(name)]

    def address(self, name):
        return f"10.77.0.{self.names.index(name) + 1}"

    def cut(self, pairs):
        """From now on nothing passes from the first machine of a pair to its second, and all else does."""
        port = lambda name: f'"port{self.names.index(name) + 1}"'
        rules = "".join(f"iifname {port(one)} oifname {port(other)} drop\n" for one, other in pairs)
        table = f"table bridge cut {{\n chain between {{\n type filter hook forward priority 0;\n{rules}}}\n}}\n"
        run("ip", "netns", "exec", self.itself, "nft", "-f", "-",
            text="table bridge cut\ndelete table bridge cut\n" + (table if rules else ""))

    def mend(self):
        self.cut([])


def namespaces_missing():
    """Why this machine cannot have such networks; None where it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        run("ip", "netns", "add", f"fl{os.getpid()}try")
        run("ip", "netns", "del", f"fl{os.getpid()}try")
    except (RuntimeError, FileNotFoundError) as error:
        return f"this machine allows no network namespaces ({error})"
    return None
