"""The session of the vantage6 3.x documentation ("Creating a task"), word for word, with client 3.11.1."""

import pickle
import re
from base64 import b64encode

import pytest
import requests
from vantage6.client import Client
from vantage6.common import base64s_to_bytes

from support.processes import Atoll

IMAGE = "harbor2.vantage6.ai/demo/average"


def sign_in(demo, username, password):
    client = Client("http://127.0.0.1", demo.port, "/api", log_level="warn")
    client.authenticate(username, password)
    client.setup_encryption(None)
    return client


@pytest.fixture(scope="module")
def client(demo):
    """Somebody of example_org1 who sees all organizations, as in the documentation."""
    root = sign_in(demo, "root", "Atoll-demo-1")
    role = next(role for role in root.role.list(per_page=100)["data"] if role["name"] == "Root")
    root.user.create("documented", "D", "O", "Passw0rd-for-tests!", "d@example.org", 2, [role["id"]], [])
    return sign_in(demo, "documented", "Passw0rd-for-tests!")


def finish(client, average_task):
    """The documentation's waiting loop."""
    task_id = average_task["id"]
    task_info = client.task.get(task_id)
    while not task_info.get("complete"):
        task_info = client.task.get(task_id, include_results=True)
    result_id = task_info["id"]
    return client.result.list(task=result_id)


def test_collaborations_and_organizations_are_listed_with_fields(client):
    collaborations = client.collaboration.list(fields=["id", "name", "organizations"])
    assert [(item["id"], item["name"]) for item in collaborations] == [(1, "example_collab1")]
    organizations = collaborations[0]["organizations"]
    assert [item["id"] for item in organizations] == [2, 3, 4]
    assert [item["link"] for item in organizations] == [f"/api/organization/{id_}" for id_ in (2, 3, 4)]
    assert all("GET" in item["methods"] and "PATCH" in item["methods"] for item in organizations)
    assert client.organization.list(fields=["id", "name"]) == [
        {"id": 1, "name": "root"},
        {"id": 2, "name": "example_org1"},
        {"id": 3, "name": "example_org2"},
        {"id": 4, "name": "example_org3"},
    ]


def master(client, **options):
    input_ = {"method": "master", "kwargs": {"column_name": "age"}, "master": True}
    return client.task.create(
        collaboration=1,
        organizations=[2, 3],
        name="an-awesome-task",
        image=IMAGE,
        description="",
        input=input_,
        **options,
    )


def partial(client, **options):
    input_ = {"method": "average_partial", "kwargs": {"column_name": "age"}, "master": False}
    return client.task.create(
        collaboration=1,
        organizations=[2, 3],
        name="an-awesome-task",
        image=IMAGE,
        description="",
        input=input_,
        **options,
    )


@pytest.mark.parametrize("options", [{"data_format": "json"}, {}], ids=["json", "pickle"])
def test_the_master_method_gives_the_average(client, options):
    result_info = finish(client, master(client, **options))
    assert result_info["data"][0]["result"] == {"average": 53.25}


@pytest.mark.parametrize("options", [{"data_format": "json"}, {}], ids=["json", "pickle"])
def test_the_rpc_method_gives_sum_and_count_of_each_organization(client, options):
    result_info = finish(client, partial(client, **options))
    assert result_info["data"][0]["result"] == {"sum": 253, "count": 4}
    assert result_info["data"][1]["result"] == {"sum": 173, "count": 4}
    keys = {"id", "organization", "task", "node", "started_at", "assigned_at", "finished_at", "log"}
    assert keys <= result_info["data"][0].keys()
    assert result_info["data"][0]["organization"]["id"] == 2


def test_the_other_database_is_used(client):
    default = finish(client, partial(client, data_format="json"))
    other = finish(client, partial(client, data_format="json", database="my_other_database"))
    assert [item["result"] for item in other["data"]] != [item["result"] for item in default["data"]]
    assert all(item["result"]["count"] > 0 for item in other["data"])
    task = client.task.get(other["data"][0]["task"]["id"])
    assert [database["label"] for database in task["databases"]] == ["my_other_database"]


def test_wait_for_results_and_single_results(client):
    task = partial(client)
    waited = client.wait_for_results(task["id"], sleep=0.1)
    decoded = [pickle.loads(item["result"]) for item in waited]
    assert decoded == [{"sum": 253, "count": 4}, {"sum": 173, "count": 4}]
    from_task = client.result.from_task(task["id"])
    assert [item["result"] for item in from_task] == decoded
    one = client.result.get(from_task[0]["id"])
    assert one["result"] == {"sum": 253, "count": 4}
    assert one["organization"]["id"] == 2


