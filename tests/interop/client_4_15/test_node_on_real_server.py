"""Atoll's data stations at the real vantage6 server, driven by the official client.

One node stays up all the time, one is stopped and started, and one is mostly away, so that others wait for it.
"""

import csv
import json
import re
import shutil
import stat
import subprocess
import time

import pytest
import requests
from support import world
from support.atoll_node import AtollNode
from support.processes import PROGRAM, ROOT, python_of, wait_until
from support.real_server import RealServer
from vantage6.client import Client

STEADY, RESTARTED, AWAY = "example_org2", "example_org1", "example_org3"
LABELS = ["default", "my_other_database"]
COLUMN = "age"
IMAGE = "harbor2.vantage6.ai/demo/average"
OTHER_IMAGE = "harbor2.vantage6.ai/demo/other"
# An algorithm that a command of the node's machine runs, with the official tools as in a container.
COUNT_IMAGE = "example.org/count-above:1"
COUNT_ABOVE = {
    "image": COUNT_IMAGE,
    "command": [
        str(python_of("node-4.15.2")),
        "-c",
        "from vantage6.algorithm.tools.wrap import wrap_algorithm; wrap_algorithm()",
    ],
    "code": [str(ROOT / "tests/interop/algorithms/count_above.py")],
    "environment": {"PKG_NAME": "count_above", "PYTHONPATH": str(ROOT / "tests/interop/algorithms")},
}
# The server tells its log of each event that it gets and sends.
TALKATIVE = {"debug": {"socketio": True}}


def rows(organization, label="default"):
    """The rows of one of the demo's files."""
    with open(ROOT / "demo/data" / organization / f"{label}.csv", newline="") as file:
        return list(csv.DictReader(file))


def part(*organizations, label="default"):
    """Sum and count of the column, over all these organizations."""
    values = [int(row[COLUMN]) for name in organizations for row in rows(name, label) if row[COLUMN]]
    return {"sum": sum(values), "count": len(values)}


def average(*organizations):
    total = part(*organizations)
    return {"average": total["sum"] / total["count"]}


