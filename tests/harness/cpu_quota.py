"""Takes processor time away from a node, as a container's limit or a neighbour does."""

import contextlib
import os
import unittest


class CpuQuota:
    """A cgroup that takes a node and its children and can be throttled; none where this machine lets us make none."""

    def __init__(self, name="node"):
        name = "flotilla-test-%d-%s" % (os.getpid(), name)
        self.unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        self.path = os.path.join("/sys/fs/cgroup" if self.unified else "/sys/fs/cgroup/cpu", name)
        try:
            os.mkdir(self.path)
            self.set_cores(4)
        except OSError as error:
            self.remove()
            raise unittest.SkipTest("no cgroup can be made here (%s)" % error) from error

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text)

    def take(self, pid):
        """The process, and whatever it starts from now on."""
        self.write("cgroup.procs", str(pid))

    def set_cores(self, cores):
        if self.unified:
            self.write("cpu.max", "%d 100000" % (cores * 100000))
        else:
            self.write("cpu.cfs_period_us", "100000")
            self.write("cpu.cfs_quota_us", str(int(cores * 100000)))

    def remove(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
