"""Started in the environment of vantage6-node: `vnode-local start --dockerized`, with FOLDER in place of /mnt."""

import os
from pathlib import Path

from vantage6.common.docker import addons

# As in the container that the node usually is; on the machine itself a file in / would decide.
addons.running_in_docker = lambda: True

from vantage6.node.cli.node import cli_node_start  # noqa: E402
from vantage6.node.context import DockerNodeContext  # noqa: E402

folder = Path(os.environ["FOLDER"])
DockerNodeContext.instance_folders = staticmethod(
    lambda *_: {name: folder / name for name in ("log", "data", "config", "vpn")}
)
cli_node_start(["--config", str(folder / "config" / f"{os.environ['NAME']}.yaml"), "--dockerized"])