class Federation:
    """A real server with its world, and the nodes that were started at it."""

    def __init__(self, folder, api_path="/api", **settings):
        self.folder, self.api_path, self.settings = folder, api_path, settings
        self.nodes, self.ended = {}, []
        (folder / "server").mkdir()
        self.server = RealServer(folder / "server", api_path=api_path, **settings)

    def fill(self):
        """Returns itself when the server is up and has organizations, users and nodes."""
        self.server.wait_until_up()
        filled = world.fill(self.server.url)
        self.ids, self.collaboration = filled["organizations"], filled["collaboration"]["id"]
        self.api_keys = filled["api_keys"]
        self.client = self.sign_in("researcher", filled["password"])
        # Here a researcher may create tasks but stop none.
        self.manager = self.sign_in("manager", filled["password"])
        return self

    def sign_in(self, username, password):
        client = Client("http://127.0.0.1", self.server.port, self.api_path, log_level="warn")
        client.authenticate(username, password)
        client.setup_encryption(None)
        return client

    def start(self, *organizations, **settings):
        """Starts the nodes of these organizations, except those that are up, and waits until they are online."""
        settings = {"algorithms": [COUNT_ABOVE], "policies": {"smallest_cell": 2}, **settings}
        for name in organizations:
            if name in self.nodes:
                continue
            folder = self.folder / name
            if not folder.exists():
                shutil.copytree(ROOT / "demo/data" / name, folder)
            databases = {label: f"{label}.csv" for label in LABELS}
            self.nodes[name] = AtollNode(
                folder, self.server.origin, self.api_keys[name], databases, self.api_path, **settings
            )
        for name in organizations:
            self.nodes[name].wait_until_ready()
            self.wait_until(name, "online")
            # It has been told by the server to share what it has.
            wait_until(lambda: self.station(name)["config"], f"the configuration of the node of {name}")
        return [self.nodes[name] for name in organizations]

    def stop(self, *organizations):
        """Stops the nodes of these organizations, as far as they are up, and waits until they are offline."""
        for name in organizations:
            if name in self.nodes:
                self._end(name).stop()
            self.wait_until(name, "offline")

    def kill(self, organization):
        """Ends a node as a power failure would, and waits until it is offline."""
        node = self._end(organization)
        node.kill()
        node.child.wait()
        self.wait_until(organization, "offline")

    def _end(self, organization):
        node = self.nodes.pop(organization)
        self.ended.append(node)
        return node

    def station(self, organization):
        """What the server says of the node of an organization."""
        nodes = self.client.node.list(organization=self.ids[organization])["data"]
        assert len(nodes) == 1
        return nodes[0]

    def wait_until(self, organization, status):
        def is_so():
            # A node that was never there has no status.
            return (self.station(organization)["status"] or "offline") == status

        # The server gives a silent connection up after 85 s.
        wait_until(is_so, f"the node of {organization} is {status}", 120)

    def stop_server(self):
        self.server.stop()

    def start_server(self):
        """Starts the server again, with its database and at its port."""
        self.server = RealServer(self.folder / "server", self.server.port, self.api_path, **self.settings)
        self.server.wait_until_up()

    def create(self, method, *organizations, image=IMAGE, database="default", **arguments):
        """Creates a task; returns its id."""
        task = self.client.task.create(
            organizations=[self.ids[name] for name in organizations],
            collaboration=self.collaboration,
            name=method,
            image=image,
            description="",
            input_={"method": method, "kwargs": {"column_name": COLUMN, **arguments}},
            databases=[{"label": database}],
        )
        assert "id" in task, task
        return task["id"]

    def create_central(self, organization, *included):
        ids = [self.ids[name] for name in included]
        return self.create("central_average", organization, organizations_to_include=ids)

    def runs(self, task_id):
        """The runs of a task by the names of their organizations."""
        names = {number: name for name, number in self.ids.items()}
        return {names[run["organization"]["id"]]: run for run in self.client.run.from_task(task_id)["data"]}

    def run(self, task_id):
        """The one run of a task."""
        (run,) = self.runs(task_id).values()
        return run

    def finished(self, task_id):
        """The runs of a task when all have ended."""

        def ended():
            runs = self.runs(task_id)
            return runs if all(run["finished_at"] for run in runs.values()) else None

        return wait_until(ended, f"task {task_id} ends", 120)

    def completed(self, task_id):
        """The results of a task, in the order of their organizations, when all of its runs have completed."""
        for name, run in self.finished(task_id).items():
            assert run["status"] == "completed", f"{name}: {run['status']}: {run['log']}"
        results = self.client.result.from_task(task_id)["data"]
        return [json.loads(result["result"]) for result in sorted(results, key=lambda result: result["run"]["id"])]

    def failed(self, task_id):
        """The one run of a task when it has ended; it must have no result."""
        (run,) = self.finished(task_id).values()
        assert [result["result"] for result in self.client.result.from_task(task_id)["data"]] == [None]
        return run

    def subtasks(self, task_id):
        return self.client.task.list(parent=task_id)["data"]

    def waiting_for_subtask(self, task_id, *done):
        """The subtask of a central run, when its log tells of it and these organizations have done their part."""

        def created():
            log = self.run(task_id)["log"] or ""
            return [task for task in self.subtasks(task_id) if f"Created subtask {task['id']} at " in log]

        (subtask,) = wait_until(created, f"task {task_id} has its subtask", 120)

        def parts_are_done():
            runs = self.runs(subtask["id"])
            return all(runs[name]["status"] == "completed" for name in done)

        wait_until(parts_are_done, f"subtask {subtask['id']} is done at {done}", 120)
        assert self.run(task_id)["finished_at"] is None
        return subtask["id"]

    def output(self):
        """The last that the server and the nodes have written."""
        nodes = [*self.ended, *self.nodes.values()]
        return "\n".join(process.output()[-2000:] for process in [self.server, *nodes])

    def end(self):
        for process in [*self.nodes.values(), self.server]:
            process.stop()


@pytest.fixture(scope="module")
def federations(tmp_path_factory):
    """Two servers, of which one has its API under another path. They start together since that takes long."""
    usual = Federation(tmp_path_factory.mktemp("usual"), **TALKATIVE)
    other = Federation(tmp_path_factory.mktemp("other"), api_path="/some/api")
    try:
        yield usual.fill(), other.fill()
    finally:
        other.end()
        usual.end()


