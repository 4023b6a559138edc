"""The real vantage6 algorithm store, from PyPI, under uwsgi as in production."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from support.processes import Process, free_port, python_of, wait_until
from support.real_server import LOGGING


class RealStore(Process):
    """vantage6-algorithm-store 4.15.2 with its own SQLite file; root of the server at `server_url` is its root.

    `policies` are the store's own, such as {"algorithm_view": "private"}; what is not given is as the store has it.
    """

    def __init__(self, folder, server_url, port=None, api_path="/api", policies=None, **settings):
        folder = Path(folder)
        self.port = port or free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = self.origin + api_path
        config = folder / "store.yaml"
        # YAML reads JSON.
        config.write_text(
            json.dumps(
                {
                    "description": "for tests",
                    "ip": "127.0.0.1",
                    "port": self.port,
                    "api_path": api_path,
                    "uri": f"sqlite:///{folder}/store.sqlite",
                    "allow_drop_all": False,
                    # Without allow_localhost it refuses a server on loopback, without host_uri it never calls one.
                    "policies": {"allow_localhost": True, **(policies or {})},
                    "dev": {"host_uri": "127.0.0.1"},
                    "root_user": {
                        "v6_server_uri": server_url,
                        "username": "root",
                        "email": "root@example.org",
                        "organization_id": 1,
                    },
                    # Without it the log goes to a folder of the machine.
                    "directories": {"log": str(folder), "data": str(folder)},
                    "logging": {**LOGGING, "file": "store.log"},
                    **settings,
                }
            )
        )
        uwsgi = python_of("store-4.15.2").parent / "uwsgi"
        options = "--gevent 1000 --http-websockets --http-keepalive --post-buffering 0 --master"
        super().__init__(
            [
                uwsgi,
                "--http",
                f"127.0.0.1:{self.port}",
                *options.split(),
                "--die-on-term",
                "--callable",
                "app",
                "--disable-logging",
                "--wsgi-file",
                Path(__file__).parent / "run_store.py",
            ],
            cwd=folder,
            env={"CONFIG": str(config)},
        )

    def wait_until_up(self):
        """Returns itself when it answers (some 10 s)."""

        def answers():
            if self.child.poll() is not None:
                raise AssertionError(f"the store ended:\n{self.output()}")
            try:
                return urllib.request.urlopen(f"{self.url}/version", timeout=2).status == 200
            except (urllib.error.URLError, OSError):
                return False

        wait_until(answers, "the real store", 120)
        return self
