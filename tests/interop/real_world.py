"""A real server with a real store, filled: for tests that are not written in Python, and to try things by hand.

    PYTHON tests/interop/real_world.py [--without-store] [--two-factor] [--smtp HOST:PORT] [--api-path PATH]
        [--port PORT] [--algorithm-view public|whitelisted|private] [--atoll]

With --atoll it is Atoll's own hub in the server's place, without that store and at its own path, so that the same
test can meet both.

PYTHON is one that has `requests`, such as that of the official client's environment. When all is up it writes one
line of JSON to standard output. It stays until its standard input is closed or it gets SIGTERM, and then ends what it
has started. What it has to say besides goes to standard error.
"""

import argparse
import json
import signal
import sys
import tempfile
from contextlib import ExitStack

from support import world
from support.processes import Atoll
from support.real_server import RealServer
from support.real_store import RealStore


# Atoll refuses weak ones.
ROOT_PASSWORD = "Coral-reef-7-keeper!"


def arguments():
    parser = argparse.ArgumentParser(description="A real vantage6 server with a real algorithm store, filled.")
    parser.add_argument("--without-store", action="store_true", help="only the server")
    parser.add_argument("--two-factor", action="store_true", help="signing in takes a second factor, still to set up")
    parser.add_argument("--smtp", metavar="HOST:PORT", help="where the server mails its recovery tokens")
    parser.add_argument("--api-path", default="/api", help="of the server (default: /api)")
    parser.add_argument("--port", type=int, help="of the server (default: a free one)")
    parser.add_argument("--atoll", action="store_true", help="Atoll's own hub in the server's place")
    parser.add_argument("--algorithm-view", choices=["public", "whitelisted", "private"], help="who sees algorithms")
    return parser.parse_args()


def smtp_settings(address):
    """The server's settings for a mail server that neither encrypts nor asks who is there."""
    host, _, port = address.rpartition(":")
    return {"server": host or "127.0.0.1", "port": int(port), "username": "", "password": "", "MAIL_USE_TLS": False}


class AtollHub(Atoll):
    """Atoll's hub with the settings of the real server that are used here."""

    def __init__(self, folder, port=None, two_factor_auth=False, smtp=None):
        arguments = ["--listen", f"127.0.0.1:{port or 0}"]
        arguments += ["--two-factor"] if two_factor_auth else []
        arguments += ["--smtp", f"smtp://{smtp['server']}:{smtp['port']}"] if smtp else []
        super().__init__(folder, *arguments, env={"ATOLL_ROOT_PASSWORD": ROOT_PASSWORD})
        self.origin, self.url = self.url, f"{self.url}/api"

    def wait_until_up(self):
        return self


def start_atoll(options, folder, stack):
    """As start, with Atoll's own hub."""
    settings = {"smtp": smtp_settings(options.smtp)} if options.smtp else {}
    hub = started(stack, AtollHub(folder, options.port, **settings))
    filled = world.fill(hub.url, ROOT_PASSWORD)
    if options.two_factor:
        hub.stop()
        hub = started(stack, AtollHub(folder, hub.port, two_factor_auth=True, **settings))
    return {
        "url": hub.url,
        "origin": hub.origin,
        "api_path": "/api",
        "root": {"username": "root", "password": ROOT_PASSWORD},
        **filled,
        "store": None,
        "processes": {"server": hub.child.pid, "store": None},
        "folder": folder,
    }


def start(options, folder, stack):
    """Starts and fills everything; returns what the line of JSON says."""
    if options.atoll:
        return start_atoll(options, folder, stack)
    settings = {"beside_store": not options.without_store}
    if options.smtp:
        settings["smtp"] = smtp_settings(options.smtp)
    server = started(stack, RealServer(folder, options.port, options.api_path, **settings))
    store = None
    if not options.without_store:
        policies = {"algorithm_view": options.algorithm_view} if options.algorithm_view else {}
        store = started(stack, RealStore(folder, server.url, policies=policies))
    server.wait_until_up()
    filled = world.fill(server.url)
    linked = None
    if store:
        store.wait_until_up()
        linked = world.link_store(server.url, store.url, filled["collaboration"]["id"])
        linked["url"] = store.url
    if options.two_factor:
        # Only now, so that nobody has set it up yet.
        server.stop()
        server = RealServer(folder, server.port, options.api_path, two_factor_auth=True, **settings)
        started(stack, server).wait_until_up()
    return {
        "url": server.url,
        "origin": server.origin,
        "api_path": options.api_path,
        "root": {"username": "root", "password": "root"},
        **filled,
        "store": linked,
        # Each is the leader of a process group of its own.
        "processes": {"server": server.child.pid, "store": store.child.pid if store else None},
        "folder": folder,
    }


def started(stack, process):
    """The same process, which will be ended with the others."""
    stack.callback(process.stop)
    return process


def ended(*_):
    raise SystemExit(0)


def main():
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, ended)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="atoll-real-world-"))
        try:
            print(json.dumps(start(options, folder, stack)), flush=True)
            sys.stdin.read()
        finally:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