@pytest.fixture(scope="module")
def federation(federations):
    return federations[0]


# What a node of the demo's configuration says at its start about itself.
TOLD_AT_START = (
    "the disclosure limits of this node are weaker than usual",
    "functions may use columns that identify people",
    "nothing says who the rows are about",
)


def trouble(node):
    """The warnings and errors among the lines of a node, but for what it says about its configuration."""
    lines = [line for line in list(node.lines) if re.search(r"\b(WARN|ERROR)\b|panicked", line)]
    return [line for line in lines if not any(text in line for text in TOLD_AT_START)]


def unchanged(before, after):
    """Whether nothing has happened to the runs of a task since."""
    keys = ("status", "assigned_at", "started_at", "finished_at", "log")
    return before.keys() == after.keys() and all(
        before[name][key] == after[name][key] for name in before for key in keys
    )


def test_a_node_goes_online_and_tells_what_it_has(federation):
    assert federation.station(STEADY)["status"] != "online"
    (node,) = federation.start(STEADY)
    assert stat.S_IMODE(node.configuration.stat().st_mode) == 0o600
    station = federation.client.node.get(federation.station(STEADY)["id"])
    assert station["status"] == "online" and station["last_seen"]
    config = [(item["key"], item["value"]) for item in station["config"]]
    assert [value for key, value in config if key == "database_labels"] == LABELS
    assert [value.lower() for key, value in config if key == "encryption"] in (["false"], ["0"])
    assert ("allowed_algorithms", "all") in config
    assert not [key for key, _ in config if key in ("allowed_users", "allowed_orgs")]
    for label in LABELS:
        assert ("db_type_" + label, "csv") in config
        columns = [value for key, value in config if key == "columns_" + label]
        assert columns == list(rows(STEADY, label)[0])
    assert all(text in node.output() for text in TOLD_AT_START)
    assert trouble(node) == []


def test_its_policies_are_shared_unless_it_keeps_them_to_itself(federation):
    policies = {"allowed_algorithms": [IMAGE, "^example\\.org/"], "allowed_users": [2], "allowed_organizations": [3]}
    federation.start(AWAY, policies=policies)
    config = [(item["key"], item["value"]) for item in federation.station(AWAY)["config"]]
    assert [value for key, value in config if key == "allowed_algorithms"] == policies["allowed_algorithms"]
    assert ("allowed_users", "2") in config and ("allowed_orgs", "3") in config
    federation.stop(AWAY)
    # What a node has told is forgotten when it goes.
    assert federation.station(AWAY)["config"] == []


def test_parts_are_computed_at_two_organizations(federation):
    federation.start(RESTARTED, STEADY)
    task_id = federation.create("partial_average", RESTARTED, STEADY)
    assert federation.completed(task_id) == [{"sum": 253, "count": 4}, {"sum": 173, "count": 4}]
    assert federation.client.task.get(task_id)["status"] == "completed"
    answer = federation.client.wait_for_results(task_id)
    assert sorted(json.loads(item["result"])["sum"] for item in answer["data"]) == [173, 253]
    for run in federation.runs(task_id).values():
        assert run["assigned_at"] <= run["started_at"] <= run["finished_at"]


def test_another_database_can_be_asked_for(federation):
    federation.start(STEADY)
    task_id = federation.create("partial_average", STEADY, database="my_other_database")
    assert federation.completed(task_id) == [part(STEADY, label="my_other_database")]


def test_an_algorithm_of_the_official_tools_runs_by_command_and_is_given_the_disclosure_limits(federation):
    federation.start(RESTARTED, STEADY)
    ages = {name: sorted(int(row[COLUMN]) for row in rows(name) if row[COLUMN]) for name in (RESTARTED, STEADY)}
    # One person of one organization is above it, which nobody tells.
    above = ages[STEADY][-2]
    told = sum(age > above for age in ages[RESTARTED])
    assert ages[STEADY][-1] > above and told >= 2, ages
    task_id = federation.create(
        "central_count_above",
        RESTARTED,
        image=COUNT_IMAGE,
        above=above,
        organizations=[federation.ids[RESTARTED], federation.ids[STEADY]],
    )
    assert federation.completed(task_id) == [{"count": told, "organizations_that_suppress": 1}]
    (subtask,) = federation.subtasks(task_id)
    logs = [run["log"] for run in federation.runs(subtask["id"]).values()]
    assert all("counted with smallest cell 2" in log for log in logs), logs


