#!/usr/bin/env python3
"""The Debian package in a clean Debian 13: built from the release build, installed, run, removed and purged.

    tests/package/test_deb.py          needs root and debootstrap; the clean root is kept in .cache/package-root

What the package needs is installed in that root once; each run works on a copy of it. FLOTILLA_BINARY says which build.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.dirname(os.path.realpath(os.environ.get("FLOTILLA_BINARY", os.path.join(ROOT, "build", "flotilla"))))
BASE = os.path.join(ROOT, ".cache", "package-root")
MARK = ".flotilla-package-root"
ARCHIVE = os.environ.get("FLOTILLA_DEBIAN_ARCHIVE", "http://deb.debian.org/debian")
NOT_HERE = 77
# What apt, dpkg and ldconfig themselves keep; not the package's.
BOOKKEEPING = re.compile(r"^/(var/(cache|log|lib/(apt|dpkg|systemd)|backups)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|etc/ld\.so\.cache|run|tmp|root)(/|$|\.)")


def run(*words, check=True, seconds=900, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        raise AssertionError("expected %s to work but got %d:\n%s%s" % (words, done.returncode, done.stdout[-3000:], done.stderr[-3000:]))
    return done


def inside(root, *words, check=True):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    return run("chroot", root, *words, check=check, env=environment)


@contextlib.contextmanager
def kernel_files(root):
    run("mount", "-t", "proc", "proc", os.path.join(root, "proc"))
    try:
        yield
    finally:
        run("umount", os.path.join(root, "proc"))


def remove_root(folder):
    """A root that was left half made may have the kernel's files mounted: never deleted through."""
    with open("/proc/mounts", encoding="utf-8") as mounts:
        inner = [line.split()[1] for line in mounts if line.split()[1].startswith(os.path.realpath(folder) + "/")]
    for place in reversed(inner):
        run("umount", place)
    shutil.rmtree(folder, ignore_errors=True)


def make_base():
    """A minimal Debian 13 with its backports as a source, and with systemd: made once."""
    if os.path.exists(os.path.join(BASE, MARK)):
        return
    remove_root(BASE)
    script = "/usr/share/debootstrap/scripts/trixie"
    words = ["debootstrap", "--variant=minbase", "--include=ca-certificates,systemd,adduser", "trixie", BASE, ARCHIVE]
    run(*words, *([] if os.path.exists(script) else ["/usr/share/debootstrap/scripts/sid"]), seconds=3600)
    for path in glob.glob("/etc/apt/apt.conf.d/*proxy*"):
        shutil.copy(path, os.path.join(BASE, "etc/apt/apt.conf.d"))
    with open(os.path.join(BASE, "etc/apt/sources.list"), "a", encoding="ascii") as file:
        file.write("deb %s trixie-backports main\n" % ARCHIVE)
    # Nothing that is installed starts a service here.
    with open(os.path.join(BASE, "usr/sbin/policy-rc.d"), "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 101\n")
    os.chmod(file.name, 0o755)
    inside(BASE, "apt-get", "update", "-qq")
    with open(os.path.join(BASE, MARK), "w", encoding="ascii"):
        pass


def make_package():
    """`make deb`, but for the compiling: the build is there."""
    for old in glob.glob(os.path.join(BUILD, "package", "*.deb")):
        os.remove(old)
    run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), cwd=BUILD, env=dict(os.environ, FLOTILLA_PACKAGE="deb"))
    (package,) = glob.glob(os.path.join(BUILD, "package", "*.deb"))
    return package


