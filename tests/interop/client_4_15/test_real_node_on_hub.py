"""The real vantage6 node at Atoll's hub, driven by the official client; its algorithms run in real containers."""

import re

import pytest
from support.containers import IMAGE, ContainerEngine
from support.processes import Atoll, wait_until
from support.real_node import RealNode
from vantage6.client import Client

ORGANIZATION = "example_org1"
ORGANIZATION_ID = 2
COLUMNS = ["patient", "age", "sex", "weight", "height"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The demo, without the node of the first organization."""
    data = tmp_path_factory.mktemp("hub")
    atoll = Atoll(data, "--demo", "--without-node", ORGANIZATION)
    atoll.data = data
    yield atoll
    atoll.stop()


@pytest.fixture(scope="module")
def engine():
    containers = ContainerEngine()
    try:
        containers.make_image()
        yield containers
    finally:
        containers.stop()


@pytest.fixture(scope="module")
def start_node(hub, engine, tmp_path_factory):
    """Starts the real node of the first organization, which is ended after the tests."""
    folder = hub.data / "demo" / ORGANIZATION
    api_key = re.search(r"api_key: (\S+)", (folder / "node.yaml").read_text()).group(1)
    databases = {label: folder / f"{label}.csv" for label in ("default", "my_other_database")}
    started = []

    def start(**settings):
        node = RealNode(tmp_path_factory.mktemp("node"), engine, hub.url, api_key, databases, **settings)
        started.append(node)
        return node

    yield start
    for node in started:
        node.stop()


@pytest.fixture(scope="module")
def node(start_node):
    return start_node().wait_until_online()


@pytest.fixture(scope="module")
def client(hub):
    researcher = Client("http://127.0.0.1", hub.port, "/api", log_level="warn")
    researcher.authenticate("researcher", "Atoll-demo-1")
    researcher.setup_encryption(None)
    return researcher


def station(client):
    """What the hub says of the node."""
    nodes = client.node.list(organization=ORGANIZATION_ID)["data"]
    assert len(nodes) == 1
    return nodes[0]


def wait_for_status(client, status):
    wait_until(lambda: station(client)["status"] == status, f"the node is {status}", 90)


def create(client, method, image=IMAGE, database="default", **arguments):
    """Creates a task for the real node; returns the ids of the task and its run."""
    task = client.task.create(
        organizations=[ORGANIZATION_ID],
        collaboration=1,
        name=method,
        image=image,
        description="",
        input_={"method": method, "kwargs": arguments},
        databases=[{"label": database}],
    )
    runs = client.run.from_task(task["id"])
    assert len(runs["data"]) == 1
    return task["id"], runs["data"][0]["id"]


def finished(client, run_id):
    """The run when it has ended."""

    def ended():
        run = client.run.get(run_id)
        return run if run["finished_at"] else None

    return wait_until(ended, f"run {run_id} ends", 120)


def wait_for_log(client, run_id, text):
    """The run as soon as its log holds a text."""

    def found():
        run = client.run.get(run_id)
        return run if text in (run["log"] or "") else None

    return wait_until(found, f"{text!r} in the log of run {run_id}", 120)


def results(client, task_id):
    return [result["result"] for result in client.result.from_task(task_id)["data"]]


def test_a_node_that_is_not_started_is_offline(client):
    assert station(client)["status"] != "online"


def test_the_node_goes_online(client, node):
    wait_for_status(client, "online")
    assert not re.search(r"Server responded with error|Traceback", node.output())


def test_its_shared_configuration_is_shown(client, node):
    wait_until(lambda: station(client)["config"], "the configuration", 60)
    config = [(item["key"], item["value"]) for item in client.node.get(station(client)["id"])["config"]]
    assert ("allowed_algorithms", "all") in config
    labels = [value for key, value in config if key == "database_labels"]
    assert sorted(labels) == ["default", "my_other_database"]
    assert ("db_type_default", "csv") in config
    assert [value for key, value in config if key == "columns_default"] == COLUMNS
    assert [value.lower() for key, value in config if key == "encryption"] == ["false"]


def test_a_run_completes_and_its_log_is_streamed(client, node, engine):
    task_id, run_id = create(client, "count_rows", wait_for="continue")
    run = wait_for_log(client, run_id, "waiting for continue")
    assert run["finished_at"] is None and not run["result"]
    assert "row 1\n" in run["log"]
    wait_until(lambda: client.run.get(run_id)["status"] == "active", "the run is active")
    assert client.task.get(task_id)["status"] == "active"
    assert node.run_containers() == [f"vantage6-{node.name}-run-{run_id}"]
    (node.data / "continue").touch()
    run = finished(client, run_id)
    rows = len((node.data / "default.csv").read_text().strip().splitlines()) - 1
    assert run["status"] == "completed"
    lines = ["method count_rows on default", *(f"row {row}" for row in range(1, rows + 1)), "waiting for continue"]
    # The whole log takes the place of the streamed one: no line stands there twice.
    assert run["log"].splitlines() == [*lines, f"counted {rows} rows"]
    assert results(client, task_id) == [{"rows": rows}]
    assert client.wait_for_results(task_id)["data"][0]["result"] == {"rows": rows}
    assert client.task.get(task_id)["status"] == "completed"
    wait_until(lambda: not node.run_containers(), "the container is taken away")


def test_an_algorithm_makes_a_subtask_through_the_proxy_of_the_node(client, node):
    task_id, run_id = create(client, "total_rows", organization=ORGANIZATION_ID)
    run = finished(client, run_id)
    assert run["status"] == "completed", run["log"]
    rows = len((node.data / "default.csv").read_text().strip().splitlines()) - 1
    assert results(client, task_id) == [{"total": rows}]
    children = client.task.list(parent=task_id)["data"]
    assert [child["status"] for child in children] == ["completed"]
    assert results(client, children[0]["id"]) == [{"rows": rows}]


def test_a_run_that_fails_says_why(client, node):
    task_id, run_id = create(client, "no such method")
    run = finished(client, run_id)
    assert run["status"] == "crashed"
    assert "cannot do no such method" in run["log"]
    assert results(client, task_id) == [None]


def test_an_image_that_is_nowhere_is_told(client, node):
    _, run_id = create(client, "count_rows", image="localhost/atoll-test/none:1")
    assert finished(client, run_id)["status"] == "no docker image"


def test_a_run_is_killed(client, node):
    task_id, run_id = create(client, "sleep")
    wait_for_log(client, run_id, "sleeping")
    assert node.run_containers()
    client.task.kill(task_id)
    run = finished(client, run_id)
    assert run["status"] == "killed by user"
    wait_until(lambda: not node.run_containers(), "the container is taken away", 60)
    # What the node says after that changes nothing.
    node.wait_for_line(f"Killing containers for run_id={run_id}")
    run = client.run.get(run_id)
    assert run["status"] == "killed by user" and "sleeping" in run["log"]
    assert client.task.get(task_id)["status"] == "killed by user"


def test_all_runs_of_a_node_are_killed(hub, client, node):
    runs = [create(client, "sleep")[1] for _ in range(2)]
    for run_id in runs:
        wait_for_log(client, run_id, "sleeping")
    root = Client("http://127.0.0.1", hub.port, "/api", log_level="warn")
    root.authenticate("root", "Atoll-demo-1")
    root.node.kill_tasks(station(client)["id"])
    assert [finished(client, run_id)["status"] for run_id in runs] == ["killed by user"] * 2
    wait_until(lambda: not node.run_containers(), "the containers are taken away", 60)


def test_the_node_goes_offline_and_another_does_what_was_left(client, node, start_node, engine):
    left, left_run = create(client, "count_rows", wait_for="go on")
    wait_for_log(client, left_run, "waiting for go on")
    node.stop()
    wait_for_status(client, "offline")
    assert not station(client)["config"]
    assert engine.containers() == [] and engine.networks() == []
    # Created while it is away.
    queued, queued_run = create(client, "count_rows", database="my_other_database")
    refused, refused_run = create(client, "count_rows", image="localhost/other:1")
    policies = {"require_algorithm_pull": False, "allowed_algorithms": [IMAGE]}
    successor = start_node(policies=policies)
    (successor.data / "go on").touch()
    successor.wait_until_online()
    wait_for_status(client, "online")
    wait_until(lambda: station(client)["config"], "the configuration", 60)
    config = [(item["key"], item["value"]) for item in station(client)["config"]]
    assert ("allowed_algorithms", IMAGE) in config and ("allowed_algorithms", "all") not in config
    assert finished(client, left_run)["status"] == "completed"
    assert "rows" in results(client, left)[0]
    assert finished(client, queued_run)["status"] == "completed"
    assert "method count_rows on my_other_database" in client.run.get(queued_run)["log"]
    assert finished(client, refused_run)["status"] == "not allowed"
    successor.stop()
    wait_for_status(client, "offline")
