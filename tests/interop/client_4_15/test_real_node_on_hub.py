"""The real vantage6 node at Atoll's hub, driven by the official client; its algorithms run in real containers."""

import json
import re

import pytest
import requests
from support.containers import IMAGE, ContainerEngine
from support.processes import Atoll, wait_until
from support.real_node import RealNode
from vantage6.client import Client
from vantage6.common.encryption import RSACryptor

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
    demo_key = re.search(r"api_key: (\S+)", (folder / "node.yaml").read_text()).group(1)
    databases = {label: folder / f"{label}.csv" for label in ("default", "my_other_database")}
    started = []

    def start(api_key=demo_key, **settings):
        node = RealNode(tmp_path_factory.mktemp("node"), engine, hub.url, api_key, databases, **settings)
        started.append(node)
        return node

    # Shown when a test fails.
    start.output = lambda: started[-1].output() if started else ""
    yield start
    for node in reversed(started):
        node.stop()


@pytest.fixture(scope="module")
def node(start_node):
    return start_node().wait_until_online()


def sign_in(hub, username, private_key=None):
    client = Client("http://127.0.0.1", hub.port, "/api", log_level="warn")
    client.authenticate(username, "Atoll-demo-1")
    client.setup_encryption(private_key)
    return client


@pytest.fixture(scope="module")
def client(hub):
    return sign_in(hub, "researcher")


def station(client):
    """What the hub says of the node."""
    nodes = client.node.list(organization=ORGANIZATION_ID, collaboration=1)["data"]
    assert len(nodes) == 1
    return nodes[0]


def wait_for_status(client, status):
    wait_until(lambda: station(client)["status"] == status, f"the node is {status}", 90)


