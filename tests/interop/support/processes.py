"""Processes under test: on loopback, on free ports, in folders of their own, ended by their id."""

import os
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(os.environ.get("ATOLL_PROGRAM", ROOT / "target/release/atoll"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "atoll/python"


def python_of(environment):
    """The Python of a component's own virtual environment, which tools/interop.sh makes."""
    python = CACHE / environment / "bin/python"
    if not python.exists():
        raise RuntimeError(f"{python} is missing: run tools/interop.sh setup (make test-interop does)")
    return python


# Below those that systems give to connections: such a port, free now, may be somebody's when the server starts.
PORTS = range(20_000, 32_000)


def free_port():
    """A port of loopback that nobody listens on, and that no connection gets."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


def wait_until(condition, what, seconds=60):
    """What the condition returns as soon as that is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


class Process:
    """A child process in a process group of its own; its output is kept to be shown when a test fails."""

    def __init__(self, command, **options):
        environment = {**os.environ, **options.pop("env", {})}
        self.lines = []
        self.child = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line)

    def output(self):
        """All that it has written."""
        return "".join(self.lines)

    def wait_for_line(self, text, seconds=60):
        """The first line that holds a text."""

        def found():
            line = next((line for line in list(self.lines) if text in line), None)
            if line is None and self.child.poll() is not None:
                raise AssertionError(f"{self.child.args[0]} ended with {self.child.returncode}:\n{self.output()}")
            return line

        try:
            return wait_until(found, f"{text!r}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    def kill(self):
        """Ends it at once, as a power failure would."""
        self._signal(signal.SIGKILL)

    def stop(self):
        """Asks it to end, and makes it after a while."""
        self._signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.child.wait()

    def _signal(self, number):
        if self.child.poll() is None:
            os.killpg(self.child.pid, number)


class Atoll(Process):
    """`atoll serve`; `url` is its address, `port` its port."""

    def __init__(self, data, *arguments, env=None):
        command = [PROGRAM, "serve", "--data", data, "--site", ROOT / "target/site"]
        if "--listen" not in arguments:
            command += ["--listen", "127.0.0.1:0"]
        super().__init__([*command, *arguments], env=env or {}, cwd=data)
        try:
            self.url = self.wait_for_line("Atoll is at ").split()[-1].rstrip("/")
        except AssertionError:
            self.stop()
            raise
        self.port = int(self.url.rsplit(":", 1)[1])
