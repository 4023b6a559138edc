"""Started by uwsgi in the environment of vantage6-server: the application that CONFIG configures."""

import enum
import os
import sys

if sys.version_info >= (3, 11):
    # There format() of an enumeration of texts gives its name; this version of vantage6 counts on its value.
    enum.Enum.__format__ = lambda self, spec: format(self.value if isinstance(self, (str, int)) else str(self), spec)

from jinja2 import DictLoader  # noqa: E402
from vantage6.server import run_server  # noqa: E402

app = run_server(os.environ["CONFIG"], system_folders=False).app

# The package leaves out the templates of its mails. What matters is that the token stands on a line of its own.
TEXT = "Dear {{firstname}},\n\nTo reset your {{reset_type}} use this token:\n\n{{token}}\n"
app.jinja_loader = DictLoader(
    {
        "mail/reset_token.txt": TEXT,
        "mail/reset_token.html": "<p>Dear {{firstname}},</p><p>to reset your {{reset_type}} use:</p><p>{{token}}</p>",
        "mail/blocked_account.txt": "Your account is blocked for {{time_remaining}} minutes.\n",
        "mail/blocked_account.html": "<p>Your account is blocked for {{time_remaining}} minutes.</p>",
    }
)
