"""What the official web interface 4.14 asks: the same requests, with the same parameters, to Atoll's hub and to the
real server. It cannot be installed from a package registry; its calls were noted while it was used by hand on Atoll's
hub (docs/compatibility.md).
"""

import json
import shutil
from base64 import b64encode

import pytest
import requests
from client_4_15.exchange import Exchange
from client_4_15.test_differential import compare
from support import world
from support.atoll_node import AtollNode
from support.processes import ROOT, Atoll, wait_until
from support.real_server import RealServer

ROOT_PASSWORD = "Coral-reef-7-keeper!"
# {…} are ids of the world.
AS_RESEARCHER = """
GET /rule?user_id={researcher}&no_pagination=1
GET /user/{researcher}?include_permissions=true
GET /version
GET /collaboration?sort=name&organization_id={organization}&per_page=9999
GET /collaboration/{collaboration}
GET /organization?collaboration_id={collaboration}&per_page=9999
GET /algorithmstore?collaboration_id={collaboration}&per_page=9999
GET /study?collaboration_id={collaboration}&per_page=9999
GET /node?collaboration_id={collaboration}&per_page=9999
GET /task?sort=id&is_user_created=1&collaboration_id={collaboration}&page=1&per_page=10
GET /task?sort=id&is_user_created=1&collaboration_id={collaboration}&name=%25web%25&page=1&per_page=10
GET /task/{task}?include=results,runs
GET /user/{researcher}
GET /organization/{organization}
GET /task?parent_id={task}&include=results,runs&per_page=9999
"""
AS_ROOT = """
GET /organization?sort=name&page=1&per_page=10
GET /organization/{organization}
GET /collaboration?organization_id={organization}&per_page=9999
GET /node?organization_id={organization}&per_page=9999
GET /collaboration?sort=name&page=1&per_page=10
GET /collaboration/{collaboration}
GET /user?sort=username&page=1&per_page=10
GET /user/{researcher}
GET /organization?per_page=9999
GET /role?page=1&per_page=10
GET /rule?no_pagination=1
GET /role/{role}
GET /user?role_id={role}&per_page=9999
GET /rule?role_id={role}&no_pagination=1
GET /organization?sort=name&per_page=9999
GET /collaboration?sort=name&per_page=9999
GET /node?sort=name&page=1&per_page=10
GET /algorithmstore?per_page=9999
"""
# The end of a place in an answer, and why the two may differ there.
MEANT = {
    "complete": "for clients of vantage6 3.x, which 4.x leaves out",
    "otp_secret": "the original shows the secret of the second factor",
    "atoll": "says what the hub is",
    "researcher: GET /algorithmstore": "Atoll's hub has a store of its own",
    "root: GET /algorithmstore": "Atoll's hub has a store of its own",
    "data[]": "so its list is not empty",
    "links.last": "nor is its last page",
    # The real server's own organization and user "root" have no more than a name.
    "address1": "null there",
    "address2": "null there",
    "country": "null there",
    "domain": "null there",
    "zipcode": "null there",
    "firstname": "null there",
    "lastname": "null there",
}


class Place:
    """A server with the world of the demo, one node of Atoll, and a task that it has done."""

    def __init__(self, folder, origin, root_password):
        self.url = f"{origin}/api"
        filled = world.fill(self.url, root_password)
        self.root = world.Account(self.url, "root", root_password)
        self.researcher = world.Account(self.url, "researcher", world.PASSWORD)
        shutil.copytree(ROOT / "demo/data/example_org1", folder)
        self.node = AtollNode(folder, origin, filled["api_keys"]["example_org1"], {"default": "default.csv"})
        organization, collaboration = filled["organizations"]["example_org1"], filled["collaboration"]["id"]
        nodes = lambda: self.root.get("/node", organization_id=organization)["data"]  # noqa: E731
        wait_until(lambda: nodes()[0]["config"], "the configuration of the node")
        self.exchanges = []
        call = {"method": "partial_average", "kwargs": {"column_name": "age"}}
        asked = [{"id": organization, "input": b64encode(json.dumps(call).encode()).decode()}]
        self.ask(
            self.researcher,
            "POST",
            "/column",
            json={"collaboration_id": collaboration, "db_label": "default", "organizations": asked},
        )
        task = self.ask(
            self.researcher,
            "POST",
            "/task",
            json={
                "name": "From the web interface",
                "description": "",
                "image": "harbor2.vantage6.ai/demo/average",
                "collaboration_id": collaboration,
                "organizations": asked,
                "databases": [{"label": "default"}],
            },
        )["id"]
        ended = lambda: self.researcher.get(f"/task/{task}")["status"] == "completed"  # noqa: E731
        wait_until(ended, "the task ends")
        self.ids = {
            "organization": organization,
            "collaboration": collaboration,
            "researcher": filled["users"]["researcher"],
            "role": self.root.ids("/role")["Researcher"],
            "task": task,
        }

    def ask(self, account, method, path, **options):
        answer = requests.request(
            method, f"{self.url}{path}", headers={"Authorization": f"Bearer {account.token}"}, timeout=60, **options
        )
        total = answer.headers.get("total-count")
        step = f"{account.username}: {method} {path.split('?')[0]}"
        self.exchanges.append(Exchange(step, step, answer.status_code, answer.json(), total))
        return answer.json()

    def ask_all(self):
        for account, calls in ((self.researcher, AS_RESEARCHER), (self.root, AS_ROOT)):
            for call in calls.split("\n"):
                if call:
                    method, path = call.format(**self.ids).split(" ", 1)
                    self.ask(account, method, path)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    (folder / "real").mkdir()
    real = RealServer(folder / "real")
    hub = Atoll(tmp_path_factory.mktemp("hub"), env={"ATOLL_ROOT_PASSWORD": ROOT_PASSWORD})
    nodes = []
    try:
        ours = Place(folder / "node of hub", hub.url, ROOT_PASSWORD)
        nodes.append(ours.node)
        theirs = Place(folder / "node of real", real.wait_until_up().origin, "root")
        nodes.append(theirs.node)
        yield ours, theirs
    finally:
        for process in [*nodes, hub, real]:
            process.stop()


def test_what_the_web_interface_asks_is_answered_as_by_the_real_server(places):
    ours, theirs = places
    for place in places:
        place.ask_all()
    assert [exchange.status for exchange in ours.exchanges if exchange.status >= 400] == []
    unexpected = []
    for step, kind, where, own, other in compare(ours.exchanges, theirs.exchanges):
        # The hub has rules and a role more.
        if kind == "total" and where.endswith(("GET /role", "GET /rule")):
            continue
        if where not in MEANT and where.rpartition(".")[2] not in MEANT:
            unexpected.append(f"{step}: {kind} {where}: hub {own}, server {other}")
    assert not unexpected, "\n".join(unexpected)