def test_an_average_is_made_by_a_subtask_of_the_node(federation):
    federation.start(RESTARTED, STEADY)
    # At an organization that is not the user's.
    task_id = federation.create_central(STEADY, RESTARTED, STEADY)
    assert federation.completed(task_id) == [{"average": 53.25}]
    (subtask,) = federation.subtasks(task_id)
    assert subtask["status"] == "completed"
    # It was made with the token of the container and not by the user.
    assert subtask["init_org"]["id"] == federation.ids[STEADY]
    task = federation.client.task.get(task_id)
    assert subtask["image"] == task["image"] == IMAGE and subtask["job_id"] == task["job_id"]
    assert federation.completed(subtask["id"]) == [{"sum": 253, "count": 4}, {"sum": 173, "count": 4}]


def test_a_run_that_fails_says_why(federation):
    federation.start(STEADY)
    run = federation.failed(federation.create("partial_average", STEADY, column_name="no such column"))
    assert run["status"] == "crashed"
    assert 'there is no column "no such column"' in run["log"]
    run = federation.failed(federation.create("no_such_function", STEADY))
    assert run["status"] == "crashed"
    assert 'the image has no function "no_such_function"' in run["log"]
    run = federation.failed(federation.create("partial_average", STEADY, database="no_such_database"))
    assert run["status"] == "start failed"
    assert 'this node has no database "no_such_database"' in run["log"]


def test_a_part_that_fails_fails_the_whole(federation):
    federation.start(RESTARTED, STEADY)
    ids = [federation.ids[name] for name in (RESTARTED, STEADY)]
    run = federation.failed(
        federation.create("central_average", STEADY, column_name="no such column", organizations_to_include=ids)
    )
    assert run["status"] == "crashed"
    assert re.search(r"the subtask failed at example_org[12]: crashed", run["log"])


def test_an_image_that_the_node_does_not_have_is_told(federation):
    federation.start(STEADY)
    run = federation.failed(federation.create("partial_average", STEADY, image=OTHER_IMAGE))
    assert run["status"] == "non-existing Docker image"
    assert f'this node has no image "{OTHER_IMAGE}"' in run["log"]


def test_an_image_that_the_node_does_not_allow_is_refused(federation):
    federation.stop(AWAY)
    federation.start(AWAY, policies={"allowed_algorithms": [IMAGE]})
    run = federation.failed(federation.create("partial_average", AWAY, image=OTHER_IMAGE))
    assert run["status"] == "not allowed"
    assert f'"{OTHER_IMAGE}" is not one of those it allows' in run["log"]
    assert federation.completed(federation.create("partial_average", AWAY)) == [part(AWAY)]


def test_a_restarted_node_does_what_was_left_and_nothing_twice(federation):
    federation.start(RESTARTED, STEADY)
    done = federation.create("partial_average", RESTARTED, STEADY)
    federation.completed(done)
    before = federation.runs(done)
    node = federation.nodes[RESTARTED]
    federation.stop(RESTARTED)
    assert node.child.returncode == 0
    assert federation.station(RESTARTED)["config"] == []
    left = federation.create("partial_average", RESTARTED)
    assert federation.run(left)["status"] == "pending"
    (node,) = federation.start(RESTARTED)
    assert federation.completed(left) == [part(RESTARTED)]
    assert unchanged(before, federation.runs(done))
    assert f"run_id={before[RESTARTED]['id']} " not in node.output()
    assert trouble(node) == []


def test_a_node_that_was_killed_goes_on_with_its_run(federation):
    federation.start(RESTARTED, STEADY)
    federation.stop(AWAY)
    task_id = federation.create_central(RESTARTED, STEADY, AWAY)
    subtask_id = federation.waiting_for_subtask(task_id, STEADY)
    begin = time.monotonic()
    federation.kill(RESTARTED)
    # The server sees that the connection is gone; it does not have to wait for a missing ping.
    assert time.monotonic() - begin < 60
    assert federation.run(task_id)["status"] == "active"
    federation.start(RESTARTED, AWAY)
    assert federation.completed(task_id) == [average(STEADY, AWAY)]
    # It went on with the subtask that it had made before.
    assert [subtask["id"] for subtask in federation.subtasks(task_id)] == [subtask_id]


