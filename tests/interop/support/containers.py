"""Podman for the real node: with storage, networks, settings and a socket of the test's own."""

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from pathlib import Path

from support.processes import Process, wait_until

IMAGE = "localhost/atoll-test/rows:1"
ALGORITHM = Path(__file__).parent / "algorithm.sh"
NETWORK_PROGRAMS = ["/usr/lib/cni/bridge", "/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"]

# Where a process may not raise its limits, podman's defaults cannot be set; crun refuses mixed control groups.
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=9000:9000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# The images are here only. Without this podman would look for them four times.
REGISTRIES = """[[registry]]
location = "localhost"
blocked = true
"""


def static_busybox():
    """Path of a busybox that needs no libraries, or None."""
    found = shutil.which("busybox")
    if found and b"/ld-" not in Path(found).read_bytes()[:4096]:
        return found
    return None


def missing_packages():
    """The Debian packages that this machine lacks for running containers."""
    packages = [package for package in ("podman", "runc") if not shutil.which(package)]
    if not any(Path(program).exists() for program in NETWORK_PROGRAMS):
        packages.append("containernetworking-plugins")
    if not static_busybox():
        packages.append("busybox-static")
    return packages


def require_containers():
    """Fails and says what to install if containers cannot run here."""
    packages = missing_packages()
    if packages:
        raise RuntimeError(
            "containers cannot run here: run tools/containers.sh, or as root "
            f"apt-get install --no-install-recommends {' '.join(packages)}"
        )
    if os.geteuid() != 0:
        raise RuntimeError("the real node's containers reach this machine only if podman runs as root")


class ContainerEngine:
    """Podman as a service that speaks Docker's API; `environment` tells a Docker client where it is."""

    def __init__(self):
        require_containers()
        # Podman wants short paths.
        self.folder = Path(tempfile.mkdtemp(prefix="atoll-podman-"))
        self.socket = self.folder / "socket"
        settings, registries = self.folder / "containers.conf", self.folder / "registries.conf"
        settings.write_text(SETTINGS)
        registries.write_text(REGISTRIES)
        (self.folder / "networks").mkdir()
        self.settings = {"CONTAINERS_CONF": str(settings), "CONTAINERS_REGISTRIES_CONF": str(registries)}
        self.environment = {"DOCKER_HOST": f"unix://{self.socket}"}
        self.service = Process(
            [*self._podman(), "system", "service", "--time=0", f"unix://{self.socket}"], env=self.settings
        )
        try:
            wait_until(self._answers, "podman's service", 120)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.service.output()}") from None

    def _podman(self):
        folder = self.folder
        return [
            "podman",
            "--root",
            folder / "storage",
            "--runroot",
            folder / "run",
            "--tmpdir",
            folder / "tmp",
            "--network-config-dir",
            folder / "networks",
        ]

    def _answers(self):
        if self.service.child.poll() is not None:
            raise AssertionError(f"podman's service ended:\n{self.service.output()}")
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.socket))
            except OSError:
                return False
            return True

    def podman(self, *arguments, input=None):
        """What a podman command prints."""
        done = subprocess.run(
            [str(part) for part in [*self._podman(), *arguments]],
            input=input,
            env={**os.environ, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=300,
        )
        if done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def make_image(self, name=IMAGE):
        """Makes the tests' algorithm from a static busybox and algorithm.sh; returns its name."""
        busybox = static_busybox()
        applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as files:
            for path, source in {"bin/busybox": Path(busybox), "algorithm": ALGORITHM}.items():
                content = source.read_bytes()
                entry = tarfile.TarInfo(path)
                entry.mode, entry.size = 0o755, len(content)
                files.addfile(entry, io.BytesIO(content))
            for applet in applets:
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                if applet != "busybox":
                    files.addfile(entry)
        changes = ["--change", "ENV PATH=/bin", "--change", 'CMD ["/bin/sh", "/algorithm"]']
        self.podman("import", *changes, "-", name, input=archive.getvalue())
        return name

    def make_network(self, name):
        """Makes a network; returns the machine's own address in it."""
        self.podman("network", "create", "--disable-dns", name)
        return json.loads(self.podman("network", "inspect", name))[0]["subnets"][0]["gateway"]

    def remove_network(self, name):
        """Removes a network with all that is in it."""
        if name in self.networks():
            self.podman("network", "rm", "--force", name)
        # Its plugins leave a record of the addresses that they gave.
        shutil.rmtree(Path("/var/lib/cni/networks") / name, ignore_errors=True)

    def containers(self, **labels):
        """Names of the containers, running or not, that have these labels."""
        filters = [f"--filter=label={key}={value}" for key, value in labels.items()]
        return self.podman("ps", "--all", "--format={{.Names}}", *filters).split()

    def networks(self):
        """Names of the networks that were made."""
        return [name for name in self.podman("network", "ls", "--format={{.Name}}").split() if name != "podman"]

    def output(self):
        """All that podman's service has written."""
        return self.service.output()

    def stop(self):
        """Removes all its containers and networks, and ends; nothing in its storage belongs to somebody else."""
        try:
            self.podman("rm", "--all", "--force", "--time=0")
            for network in self.networks():
                self.remove_network(network)
        finally:
            self.service.stop()
            # Podman leaves its storage mounted on itself.
            storage = self.folder / "storage/overlay"
            if os.path.ismount(storage):
                subprocess.run(["umount", storage], check=False)
            shutil.rmtree(self.folder, ignore_errors=True)
