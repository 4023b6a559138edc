"""What a client and a server said to each other, in a form in which two servers can be compared."""

import re
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests


@dataclass
class Exchange:
    """One request with its answer."""

    step: str
    request: str
    status: int
    body: object
    total: str | None = None

    def shape(self):
        """Paths of the answer with the kinds of value found there, such as `data[].name` with {"text"}."""
        kinds = {}
        _collect(self.body, "", kinds)
        return kinds

    def message(self):
        """The message, without the numbers that differ from server to server."""
        message = self.body.get("msg") if isinstance(self.body, dict) else None
        return None if message is None else re.sub(r"\d+", "N", str(message))


def _kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?", value):
            return "time with zone" if re.search(r"([+-]\d\d:\d\d|Z)$", value) else "time"
        return "address" if re.fullmatch(r"/[\w/]+(\?\S*)?", value) else "text"
    return "list" if isinstance(value, list) else "object"


def _collect(value, path, kinds):
    kinds.setdefault(path or "body", set()).add(_kind(value))
    if isinstance(value, dict):
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else key, kinds)
    elif isinstance(value, list):
        for item in value:
            _collect(item, f"{path}[]", kinds)


@dataclass
class Recorder:
    """Notes every request that the client makes, by the step in which it makes it."""

    base: str
    exchanges: list = field(default_factory=list)
    current: str = "outside"

    @contextmanager
    def watching(self):
        """While this lasts, requests to the server are noted."""
        original = requests.Session.request

        def noted(session, method, url, **options):
            response = original(session, method, url, **options)
            if url.startswith(self.base):
                self.note(method, url[len(self.base) :], response)
            return response

        requests.Session.request = noted
        try:
            yield self
        finally:
            requests.Session.request = original

    def pause(self, action):
        """Does something that is not noted."""
        noted = list(self.exchanges)
        action()
        self.exchanges[:] = noted

    def note(self, method, path, response):
        try:
            body = response.json()
        except ValueError:
            body = response.text
        request = f"{method.upper()} {re.sub(r'[0-9]+', 'N', path)}"
        total = response.headers.get("total-count")
        self.exchanges.append(Exchange(self.current, request, response.status_code, body, total))

    @contextmanager
    def step(self, name):
        """Names what is done."""
        self.current = name
        try:
            yield
        finally:
            self.current = "outside"