def test_nodes_come_back_after_the_server_was_away(federation):
    federation.start(RESTARTED, STEADY)
    federation.stop(AWAY)
    done = federation.create("partial_average", RESTARTED, STEADY)
    federation.completed(done)
    before = federation.runs(done)
    under_way = federation.create_central(RESTARTED, RESTARTED, STEADY, AWAY)
    federation.waiting_for_subtask(under_way, RESTARTED, STEADY)
    federation.stop_server()
    for name in (RESTARTED, STEADY):
        federation.nodes[name].wait_for_line("no connection for events")
    federation.start_server()
    for name in (RESTARTED, STEADY):
        federation.server.wait_for_line(f"Client identified as <node>: <{name} node>", 120)
        federation.wait_until(name, "online")
        wait_until(lambda: federation.station(name)["config"], f"the configuration of the node of {name}")
    new = federation.create("partial_average", RESTARTED, STEADY)
    assert federation.completed(new) == [part(RESTARTED), part(STEADY)]
    assert unchanged(before, federation.runs(done))
    # What was under way goes on.
    assert federation.run(under_way)["status"] == "active"
    federation.start(AWAY)
    assert federation.completed(under_way) == [average(RESTARTED, STEADY, AWAY)]
    assert len(federation.subtasks(under_way)) == 1
    for name in (RESTARTED, STEADY):
        assert federation.nodes[name].child.poll() is None
        assert "panicked" not in federation.nodes[name].output()


def test_a_central_function_asks_everybody_if_none_is_named(federation):
    """With a container's token a node asks only what containers may ask: here a plain researcher started it."""
    federation.start(RESTARTED, STEADY, AWAY)
    before = len(federation.server.output())
    task_id = federation.create("central_average", STEADY)
    assert federation.completed(task_id) == [average(RESTARTED, STEADY, AWAY)]
    (subtask,) = federation.subtasks(task_id)
    assert set(federation.runs(subtask["id"])) == {RESTARTED, STEADY, AWAY}
    # None of its calls was refused.
    assert "lack the permission" not in federation.server.output()[before:]
    assert "lack the permission" not in federation.run(task_id)["log"]


def test_the_api_can_be_under_another_path(federations):
    other = federations[1]
    nodes = other.start(RESTARTED, STEADY)
    task_id = other.create_central(RESTARTED, RESTARTED, STEADY)
    assert other.completed(task_id) == [{"average": 53.25}]
    assert [trouble(node) for node in nodes] == [[], []]
    other.stop(RESTARTED)


def test_the_log_is_streamed_and_then_kept_whole(federation):
    federation.start(RESTARTED, STEADY)
    federation.stop(AWAY)
    task_id = federation.create_central(STEADY, RESTARTED, STEADY, AWAY)
    federation.waiting_for_subtask(task_id, RESTARTED, STEADY)
    run = federation.run(task_id)
    assert run["status"] == "active"
    streamed = run["log"].splitlines()
    assert f'Started function "central_average" of {IMAGE}' in streamed[0]
    assert len(streamed) == 2
    # The server has passed each line on to whoever listens.
    for line in streamed:
        event = json.dumps({"run_id": run["id"], "task_id": task_id, "log": line + "\n"}, separators=(",", ":"))
        federation.server.wait_for_line(f'Sending packet MESSAGE data 2/tasks,["algorithm_log",{event}]')
    federation.start(AWAY)
    assert federation.completed(task_id) == [average(RESTARTED, STEADY, AWAY)]
    whole = federation.run(task_id)["log"].splitlines()
    # The whole log takes the place of the streamed one: no line stands there twice.
    assert whole[: len(streamed)] == streamed and len(set(whole)) == len(whole)
    assert "Aggregating 3 partial results" in whole[-1]
    (subtask,) = federation.subtasks(task_id)
    for run in federation.runs(subtask["id"]).values():
        assert 'Reading database "default"' in run["log"]
        # Another test may have asked the same of this node before.
        last = run["log"].splitlines()[-1]
        assert "The function has ended" in last or "the answer of then is given" in last


