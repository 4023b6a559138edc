"""`atoll node`: a data station of Atoll as a process of its own."""

import json
import os
from pathlib import Path

from support.processes import PROGRAM, Process


# The tables of the demo have four rows: with the limits that hold where nothing is said they would tell nothing.
DEMO_LIMITS = {
    "minimum_rows": 1,
    "smallest_cell": 1,
    "smallest_subset": 0,
    "largest_parameter_share": 1,
    "largest_value_share": 1,
    "allowed_identifiers": ["age", "weight", "height", "visits"],
}


class AtollNode(Process):
    """`atoll node` at the server at `origin` (+ `api_path`); `databases` gives each label its CSV file.

    A path that is not absolute counts from `folder`, which holds the configuration. Further keys of the
    configuration, such as `policies`, can be given.
    """

    def __init__(self, folder, origin, api_key, databases, api_path="/api", policies=None, **settings):
        self.configuration = Path(folder) / "node.yaml"
        server_url, port = origin.rsplit(":", 1)
        # It holds the API key.
        with open(os.open(self.configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            # YAML reads JSON.
            json.dump(
                {
                    "api_key": api_key,
                    "server_url": server_url,
                    "port": int(port),
                    "api_path": api_path,
                    "databases": [
                        {"label": label, "uri": str(uri), "type": "csv"} for label, uri in databases.items()
                    ],
                    "policies": {**DEMO_LIMITS, **(policies or {})},
                    **settings,
                },
                file,
            )
        super().__init__([PROGRAM, "node", "--config", self.configuration], cwd=folder, env={"NO_COLOR": "1"})

    def wait_until_ready(self, seconds=60):
        """Returns itself when it has signed in and found its collaboration."""
        self.wait_for_line("the node is ready", seconds)
        return self
