"""The real vantage6 node, from PyPI, with containers of podman."""

import json
import os
import subprocess
from pathlib import Path

from support.containers import IMAGE
from support.processes import Process, free_port, python_of

LOGGING = {
    "level": "DEBUG",
    "use_console": True,
    "backup_count": 1,
    "max_size": 1024,
    "format": "%(asctime)s - %(name)-14s - %(levelname)-8s - %(message)s",
    "datefmt": "%Y-%m-%d %H:%M:%S",
    "loggers": [{"name": "urllib3", "level": "warning"}, {"name": "docker", "level": "warning"}],
}


class RealNode(Process):
    """vantage6-node 4.15.2 at the hub at `origin` (+ /api); `databases` gives each label its CSV file.

    `data` is the folder that algorithms see as /mnt/data. The engine needs the image IMAGE. As its packages come, the
    node has no WebSocket: it hears of events by polling.
    """

    def __init__(self, folder, engine, origin, api_key, databases, **settings):
        folder, proxy_port = Path(folder), free_port()
        # Containers are found by the name of their node.
        name = f"trial-{proxy_port}"
        for part in ("config", "data", "log", "vpn"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.engine, self.name, self.data = engine, name, folder / "data"
        self.container, self.network = f"vantage6-{name}-user", f"vantage6-{name}-user-net"
        self.other_network = f"{name}-other"
        server_url, port = origin.rsplit(":", 1)
        config = {
            "api_key": api_key,
            "server_url": server_url,
            "port": int(port),
            "api_path": "/api",
            "task_dir": str(self.data),
            "databases": [{"label": label, "uri": str(uri), "type": "csv"} for label, uri in databases.items()],
            "encryption": {"enabled": False, "private_key": None},
            # The image is on this machine only.
            "policies": {"require_algorithm_pull": False},
            "logging": LOGGING,
            **settings,
        }
        # YAML reads JSON.
        (folder / "config" / f"{name}.yaml").write_text(json.dumps(config))
        # Usually the node is a container and connects itself to the network of its runs, where its proxy listens.
        # Here another container stands in for it, and the network, which the node would make without a way to this
        # machine, is already there.
        address = engine.make_network(self.network)
        engine.make_network(self.other_network)
        place = [f"--name={self.container}", f"--network={self.other_network}"]
        engine.podman("run", "--detach", *place, IMAGE, "sleep", "inf")
        environment = {
            **engine.environment,
            "FOLDER": str(folder),
            "NAME": name,
            "DATA_VOLUME_NAME": str(self.data),
            "PROXY_SERVER_HOST": address,
            "PROXY_SERVER_PORT": str(proxy_port),
        }
        for label, uri in databases.items():
            # Read as a path below /mnt.
            environment[f"{label.upper()}_DATABASE_URI"] = os.path.relpath(uri, "/mnt")
        command = [python_of("node-4.15.2"), Path(__file__).parent / "run_node.py"]
        super().__init__(command, cwd=folder, env=environment)

    def wait_until_online(self):
        """Returns itself when it has told the hub of itself and waits for tasks (some 20 s)."""
        self.wait_for_line("Sharing node configuration", 180)
        self.wait_for_line("Waiting for new tasks", 60)
        return self

    def run_containers(self):
        """The ids of the runs that have a container."""
        prefix = f"vantage6-{self.name}-run-"
        return {int(name.removeprefix(prefix)) for name in self.engine.containers(node=self.name)}

    def stop(self):
        """Ends it as its manager would, which takes its containers away; then removes what it left."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                pass
        super().stop()
        for container in [*self.engine.containers(node=self.name), self.container]:
            self.engine.podman("rm", "--force", "--ignore", "--time=0", container)
        # The node removes its network itself, but not the record of the addresses.
        for network in (self.network, self.other_network):
            self.engine.remove_network(network)