def test_a_task_is_killed_while_it_waits_for_its_subtask(federation):
    (node,) = federation.start(RESTARTED)
    federation.start(STEADY)
    federation.stop(AWAY)
    task_id = federation.create_central(RESTARTED, RESTARTED, STEADY, AWAY)
    subtask_id = federation.waiting_for_subtask(task_id, RESTARTED, STEADY)
    before = len(node.lines)
    federation.manager.task.kill(task_id)
    run = federation.finished(task_id)[RESTARTED]
    assert run["status"] == "killed by user"
    assert f"Created subtask {subtask_id} at" in run["log"]
    node.wait_for_line(f"a run was stopped run_id={run['id']}")
    parts = federation.finished(subtask_id)
    assert parts[AWAY]["status"] == "killed by user" and parts[AWAY]["started_at"] is None
    assert [parts[name]["status"] for name in (RESTARTED, STEADY)] == ["completed"] * 2
    assert federation.client.task.get(task_id)["status"] == "killed by user"
    # The node goes on with other work. It does not insist on reporting an end, and nothing is taken again.
    federation.start(AWAY)
    again = federation.create("partial_average", RESTARTED, STEADY, AWAY)
    assert federation.completed(again) == [part(name) for name in (RESTARTED, STEADY, AWAY)]
    assert unchanged({RESTARTED: run}, federation.runs(task_id))
    assert unchanged(parts, federation.runs(subtask_id))
    after = "".join(list(node.lines)[before:])
    assert not re.search(r"WARN|ERROR", after), after
    assert after.count(f"run_id={run['id']}") == 1, after


def test_a_node_stays_online_by_its_pings(federation):
    """Slow: takes the rest of the minute since the node was started."""
    (node,) = federation.start(STEADY)
    before = len(trouble(node))
    lines = list(federation.server.lines)
    (joined,) = [line for line in lines if f"Client identified as <node>: <{STEADY} node>" in line]
    # The line before it says which connection that is.
    session = re.findall(r'Client connected: "(\S+)"', "".join(lines[: lines.index(joined)]))[-1]

    def pings():
        text = "".join(federation.server.lines)
        found = re.findall(r'socketio\.server .* received event "ping" from (\S+) ', text)
        return found.count(session) >= 2

    # One at the beginning, and one after a minute.
    wait_until(pings, "the second ping", 120)
    assert federation.station(STEADY)["status"] == "online"
    assert trouble(node)[before:] == []
    # Neither these nor anything else that nodes have said so far made the server fail.
    assert "Traceback" not in federation.server.output()


def reviews(node, action, *arguments, succeeds=True):
    """What `atoll node reviews` prints on the node's machine."""
    who = [] if action in ("list", "show") else ["--as", "dana"]
    command = [PROGRAM, "node", "reviews", action, *map(str, arguments), *who, "--config", node.configuration]
    done = subprocess.run(command, capture_output=True, text=True, cwd=node.configuration.parent)
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def waiting(federation, task_id, words="Awaiting review by an admin"):
    """The run of a task, when its log tells that it waits."""

    def waits():
        run = federation.run(task_id)
        return run if words in (run["log"] or "") else None

    return wait_until(waits, f"task {task_id} waits", 60)


