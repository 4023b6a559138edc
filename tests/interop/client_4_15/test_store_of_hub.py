"""The algorithm-store methods of the official client, with the store that Atoll's hub has."""

import pytest
from vantage6.client import Client


@pytest.fixture(scope="module")
def client(demo):
    client = Client("http://127.0.0.1", demo.port, "/api", log_level="warn")
    client.authenticate("researcher", "Atoll-demo-1")
    client.setup_encryption(None)
    return client


def test_the_store_of_the_hub_is_listed_and_chosen(client, demo):
    (store,) = client.store.list()["data"]
    assert store == {"id": 1, "name": "Built-in algorithms", "url": f"{demo.url}/store/api", "collaborations": None}
    assert client.store.get(store["id"]) == store
    client.store.set(store["id"])
    assert client.store.url == f"{demo.url}/store/api"


def test_its_algorithms_are_read_with_their_functions_and_arguments(client):
    client.store.set(1)
    (algorithm,) = client.algorithm.list(name="Average")["data"]
    assert client.algorithm.get(algorithm["id"]) == algorithm
    functions = {function["name"]: function for function in algorithm["functions"]}
    assert functions["central_average"]["type"] == "central"
    assert functions["partial_average"]["type"] == "federated"
    assert [argument["name"] for argument in functions["partial_average"]["arguments"]] == ["column_name"]
    assert algorithm["status"] == "approved"


def test_another_store_is_not_linked_and_that_is_told(client):
    answer = client.store.create(algorithm_store_url="http://127.0.0.1:9/api", name="other", all_collaborations=True)
    assert "not allowed" in answer["msg"]
    assert len(client.store.list()["data"]) == 1
