"""What is known of the real algorithm store: how it is asked, and what it says of an algorithm."""

import pytest
import requests
from support import world
from support.real_server import RealServer
from support.real_store import RealStore
from vantage6.client import Client

ALGORITHM = {
    "id",
    "name",
    "description",
    "image",
    "digest",
    "status",
    "code_url",
    "documentation_url",
    "partitioning",
    "vantage6_version",
    "submitted_at",
    "approved_at",
    "invalidated_at",
    "submission_comments",
    "developer_id",
    "reviews",
    "functions",
}
FUNCTION = {
    "id",
    "name",
    "display_name",
    "description",
    "type",
    "standalone",
    "databases",
    "arguments",
    "ui_visualizations",
}
ARGUMENT = {
    "id",
    "name",
    "display_name",
    "description",
    "type",
    "has_default_value",
    "default_value",
    "conditional_on_id",
    "conditional_operator",
    "conditional_value",
    "is_frontend_only",
    "allowed_values",
}
TYPES = {
    "string",
    "string_list",
    "integer",
    "integer_list",
    "float",
    "float_list",
    "boolean",
    "json",
    "column",
    "column_list",
    "organization",
    "organization_list",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RealServer(tmp_path_factory.mktemp("server"), beside_store=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory, server):
    store = RealStore(tmp_path_factory.mktemp("store"), server.url)
    yield store
    store.stop()


@pytest.fixture(scope="module")
def filled(server, store):
    """The ids of what is at the server, and of its link with the store."""
    filled = world.fill(server.wait_until_up().url)
    filled["store"] = world.link_store(server.url, store.wait_until_up().url, filled["collaboration"]["id"])
    return filled


@pytest.fixture(scope="module")
def client(server, filled):
    """The official client of the researcher, whom the store itself does not know."""
    client = Client("http://127.0.0.1", server.port, "/api", log_level="critical")
    client.authenticate("researcher", world.PASSWORD)
    client.setup_encryption(None)
    client.setup_collaboration(filled["collaboration"]["id"])
    return client


@pytest.fixture(scope="module")
def algorithms(server, store, filled):
    """The store's answer to `GET /algorithm`, by name."""
    account = world.Account(server.url, "researcher", world.PASSWORD)
    return {item["name"]: item for item in account.at(store.url).get("/algorithm")["data"]}


def ask(store, path="/algorithm", **headers):
    """A request with just these headers, written with underscores."""
    return requests.get(f"{store.url}{path}", headers={name.replace("_", "-"): text for name, text in headers.items()})


def test_the_client_lists_the_approved_algorithms_of_a_linked_store(client, store, filled):
    links = client.store.list()["data"]
    assert [(link["name"], link["url"]) for link in links] == [("example store", store.url)]
    client.store.set(filled["store"]["id"])
    listed = client.algorithm.list()["data"]
    assert [item["image"] for item in listed] == ["harbor2.vantage6.ai/demo/average", "example.org/algorithms/wide"]
    assert {item["status"] for item in listed} == {"approved"}
    assert client.algorithm.get(listed[0]["id"]) == listed[0]
    assert client.algorithm.list(name="Wid%")["data"] == listed[1:]
    assert client.store.policy.get(public=True) == {"algorithm_view": "whitelisted", "allowed_servers": "all"}


def test_an_algorithm_has_the_known_fields_and_no_others(algorithms):
    for algorithm in algorithms.values():
        assert set(algorithm) == ALGORITHM
        for function in algorithm["functions"]:
            assert set(function) == FUNCTION
            assert all(set(database) == {"id", "name", "description"} for database in function["databases"])
            for argument in function["arguments"]:
                assert set(argument) == ARGUMENT
                assert all(set(allowed) == {"value"} for allowed in argument["allowed_values"])
            for visualization in function["ui_visualizations"]:
                assert set(visualization) == {"id", "name", "description", "type", "schema"}


def test_functions_come_as_they_were_submitted(algorithms):
    central, partial = algorithms["Average"]["functions"]
    assert (central["name"], central["type"]) == ("central_average", "central")
    assert (partial["name"], partial["type"]) == ("partial_average", "federated")
    assert [database["name"] for database in central["databases"]] == ["default"]
    (wide,) = algorithms["Wide"]["functions"]
    # Not given when it was submitted
    assert wide["standalone"] is True
    assert [database["name"] for database in wide["databases"]] == ["measurements", "reference"]
    assert [(item["type"], item["schema"]) for item in wide["ui_visualizations"]] == [
        (item["type"], item["schema"]) for item in world.WIDE["functions"][0]["ui_visualizations"]
    ]


def test_every_kind_of_argument_has_its_values_as_known(algorithms):
    (function,) = algorithms["Wide"]["functions"]
    arguments = {argument["name"]: argument for argument in function["arguments"]}
    # In the order in which they were submitted
    assert list(arguments) == [argument["name"] for argument in world.ARGUMENTS]
    assert {argument["type"] for argument in arguments.values()} == TYPES
    # Default values and what conditions compare with are texts, whatever the type is, or null.
    for submitted in world.ARGUMENTS:
        argument = arguments[submitted["name"]]
        assert argument["default_value"] == submitted.get("default_value")
        assert argument["has_default_value"] is submitted.get("has_default_value", False)
        assert argument["conditional_value"] == submitted.get("conditional_value")
        assert argument["conditional_operator"] == submitted.get("conditional_operator")
        assert argument["is_frontend_only"] is submitted.get("is_frontend_only", False)
        assert argument["display_name"] == submitted.get("display_name", "")
        condition = submitted.get("conditional_on")
        assert argument["conditional_on_id"] == (arguments[condition]["id"] if condition else None)
    # Allowed values have the argument's type if it is a single number.
    allowed = {name: [item["value"] for item in argument["allowed_values"]] for name, argument in arguments.items()}
    assert allowed["order"] == [1, 2, 3]
    assert allowed["confidence"] == [0.9, 0.95, 0.99]
    assert allowed["method"] == ["mean", "median", "quantile"]
    assert allowed["measures"] == ["count", "minimum", "maximum"]
    assert allowed["column"] == []


def test_the_store_says_why_it_does_not_answer(server, store, filled):
    token = f"Bearer {world.Account(server.url, 'viewer', world.PASSWORD).token}"
    for status, message, headers in [
        (400, "Missing Server-Url header", {"Authorization": token}),
        (401, "Missing Authorization header", {"Server_Url": server.url}),
        (401, "Token is not valid", {"Server_Url": server.url, "Authorization": "Bearer no.token.atall"}),
        # The address must be the one that the link was made with, api path and all.
        (403, "is not whitelisted", {"Server_Url": server.origin, "Authorization": token}),
        (403, "is not whitelisted", {"Server_Url": f"{server.url}/", "Authorization": token}),
    ]:
        answer = ask(store, **headers)
        assert answer.status_code == status
        assert message in answer.json()["msg"]
    known = {"Server_Url": server.url, "Authorization": token}
    assert ask(store, **known).headers["total-count"] == "2"
    assert ask(store, "/algorithm?per_page=1&page=2", **known).json()["data"][0]["name"] == "Wide"
    answer = ask(store, "/review", **known)
    assert (answer.status_code, answer.json()["msg"]) == (401, "You are not registered in this algorithm store")


def test_a_task_with_a_store_gets_the_digest_that_the_store_knows(client, server, filled, algorithms):
    def create(image):
        return client.task.create(
            collaboration=filled["collaboration"]["id"],
            organizations=[filled["organizations"]["example_org1"]],
            name="with a store",
            image=image,
            description="",
            input_={"method": "partial_average", "kwargs": {"column_name": "age"}},
            databases=[{"label": "default"}],
            store=filled["store"]["id"],
        )

    average = algorithms["Average"]
    task = create(average["image"])
    assert task["image"] == f"{average['image']}@{average['digest']}"
    assert task["algorithm_store"]["id"] == filled["store"]["id"]
    assert create("example.org/unknown")["msg"] == "Algorithm not found in store!"


def test_an_algorithm_without_all_reviews_is_not_listed(server, store, algorithms):
    """The last test: it leaves something behind."""
    developer = world.Account(server.url, world.DEVELOPER, world.PASSWORD).at(store.url)
    submitted = developer.post("/algorithm", **{**world.AVERAGE, "name": "Later", "image": "example.org/later"})
    assert submitted["status"] == "awaiting reviewer assignment"
    assert "Later" not in developer.ids("/algorithm")
    assert developer.ids("/algorithm?awaiting_reviewer_assignment=1") == {"Later": submitted["id"]}
