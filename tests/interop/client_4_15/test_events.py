"""Socket.IO events, heard by the library with which Python programs listen: the same from Atoll's hub and from the
real server."""

import shutil
from uuid import uuid4

import pytest
import socketio
from support import world
from support.atoll_node import AtollNode
from support.processes import ROOT, Atoll, wait_until
from support.real_server import RealServer
from vantage6.client import Client

ROOT_PASSWORD = "Coral-reef-7-keeper!"
IMAGE = "harbor2.vantage6.ai/demo/average"
PRESENCE = {"id", "name", "org_id"}
# Event and the keys of its argument.
EXPECTED = {
    "node-online": PRESENCE,
    "node-offline": PRESENCE,
    "new_task": {"id", "parent_id"},
    "algorithm_status_change": {
        "status",
        "run_id",
        "task_id",
        "job_id",
        "collaboration_id",
        "node_id",
        "organization_id",
        "parent_id",
    },
    "algorithm_log": {"run_id", "task_id", "log"},
    "status_update": {"run_id"},
    "kill_containers": {"kill_list", "collaboration_id"},
}


class Place:
    """A server with the world of the demo, and nodes of Atoll that are started at it."""

    def __init__(self, folder, server, origin, root_password):
        self.folder, self.server, self.origin = folder, server, origin
        self.filled = world.fill(f"{origin}/api", root_password)
        self.root = world.Account(f"{origin}/api", "root", root_password)

    def node(self, organization):
        folder = self.folder / organization
        if not folder.exists():
            shutil.copytree(ROOT / "demo/data" / organization, folder)
        key = self.filled["api_keys"][organization]
        return AtollNode(folder, self.origin, key, {"default": "default.csv"}).wait_until_ready()

    def somebody_with_little_to_hear(self):
        """The name of a new user of organization 3, who may hear what concerns that organization only."""
        organization = self.filled["organizations"]["example_org3"]
        rules = self.root.get("/rule", no_pagination=1)["data"]
        heard = {"name": "event", "scope": "ORG", "operation": "RECEIVE"}
        (rule,) = [
            rule["id"]
            for rule in rules
            if all(str(rule[key]).lower().startswith(value.lower()) for key, value in heard.items())
        ]
        name = f"listener-{uuid4().hex}"
        role = self.root.post("/role", name=name, description="", rules=[rule], organization_id=organization)
        self.root.post(
            "/user",
            username=name,
            password=world.PASSWORD,
            firstname="",
            lastname="",
            email=f"{name}@example.org",
            organization_id=organization,
            roles=[role["id"]],
            rules=[],
        )
        return name

    def client(self, username):
        host, port = self.origin.rsplit(":", 1)
        client = Client(host, int(port), "/api", log_level="warn")
        client.authenticate(username, world.PASSWORD)
        client.setup_encryption(None)
        return client

    def create(self, client, organization):
        task = client.task.create(
            organizations=[self.filled["organizations"][organization]],
            collaboration=self.filled["collaboration"]["id"],
            name="events",
            image=IMAGE,
            description="",
            input_={"method": "partial_average", "kwargs": {"column_name": "age"}},
            databases=[{"label": "default"}],
        )
        return task["id"]

    def output(self):
        return self.server.output()


class Listener:
    """Notes what arrives for somebody, in order."""

    def __init__(self, origin, token, transport="websocket"):
        self.events = []
        self.connection = socketio.Client(reconnection=False)
        self.connection.on("*", self._note, namespace="/tasks")
        headers = {"Authorization": f"Bearer {token}"}
        self.connection.connect(origin, headers=headers, namespaces=["/tasks"], transports=[transport], wait_timeout=20)

    def _note(self, name, *arguments):
        self.events.append((name, arguments))

    def named(self, name):
        return [arguments[0] for event, arguments in self.events if event == name]

    def wait_for(self, name, condition=lambda _: True):
        return wait_until(lambda: [argument for argument in self.named(name) if condition(argument)], name, 60)[0]


@pytest.fixture(scope="module", params=["hub", "server"])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "server").mkdir()
    if request.param == "hub":
        server = Atoll(folder / "server", env={"ATOLL_ROOT_PASSWORD": ROOT_PASSWORD})
        place = Place(folder, server, server.url, ROOT_PASSWORD)
    else:
        server = RealServer(folder / "server").wait_until_up()
        place = Place(folder, server, server.origin, "root")
    yield place
    server.stop()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_all_that_happens_is_told_to_who_may_hear_it(place, transport):
    manager = place.client("manager")
    everything = Listener(place.origin, manager.token, transport)
    # May hear of nodes of the own organization only.
    little = Listener(place.origin, place.client(place.somebody_with_little_to_hear()).token, transport)
    node = place.node("example_org3")
    node_id = everything.wait_for("node-online")["id"]
    task_id = place.create(manager, "example_org3")
    assert everything.wait_for("new_task") == {"id": task_id, "parent_id": None}
    ended = everything.wait_for("algorithm_status_change", lambda change: change["status"] == "completed")
    assert (ended["task_id"], ended["node_id"], ended["parent_id"]) == (task_id, node_id, None)
    assert everything.named("algorithm_status_change")[0]["status"] == "active"
    run_id = ended["run_id"]
    assert {"run_id": run_id} in everything.named("status_update")
    lines = "".join(log["log"] for log in everything.named("algorithm_log") if log["run_id"] == run_id)
    assert 'Started function "partial_average"' in lines
    # Its node is off.
    waiting = place.create(manager, "example_org1")
    manager.task.kill(waiting)
    kill = everything.wait_for("kill_containers")
    assert [entry["task_id"] for entry in kill["kill_list"]] == [waiting]
    node.stop()
    assert everything.wait_for("node-offline")["id"] == node_id
    little.wait_for("node-offline")
    heard = {name for name, _ in little.events} - {"message"}
    assert heard == {"node-online", "node-offline"}, little.events
    for name, keys in EXPECTED.items():
        for argument in everything.named(name):
            assert set(argument) == keys, f"{name}: {argument}"
    assert {name for name, _ in everything.events} - {"message"} == set(EXPECTED)
    everything.connection.disconnect()
    little.connection.disconnect()


def test_a_token_that_is_not_good_is_told_and_hears_nothing(place):
    manager = place.client("manager")
    # Signed by somebody else.
    head, claims, signature = manager.token.split(".")
    # By polling, as clients begin: over a WebSocket Atoll refuses it at once.
    listener = Listener(place.origin, f"{head}.{claims}.{signature[::-1]}", "polling")
    # An event without an argument.
    wait_until(lambda: ("invalid_token", ()) in listener.events, "invalid_token")
    # Of the same collaboration, as the others have proved.
    heard = Listener(place.origin, manager.token)
    place.create(manager, "example_org2")
    heard.wait_for("new_task")
    assert [name for name, _ in listener.events] == ["invalid_token"]
    heard.connection.disconnect()
    listener.connection.disconnect()