def files_in(root):
    found = set()
    for folder, folders, files in os.walk(root):
        short = folder[len(root):] or "/"
        if short in ("/proc", "/sys", "/dev"):
            folders[:] = []
            continue
        found |= {os.path.join(short, name) for name in [*files, *folders]}
    return {path for path in found if not BOOKKEEPING.match(path)}


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.package = make_package()
        make_base()
        cls.folder = tempfile.mkdtemp(prefix="flotilla-package-", dir=os.path.dirname(BASE))
        cls.addClassCleanup(remove_root, cls.folder)
        cls.root = os.path.join(cls.folder, "root")
        run("cp", "-a", "--reflink=auto", BASE, cls.root)
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.stack.enter_context(kernel_files(cls.root))
        shutil.copy(cls.package, os.path.join(cls.root, "root", "flotilla.deb"))
        # What it stands on, first: what is new afterwards is the package's own.
        needs = run("dpkg-deb", "--field", cls.package, "Depends").stdout
        names = [re.split(r"[ (|]", need.strip())[0] for need in needs.split(",")]
        inside(cls.root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "-t", "trixie-backports", *names)

    def test_its_life(self):
        before = files_in(self.root)
        inside(self.root, "dpkg", "-i", "/root/flotilla.deb")
        self.check_contents()
        self.check_units()
        self.check_running()
        inside(self.root, "dpkg", "--remove", "flotilla")
        left = files_in(self.root) - before
        self.assertEqual(set(), {path for path in left if not path.startswith(("/etc/flotilla", "/var/lib/flotilla"))})
        self.assertIn("/etc/flotilla/config.toml", left)
        self.assertTrue(any(path.startswith("/var/lib/flotilla/trust") for path in left), left)
        inside(self.root, "dpkg", "--purge", "flotilla")
        self.assertEqual(set(), files_in(self.root) - before)
        self.assertEqual(set(), before - files_in(self.root))
        self.assertNotIn("flotilla", self.read("etc/passwd"))

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def check_contents(self):
        self.assertRegex(inside(self.root, "flotilla", "--version").stdout, r"^flotilla \d+\.\d+\.\d+ \(protocol \d+\)\n")
        for path in ("usr/share/man/man1/flotilla.1.gz", "usr/share/bash-completion/completions/flotilla",
                     "usr/share/zsh/vendor-completions/_flotilla", "usr/share/fish/vendor_completions.d/flotilla.fish",
                     "usr/lib/systemd/system/flotilla.service", "usr/lib/systemd/user/flotilla.service",
                     "usr/share/doc/flotilla/copyright", "usr/share/flotilla/fleets"):
            self.assertTrue(os.path.exists(os.path.join(self.root, path)), path)
        self.assertIn("flotilla:x:", self.read("etc/passwd"))
        for path, mode in (("etc/flotilla", 0o750), ("var/lib/flotilla", 0o700)):
            self.assertEqual(mode, os.stat(os.path.join(self.root, path)).st_mode & 0o777, path)
        self.assertIn("/etc/flotilla/config.toml", inside(self.root, "dpkg-query", "-W", "-f", "${Conffiles}", "flotilla").stdout)
        # Its own file is one that it understands, also once every line of it counts.
        counted = re.sub(r"(?m)^# ([a-z-]+ = )", r"\1", self.read("etc/flotilla/config.toml"))
        with open(os.path.join(self.root, "tmp/config.toml"), "w", encoding="utf-8") as file:
            file.write(counted)
        shown = inside(self.root, "flotilla", "--config", "/tmp/config.toml", "config", "show", "--json").stdout
        origins = [setting["origin"] for setting in json.loads(shown).values()]
        self.assertEqual(5, sum(origin.startswith("/tmp/config.toml, line ") for origin in origins), origins)

    def check_units(self):
        for kind in ("system", "user"):
            unit = "/usr/lib/systemd/%s/flotilla.service" % kind
            words = ["env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "--man=no", "--" + kind, "verify", unit]
            done = inside(self.root, *words, check=False)
            about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "flotilla" in line]
            self.assertEqual([], about_ours)
        self.assertIn("ExecStart=/usr/bin/flotilla serve", self.read("usr/lib/systemd/system/flotilla.service"))

    def check_running(self):
        """As the unit starts it, but for systemd."""
        doctor = inside(self.root, "flotilla", "doctor", "--json", "--home", "/tmp/none", check=False)
        self.assertIn(doctor.returncode, (0, 1), doctor.stderr)
        self.assertFalse(json.loads(doctor.stdout)["running"])
        words = ["chroot", "--userspec=flotilla:flotilla", self.root, "/usr/bin/env", "-i", "PATH=/usr/bin",
                 "FLOTILLA_HOME=/var/lib/flotilla", "FLOTILLA_CONFIG=/etc/flotilla/config.toml",
                 "/usr/bin/flotilla", "serve", "--api", "127.0.0.1:14917", "--no-discovery", "--cluster-port", "14918", "--no-measure"]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as node:
            try:
                asked = ["flotilla", "nodes", "--json", "--api", "http://127.0.0.1:14917"]
                deadline = time.monotonic() + 60
                while inside(self.root, *asked, check=False).returncode != 0:
                    self.assertIsNone(node.poll(), node.stdout.read() if node.poll() is not None else "")
                    self.assertLess(time.monotonic(), deadline, "expected the service to answer")
                    time.sleep(0.2)
            finally:
                node.terminate()
            self.assertEqual(0, node.wait(20))


if __name__ == "__main__":
    if os.getuid() != 0 or not shutil.which("debootstrap") or not shutil.which("dpkg-shlibdeps"):
        print("needs root, debootstrap and dpkg-dev")
        sys.exit(NOT_HERE)
    unittest.main(verbosity=2)