def create(client, method, image=IMAGE, database="default", collaboration=1, **arguments):
    """Creates a task for the real node; returns the ids of the task and its run."""
    task = client.task.create(
        organizations=[ORGANIZATION_ID],
        collaboration=collaboration,
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
    """The results of a task's runs; the client hands them over as JSON."""
    texts = [result["result"] for result in client.result.from_task(task_id)["data"]]
    return [json.loads(text) if text else None for text in texts]


def rows_of(file):
    return len(file.read_text().strip().splitlines()) - 1


def wait_until_gone(node, run_id):
    wait_until(lambda: run_id not in node.run_containers(), f"the container of run {run_id} is taken away", 60)


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


def test_a_run_completes_and_its_log_is_streamed(client, node):
    task_id, run_id = create(client, "count_rows", wait_for="continue")
    run = wait_for_log(client, run_id, "waiting for continue")
    assert run["finished_at"] is None
    assert "row 1\n" in run["log"]
    wait_until(lambda: client.run.get(run_id)["status"] == "active", "the run is active")
    assert client.task.get(task_id)["status"] == "active"
    assert results(client, task_id) == [None]
    assert run_id in node.run_containers()
    (node.data / "continue").touch()
    run = finished(client, run_id)
    assert run["status"] == "completed"
    rows = rows_of(node.data / "default.csv")
    lines = ["method count_rows on default", *(f"row {row}" for row in range(1, rows + 1)), "waiting for continue"]
    # The whole log takes the place of the streamed one: no line stands there twice.
    assert run["log"].splitlines() == [*lines, f"counted {rows} rows"]
    assert results(client, task_id) == [{"rows": rows}]
    assert json.loads(client.wait_for_results(task_id)["data"][0]["result"]) == {"rows": rows}
    assert client.task.get(task_id)["status"] == "completed"
    wait_until_gone(node, run_id)


def test_the_portal_shows_the_node_and_follows_a_run_to_its_result(hub, client, node):
    """Such a node tells that a run has ended before it reports the result."""
    browser = requests.Session()
    form = {"username": "researcher", "password": "Atoll-demo-1"}
    assert browser.post(f"{hub.url}/login", data=form).url == f"{hub.url}/"
    page = browser.get(f"{hub.url}/collaborations/1").text
    assert "my_other_database" in page and all(column in page for column in COLUMNS)
    task_id, _ = create(client, "count_rows", wait_for="portal")
    states, message, kind = [], "", None
    with browser.get(f"{hub.url}/events?of=/tasks/{task_id}", stream=True, timeout=120) as stream:
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data:"):
                message += line.removeprefix("data:")
            if "waiting for portal" in line:
                (node.data / "portal").touch()
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            # An empty line ends a message.
            if not line and message:
                states.append(message)
                message = ""
                if kind == "final":
                    break
    assert kind == "final"
    rows = rows_of(node.data / "default.csv")
    assert any("active" in state for state in states[:-1])
    assert "completed" in states[-1] and f">{rows}<" in states[-1] and f"counted {rows} rows" in states[-1]


def test_an_algorithm_makes_a_subtask_through_the_proxy_of_the_node(client, node):
    task_id, run_id = create(client, "total_rows", organization=ORGANIZATION_ID)
    run = finished(client, run_id)
    assert run["status"] == "completed", run["log"]
    rows = rows_of(node.data / "default.csv")
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
    run = finished(client, run_id)
    assert run["status"] == "non-existing Docker image"
    assert "Check node logs" in run["log"]


def test_a_run_is_killed(client, node):
    task_id, run_id = create(client, "sleep")
    wait_for_log(client, run_id, "sleeping")
    assert run_id in node.run_containers()
    client.task.kill(task_id)
    assert finished(client, run_id)["status"] == "killed by user"
    node.wait_for_line(f"Killing containers for run_id={run_id}")
    wait_until_gone(node, run_id)
    # What the node says after that changes nothing.
    run = client.run.get(run_id)
    assert run["status"] == "killed by user" and "sleeping" in run["log"]
    assert client.task.get(task_id)["status"] == "killed by user"


def test_all_runs_of_a_node_are_killed(hub, client, node):
    runs = [create(client, "sleep")[1] for _ in range(2)]
    for run_id in runs:
        wait_for_log(client, run_id, "sleeping")
    sign_in(hub, "root").node.kill_tasks(station(client)["id"])
    for run_id in runs:
        wait_until_gone(node, run_id)
        # The node says no more than the status; a run without an end would be run again by the next node.
        assert finished(client, run_id)["status"] == "killed by user"


def test_the_hub_gives_the_node_all_that_it_asks_for(node):
    """What the hub refused so far."""
    refused = re.findall(r"msg: (.*)", node.output())
    # The hub itself has ended a killed run when the node says the same; it asks everything twice.
    meant = [line for line in refused if line.startswith("Cannot update an already finished algorithm run")]
    assert refused == meant
    assert "Blob store check failed" not in node.output()


def test_in_an_encrypted_collaboration_the_hub_reads_nothing(hub, start_node, tmp_path):
    root = sign_in(hub, "root")
    collaboration = root.collaboration.create("encrypted", [ORGANIZATION_ID], encrypted=True)["id"]
    api_key = root.node.create(collaboration, ORGANIZATION_ID, "encrypted node")["api_key"]
    private_key = tmp_path / "private_key.pem"
    RSACryptor.create_new_rsa_key(private_key)
    node = start_node(api_key, encryption={"enabled": True, "private_key": str(private_key)}).wait_until_online()
    # The node has told the hub its public key.
    assert root.organization.get(ORGANIZATION_ID)["public_key"]
    researcher = sign_in(hub, "researcher", private_key)
    task_id, run_id = create(researcher, "total_rows", collaboration=collaboration, organization=ORGANIZATION_ID)
    run = finished(researcher, run_id)
    assert run["status"] == "completed", run["log"]
    assert results(researcher, task_id) == [{"total": rows_of(node.data / "default.csv")}]
    child = researcher.task.list(parent=task_id)["data"][0]["id"]
    for id_ in (task_id, child):
        raw = researcher.request("run", params={"task_id": id_})["data"][0]["input"]
        result = researcher.request("result", params={"task_id": id_})["data"][0]["result"]
        # Key, counter and text.
        assert raw.count("$") == 2 and result.count("$") == 2
    node.stop()


def test_the_node_goes_offline_and_the_next_one_does_what_was_left(client, node, start_node, engine):
    left, left_run = create(client, "count_rows", wait_for="go on")
    wait_for_log(client, left_run, "waiting for go on")
    node.stop()
    wait_for_status(client, "offline")
    assert not station(client)["config"]
    assert client.run.get(left_run)["status"] == "active"
    assert engine.containers() == [] and engine.networks() == []
    # Created while it is away.
    queued, queued_run = create(client, "count_rows", database="my_other_database")
    _, refused_run = create(client, "count_rows", image="localhost/other:1")
    successor = start_node(policies={"require_algorithm_pull": False, "allowed_algorithms": [IMAGE]})
    (successor.data / "go on").touch()
    successor.wait_until_online()
    wait_for_status(client, "online")
    wait_until(lambda: station(client)["config"], "the configuration", 60)
    config = [(item["key"], item["value"]) for item in station(client)["config"]]
    assert ("allowed_algorithms", IMAGE) in config and ("allowed_algorithms", "all") not in config
    assert finished(client, left_run)["status"] == "completed"
    assert results(client, left) == [{"rows": rows_of(successor.data / "default.csv")}]
    assert finished(client, queued_run)["status"] == "completed"
    assert results(client, queued) == [{"rows": rows_of(successor.data / "default.csv")}]
    assert "method count_rows on my_other_database" in client.run.get(queued_run)["log"]
    assert finished(client, refused_run)["status"] == "not allowed"
    # Nothing that had ended is run again.
    assert successor.output().count("Run docker image") == 2
    successor.stop()
    wait_for_status(client, "offline")
