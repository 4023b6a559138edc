"""Started by uwsgi in the environment of vantage6-server: the application that CONFIG configures."""

import enum
import os
import sys

if sys.version_info >= (3, 11):
    # There format() of an enumeration of texts gives its name; this version of vantage6 counts on its value.
    enum.Enum.__format__ = lambda self, spec: format(self.value if isinstance(self, (str, int)) else str(self), spec)

from vantage6.server import run_server  # noqa: E402

app = run_server(os.environ["CONFIG"], system_folders=False).app
