"""The real vantage6 server, from PyPI, under uwsgi as in production."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from support.processes import Process, free_port, python_of, wait_until

LOGGING = {
    "level": "INFO",
    "use_console": True,
    "file": "server.log",
    "backup_count": 1,
    "max_size": 1024,
    "format": "%(asctime)s - %(name)-14s - %(levelname)-8s - %(message)s",
    "datefmt": "%Y-%m-%d %H:%M:%S",
    "loggers": [],
}


class RealServer(Process):
    """vantage6-server 4.15.2 with its own SQLite file; has a user root with the password root.

    `beside_store` makes it ready for a store on loopback: it knows its own address, which the official client does
    not tell it with a task, and does not take every error of such a store for one that it cannot reach.
    """

    def __init__(self, folder, port=None, api_path="/api", beside_store=False, **settings):
        folder = Path(folder)
        self.port = port or free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = self.origin + api_path
        if beside_store:
            settings = {"server_url": self.url, "dev": {"host_uri": "127.0.0.1"}, **settings}
        config = folder / "server.yaml"
        # YAML reads JSON.
        config.write_text(
            json.dumps(
                {
                    "description": "for tests",
                    "ip": "127.0.0.1",
                    "port": self.port,
                    "api_path": api_path,
                    "uri": f"sqlite:///{folder}/server.sqlite",
                    "allow_drop_all": False,
                    "jwt_secret_key": "only-for-tests-on-loopback-0123456789",
                    "token_expires_hours": 6,
                    # Without it the log goes to a folder of the machine.
                    "directories": {"log": str(folder), "data": str(folder)},
                    "logging": LOGGING,
                    **settings,
                }
            )
        )
        uwsgi = python_of("server-4.15.2").parent / "uwsgi"
        options = "--gevent 1000 --http-websockets --http-chunked-input --http-keepalive --post-buffering 0 --master"
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
                Path(__file__).parent / "run_server.py",
            ],
            cwd=folder,
            env={"CONFIG": str(config)},
        )

    def wait_until_up(self):
        """Returns itself when it answers (some 20 s)."""

        def answers():
            if self.child.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.output()}")
            try:
                return urllib.request.urlopen(f"{self.url}/version", timeout=2).status == 200
            except (urllib.error.URLError, OSError):
                return False

        wait_until(answers, "the real server", 120)
        return self