def test_a_review_is_enforced_without_any_help_from_the_server(federation):
    federation.stop(AWAY)
    (node,) = federation.start(AWAY, policies={"review": "always"})
    config = [(item["key"], item["value"]) for item in federation.station(AWAY)["config"]]
    assert ("review", '"always"') in config
    # Approved at the node.
    task_id = federation.create("partial_average", AWAY)
    run = waiting(federation, task_id)
    assert (run["status"], run["finished_at"]) == ("pending", None)
    # It has to look as begun: this server ends those that have not when another one of the task is not allowed.
    assert run["started_at"] is not None
    assert "waiting" in reviews(node, "list")
    shown = reviews(node, "show", run["id"])
    assert "column_name = \"age\"" in shown and "of example_org1" in shown
    # Whoever may do most at the server cannot start it.
    headers = {"Authorization": f"Bearer {federation.manager.token}"}
    for method, path, body in (("PATCH", f"run/{run['id']}", {"status": "active"}), ("POST", "review", {})):
        answer = requests.request(method, f"{federation.server.url}/{path}", headers=headers, json=body, timeout=60)
        assert answer.status_code >= 400
    assert federation.run(task_id)["status"] == "pending"
    assert "approved, for this run only; the node starts it" in reviews(node, "approve", run["id"], "--comment", "seen")
    assert federation.completed(task_id) == [part(AWAY)]
    assert "Approved by dana at the node" in federation.run(task_id)["log"]
    # Rejected with a reason, which the researcher reads; the other organization has done its part.
    federation.start(STEADY)
    task_id = federation.create("partial_average", STEADY, AWAY)

    def one_is_done_and_one_waits():
        runs = federation.runs(task_id)
        waits = "Awaiting" in (runs[AWAY]["log"] or "")
        return runs[AWAY] if waits and runs[STEADY]["status"] == "completed" else None

    run = wait_until(one_is_done_and_one_waits, "one part is done and one waits", 60)
    assert "needs a reason" in reviews(node, "reject", run["id"], "--reason", " ", succeeds=False)
    reviews(node, "reject", run["id"], "--reason", "no ethics approval yet")
    run = federation.finished(task_id)[AWAY]
    assert run["status"] == "not allowed"
    assert "the review rejected it: no ethics approval yet (dana at the node)" in run["log"]
    results = [result["result"] for result in federation.client.result.from_task(task_id)["data"]]
    assert [json.loads(result) for result in results if result] == [part(STEADY)]
    assert "rejected already, by dana" in reviews(node, "approve", run["id"], succeeds=False)


def test_a_review_survives_a_restart_and_ends_with_its_run(federation):
    federation.stop(AWAY)
    (node,) = federation.start(AWAY, policies={"review": "always"})
    task_id = federation.create("partial_average", AWAY, database="my_other_database")
    run = waiting(federation, task_id)
    # Decided while the node is away.
    federation.kill(AWAY)
    reviews(node, "approve", run["id"])
    reviews(node, "withdraw", run["id"])
    (node,) = federation.start(AWAY, policies={"review": "always"})
    wait_until(lambda: "Awaiting" in (federation.run(task_id)["log"] or ""), "it waits again", 60)
    federation.stop(AWAY)
    reviews(node, "approve", run["id"], "--runs", 2)
    (node,) = federation.start(AWAY, policies={"review": "always"})
    assert federation.completed(task_id) == [part(AWAY, label="my_other_database")]
    # The second of exactly the same starts by itself, the third waits, and its requester gives up.
    task_id = federation.create("partial_average", AWAY, database="my_other_database")
    assert federation.completed(task_id) == [part(AWAY, label="my_other_database")]
    task_id = federation.create("partial_average", AWAY, database="my_other_database")
    run = waiting(federation, task_id)
    federation.manager.task.kill(task_id)
    assert federation.finished(task_id)[AWAY]["status"] == "killed by user"
    wait_until(lambda: "void" in reviews(node, "show", run["id"]), "the review is void", 60)
    assert "void already" in reviews(node, "approve", run["id"], succeeds=False)


def test_a_result_is_held_until_it_is_released(federation):
    federation.stop(AWAY)
    (node,) = federation.start(AWAY, policies={"release": "review"})
    task_id = federation.create("partial_average", AWAY)
    run = waiting(federation, task_id, "Awaiting release of the result")
    assert run["status"] == "active"
    assert [result["result"] for result in federation.client.result.from_task(task_id)["data"]] == [None]
    shown = reviews(node, "show", run["id"])
    assert json.dumps(part(AWAY), separators=(",", ":")) in shown
    (digest,) = re.findall(r"^Hash +(\w+)$", shown, re.MULTILINE)
    assert "is released" in reviews(node, "approve", run["id"], "--hash", digest)
    assert federation.completed(task_id) == [part(AWAY)]
    task_id = federation.create("partial_average", AWAY)
    run = waiting(federation, task_id, "Awaiting release of the result")
    assert "add --hash" in reviews(node, "reject", run["id"], "--reason", "too few patients", succeeds=False)
    (digest,) = re.findall(r"^Hash +(\w+)$", reviews(node, "show", run["id"]), re.MULTILINE)
    reviews(node, "reject", run["id"], "--hash", digest, "--reason", "too few patients")
    assert federation.failed(task_id)["status"] == "not allowed"
    federation.stop(AWAY)