def test_lists_are_wrapped_and_paged_as_by_a_3x_server(client):
    task = partial(client, data_format="json")
    client.wait_for_results(task["id"], sleep=0.1)
    tasks = client.task.list(per_page=1)
    assert len(tasks["data"]) == 1 and "links" in tasks
    results = client.result.list(task=task["id"], per_page=1, page=2)
    assert len(results["data"]) == 1
    assert results["links"]["previous"].startswith("/api/result?")
    nodes = client.node.list()
    assert {node["organization"]["id"] for node in nodes["data"]} == {2, 3, 4}
    assert {"id", "name"} <= client.user.list()["data"][0]["roles"][0].keys() | {"name"}
    assert client.role.list()["data"]
    assert client.rule.list()["data"]


class Evil:
    """Unpickling it would call print."""

    def __reduce__(self):
        return (print, ("owned",))


@pytest.mark.parametrize("argument", [Evil(), {1, 2}, 2**200], ids=["call", "set", "large"])
def test_a_pickle_of_more_than_plain_data_is_refused_and_nothing_runs(client, demo, argument):
    before = client.task.list()["data"]
    input_ = {"method": "master", "kwargs": {"column_name": argument}, "master": True}
    answer = client.task.create(
        collaboration=1, organizations=[2], name="no", image=IMAGE, description="", input=input_
    )
    # The client shows this one.
    assert "pickle that is not read" in answer["msg"]
    assert "pickle that is not read" in answer["errors"]["organizations[0].input"][0]
    assert client.task.list()["data"] == before
    assert "owned" not in demo.output()


def test_a_pickle_with_nan_is_taken_and_reaches_the_node(client):
    input_ = {"method": "average_partial", "kwargs": {"column_name": float("nan")}, "master": False}
    task = client.task.create(
        collaboration=1, organizations=[2], name="not a number", image=IMAGE, description="", input=input_
    )
    assert "NaN" in finish(client, task)["data"][0]["log"]


def test_failures_and_kill_are_told(client):
    input_ = {"method": "average_partial", "kwargs": {"column_name": "no such column"}, "master": False}
    task = client.task.create(
        collaboration=1, organizations=[2], name="wrong column", image=IMAGE, description="", input=input_
    )
    info = finish(client, task)
    assert info["data"][0]["result"] is None
    assert "no such column" in info["data"][0]["log"]
    client.task.delete(task["id"])
    assert "not found" in client.task.get(task["id"])["msg"]


def test_the_portal_reads_what_a_3x_client_made(client, demo):
    task = partial(client)
    client.wait_for_results(task["id"], sleep=0.1)
    page = requests.Session()
    page.headers["Origin"] = demo.url
    page.post(f"{demo.url}/login", data={"username": "researcher", "password": "Atoll-demo-1"}).raise_for_status()
    text = page.get(f"{demo.url}/tasks/{task['id']}").text
    assert "average_partial" in text and "253" in text and "173" in text


def test_a_result_that_a_3x_client_would_run_is_refused(tmp_path):
    """A node must not send a pickle that does something to whoever reads it."""
    hub = Atoll(tmp_path, "--demo", "--without-node", "example_org1")
    hub.data = tmp_path
    try:
        refuses_a_pickle_that_does_something(hub)
    finally:
        hub.stop()


def refuses_a_pickle_that_does_something(demo):
    task = master(sign_in(demo, "researcher", "Atoll-demo-1"))
    config = (demo.data / "demo/example_org1/node.yaml").read_text()
    key = re.search(r"api_key: (\S+)", config).group(1)
    token = requests.post(f"{demo.url}/api/token/node", json={"api_key": key}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    runs = requests.get(f"{demo.url}/api/run", params={"task_id": task["id"]}, headers=headers).json()["data"]
    run = next(run for run in runs if run["organization"]["id"] == 2)
    evil = {"result": b64encode(pickle.dumps(Evil())).decode(), "finished_at": "2026-11-22T17:00:03.000001"}
    answer = requests.patch(f"{demo.url}/api/run/{run['id']}", json=evil, headers=headers)
    assert answer.status_code == 400 and "3.x" in str(answer.json())
    assert base64s_to_bytes(run["input"])[0] == 0x80
