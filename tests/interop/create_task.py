"""The official client creates a task of the averaging image at a server: for tests that are not written in Python.

    PYTHON tests/interop/create_task.py ORIGIN API_PATH USERNAME PASSWORD COLLABORATION ORGANIZATION [INCLUDED ...]

ORGANIZATION aggregates the data of those INCLUDED; all by their ids. Writes the task's id to standard output.
"""

import sys

from vantage6.client import Client


def main():
    origin, api_path, username, password, collaboration, organization, *included = sys.argv[1:]
    host, port = origin.rsplit(":", 1)
    client = Client(host, int(port), api_path, log_level="warn")
    client.authenticate(username, password)
    client.setup_encryption(None)
    arguments = {"column_name": "age", "organizations_to_include": [int(number) for number in included]}
    task = client.task.create(
        collaboration=int(collaboration),
        organizations=[int(organization)],
        name="By the official client",
        image="harbor2.vantage6.ai/demo/average",
        description="",
        input_={"method": "central_average", "kwargs": arguments},
        databases=[{"label": "default"}],
    )
    print(task["id"])


if __name__ == "__main__":
    main()
