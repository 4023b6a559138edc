"""One way through the whole API with the official client, the same for every server."""

import json
from base64 import b64encode

import requests
from vantage6.client import Client
from vantage6.common.exceptions import AuthenticationException

IMAGE = "harbor2.vantage6.ai/demo/average"
PASSWORD = "Passw0rd-for-tests!"
INPUT = {"method": "partial_average", "kwargs": {"column_name": "age"}}
LATER, EARLIER = "2999-01-01T00:00:00+00:00", "2000-01-01T00:00:00+00:00"


def encode(value):
    return b64encode(json.dumps(value).encode()).decode()


class Scenario:
    """The server at `origin` (+ /api), with the password of its account root; steps go to the recorder."""

    def __init__(self, origin, root_password, recorder):
        host, port = origin.rsplit(":", 1)
        self.host, self.port, self.root_password = host, int(port), root_password
        self.url = f"{origin}/api"
        self.recorder = recorder

    def client(self, username, password=PASSWORD):
        client = Client(self.host, self.port, "/api", log_level="critical")
        client.authenticate(username, password)
        client.setup_encryption(None)
        return client

    def run(self):
        with self.recorder.watching():
            self.sign_in()
            self.utilities()
            self.organizations()
            self.rules_and_roles()
            self.collaborations()
            self.users()
            self.studies()
            self.nodes()
            self.tasks()
            self.runs_as_node()
            self.results()
            self.subtasks()
            self.columns()
            self.kill()
            self.other_roles()
            self.malformed()
            self.account()
            self.deletions()

    def step(self, name):
        return self.recorder.step(name)

    def tidy(self, made, delete):
        """Takes away what one of the servers should not have made, so that later lists can be compared."""
        if "id" in made:
            self.recorder.pause(lambda: delete(made["id"]))

    def raw(self, method, path, client=None, token=None, **options):
        """A request past the client, for what it does not offer."""
        token = token or (client and client.token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, f"{self.url}{path}", headers=headers, **options)

    # --- who asks ---------------------------------------------------------------------------------------------

    def sign_in(self):
        with self.step("authenticate"):
            self.root = self.client("root", self.root_password)
        with self.step("authenticate with a wrong password"):
            try:
                self.client("root", "wrong")
            except AuthenticationException:
                pass
        with self.step("authenticate an unknown user"):
            try:
                self.client("nobody", "wrong")
            except AuthenticationException:
                pass
        with self.step("refresh_token"):
            self.root.refresh_token()
        with self.step("without a token"):
            self.raw("GET", "/organization")
        with self.step("with a token that is none"):
            self.raw("GET", "/organization", token="no.token.atall")
        with self.step("refresh with an access token"):
            self.raw("POST", "/token/refresh", self.root)
        with self.step("use a refresh token as access token"):
            self.raw("GET", "/organization", token=self.root._ClientBase__refresh_token)
        with self.step("validate a token"):
            self.raw("POST", "/token/user/validate", self.root)
        with self.step("sign in without a password"):
            self.raw("POST", "/token/user", json={"username": "root"})
        with self.step("sign in a node with an unknown key"):
            self.raw("POST", "/token/node", json={"api_key": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"})
        with self.step("sign in a node with no key"):
            self.raw("POST", "/token/node", json={"api_key": "no uuid"})

    def utilities(self):
        with self.step("util.get_server_version"):
            self.root.util.get_server_version()
        with self.step("util.get_server_health"):
            self.root.util.get_server_health()
        with self.step("blob store"):
            self.root.check_if_blob_store_enabled()

    def organizations(self):
        root = self.root
        self.organization_ids = []
        for name in ("alpha", "beta", "gamma"):
            with self.step("organization.create"):
                made = root.organization.create(name, "Street 1", "", "1234", "NL", f"{name}.example")
            self.organization_ids.append(made["id"])
        a, b, c = self.organization_ids
        with self.step("organization.create with a name that is taken"):
            root.organization.create("alpha", "", "", "", "", "")
        with self.step("organization.create without a name"):
            root.organization.create("", "", "", "", "", "")
        with self.step("organization.create with a number for a name"):
            root.organization.create("12", "", "", "", "", "")
        with self.step("organization.list"):
            root.organization.list()
        with self.step("organization.list by name"):
            root.organization.list(name="al%")
        with self.step("organization.list by country"):
            root.organization.list(country="NL")
        with self.step("organization.list, second page"):
            root.organization.list(page=2, per_page=2)
        with self.step("organization.get"):
            root.organization.get(a)
        with self.step("organization.get of one's own"):
            root.organization.get()
        with self.step("organization.get of none"):
            root.organization.get(999)
        with self.step("organization.update"):
            root.organization.update(a, address1="Street 2", public_key="")
        with self.step("organization.update of none"):
            root.organization.update(999, name="no")
        with self.step("organization.update to a name that is taken"):
            root.organization.update(a, name="beta")

    def rules_and_roles(self):
        root = self.root
        with self.step("rule.list"):
            rules = root.rule.list(per_page=1000)["data"]
        self.rule_id = rules[0]["id"]
        with self.step("rule.list by name"):
            root.rule.list(name="task")
        with self.step("rule.list by scope and operation"):
            root.rule.list(scope="COLLABORATION", operation="VIEW")
        with self.step("rule.list by a wrong scope"):
            root.rule.list(scope="EVERYWHERE")
        with self.step("rule.get"):
            root.rule.get(self.rule_id)
        with self.step("rule.get of none"):
            root.rule.get(99999)
        with self.step("rule without paging"):
            self.raw("GET", "/rule", root, params={"no_pagination": 1})
        a = self.organization_ids[0]
        with self.step("role.list"):
            roles = root.role.list(per_page=100)["data"]
        self.roles = {role["name"]: role["id"] for role in roles}
        with self.step("role.create"):
            made = root.role.create("tester", "for tests", [self.rule_id], a)
        self.role_id = made["id"]
        with self.step("role.create with a name that is taken"):
            root.role.create("tester", "for tests", [self.rule_id], a)
        with self.step("role.create with an unknown rule"):
            root.role.create("other", "for tests", [99999], a)
        with self.step("role.create without rules"):
            root.role.create("empty", "for tests", [], a)
        with self.step("role.list by name"):
            root.role.list(name="tester")
        with self.step("role.list by organization"):
            root.role.list(organization=a, include_root=True)
        with self.step("role.list by rule"):
            root.role.list(rule=self.rule_id)
        with self.step("role.list by user"):
            root.role.list(user=root.whoami.id_)
        with self.step("role.get"):
            root.role.get(self.role_id)
        with self.step("role.get of none"):
            root.role.get(999)
        with self.step("role.update"):
            self.raw("PATCH", f"/role/{self.role_id}", root, json={"description": "changed", "rules": [rules[1]["id"]]})
        with self.step("role.update of a default role"):
            self.raw("PATCH", f"/role/{self.roles['Researcher']}", root, json={"name": "changed"})
        with self.step("rules of a role"):
            root.rule.list(role=self.role_id)
        with self.step("add a rule to a role"):
            self.raw("POST", f"/role/{self.role_id}/rule/{self.rule_id}", root)
        with self.step("remove a rule from a role"):
            self.raw("DELETE", f"/role/{self.role_id}/rule/{self.rule_id}", root)

    def collaborations(self):
        root = self.root
        a, b, c = self.organization_ids
        with self.step("collaboration.create"):
            made = root.collaboration.create("together", [a, b], encrypted=False)
        self.collaboration_id = made["id"]
        with self.step("collaboration.create, encrypted"):
            self.encrypted_id = root.collaboration.create("secret", [a, b, c], encrypted=True)["id"]
        with self.step("collaboration.create with a name that is taken"):
            root.collaboration.create("together", [a, b])
        with self.step("collaboration.create with an unknown organization"):
            made = root.collaboration.create("other", [a, 999])
        self.tidy(made, root.collaboration.delete)
        with self.step("collaboration.list, global"):
            root.collaboration.list(scope="global")
        with self.step("collaboration.list of one's own organization"):
            root.collaboration.list()
        with self.step("collaboration.list by name"):
            root.collaboration.list(scope="global", name="tog%")
        with self.step("collaboration.list by encryption"):
            root.collaboration.list(scope="global", encrypted=True)
        with self.step("collaboration.list by organization"):
            root.collaboration.list(scope="global", organization=c)
        with self.step("collaborations with their organizations"):
            self.raw("GET", "/collaboration", root, params={"include": "organizations"})
        with self.step("collaboration.get"):
            root.collaboration.get(self.collaboration_id)
        with self.step("collaboration.get of none"):
            root.collaboration.get(999)
        with self.step("setup_collaboration"):
            root.setup_collaboration(self.collaboration_id)
            root.collaboration_id = None
        with self.step("collaboration.update"):
            root.collaboration.update(self.collaboration_id, name="together again")
        with self.step("collaboration.add_organization"):
            root.collaboration.add_organization(c, self.collaboration_id)
        with self.step("collaboration.add_organization that is there"):
            root.collaboration.add_organization(c, self.collaboration_id)
        with self.step("collaboration.add_organization that is not known"):
            root.collaboration.add_organization(999, self.collaboration_id)
        with self.step("collaboration.remove_organization"):
            root.collaboration.remove_organization(c, self.collaboration_id)
        with self.step("organizations of a collaboration"):
            root.organization.list(collaboration=self.collaboration_id)

    def users(self):
        root = self.root
        a, b, c = self.organization_ids
        self.clients, self.user_ids = {}, {}
        accounts = [
            ("researcher", a, "Researcher"),
            ("viewer", a, "Viewer"),
            ("admin", b, "Organization Admin"),
            ("manager", a, "Collaboration Admin"),
            ("outsider", c, "Researcher"),
        ]
        for name, organization, role in accounts:
            with self.step("user.create"):
                made = root.user.create(
                    name, name.title(), "Tester", PASSWORD, f"{name}@example.org", organization, [self.roles[role]], []
                )
            self.user_ids[name] = made["id"]
        with self.step("user.create with a name that is taken"):
            root.user.create("researcher", "R", "T", PASSWORD, "other@example.org", a, [], [])
        with self.step("user.create with an address that is taken"):
            root.user.create("other", "R", "T", PASSWORD, "researcher@example.org", a, [], [])
        with self.step("user.create with a weak password"):
            root.user.create("weak", "R", "T", "weak", "weak@example.org", a, [], [])
        with self.step("user.create with a wrong address"):
            root.user.create("weak", "R", "T", PASSWORD, "no address", a, [], [])
        with self.step("user.create with an unknown role"):
            made = root.user.create("other", "R", "T", PASSWORD, "other@example.org", a, [999], [])
        self.tidy(made, root.user.delete)
        with self.step("user.create in an unknown organization"):
            root.user.create("other", "R", "T", PASSWORD, "other@example.org", 999, [], [])
        for what, filters in {
            "": {},
            " by username": {"username": "res%"},
            " by organization": {"organization": a},
            " by names": {"firstname": "Researcher", "lastname": "Tester"},
            " by email": {"email": "viewer@example.org"},
            " by role": {"role": self.roles["Researcher"]},
            " by rule": {"rule": self.rule_id},
            " seen": {"last_seen_from": EARLIER, "last_seen_till": LATER},
        }.items():
            with self.step(f"user.list{what}"):
                root.user.list(**filters)
        with self.step("user.get"):
            root.user.get(self.user_ids["viewer"])
        with self.step("user.get of oneself"):
            root.user.get()
        with self.step("user.get of none"):
            root.user.get(999)
        with self.step("a user with permissions"):
            path = f"/user/{self.user_ids['viewer']}"
            self.raw("GET", path, root, params={"include_permissions": 1})
        with self.step("user.update"):
            root.user.update(self.user_ids["viewer"], firstname="Vera", roles=[self.roles["Viewer"]])
        with self.step("user.update with an address that is taken"):
            root.user.update(self.user_ids["viewer"], email="researcher@example.org")
        with self.step("user.update of none"):
            root.user.update(999, firstname="No")
        for name, *_ in accounts:
            with self.step(f"authenticate {name}"):
                self.clients[name] = self.client(name)

    def studies(self):
        manager = self.clients["manager"]
        a, b, c = self.organization_ids
        with self.step("study.create"):
            made = manager.study.create("part", [a], self.collaboration_id)
        self.study_id = made["id"]
        with self.step("study.create with a name that is taken"):
            manager.study.create("part", [a], self.collaboration_id)
        with self.step("study.create with an organization from elsewhere"):
            manager.study.create("other", [c], self.collaboration_id)
        with self.step("study.list"):
            manager.study.list()
        with self.step("study.list by name"):
            manager.study.list(name="pa%")
        with self.step("study.list by organization"):
            manager.study.list(organization=a)
        with self.step("study.list by collaboration with organizations"):
            manager.study.list(collaboration=self.collaboration_id, include_organizations=True)
        with self.step("study.get"):
            manager.study.get(self.study_id)
        with self.step("study.get of none"):
            manager.study.get(999)
        with self.step("study.update"):
            manager.study.update(self.study_id, name="part of it", organizations=[a])
        with self.step("study.add_organization"):
            manager.study.add_organization(b, self.study_id)
        with self.step("study.add_organization from elsewhere"):
            manager.study.add_organization(c, self.study_id)
        with self.step("study.remove_organization"):
            manager.study.remove_organization(b, self.study_id)
        with self.step("organizations of a study"):
            manager.organization.list(study=self.study_id)

    def nodes(self):
        root, (a, b, c) = self.root, self.organization_ids
        self.node_ids, self.node_tokens = {}, {}
        for name, organization in (("alpha", a), ("beta", b)):
            with self.step("node.create"):
                made = root.node.create(self.collaboration_id, organization, f"{name} node")
            self.node_ids[name] = made["id"]
            with self.step("sign in a node"):
                token = self.raw("POST", "/token/node", json={"api_key": made["api_key"]}).json()
            self.node_tokens[name] = token["access_token"]
        with self.step("node.create without a name"):
            unnamed = root.node.create(self.encrypted_id, a)
        with self.step("node.create where there is one"):
            root.node.create(self.collaboration_id, a)
        with self.step("node.create for an organization from elsewhere"):
            root.node.create(self.collaboration_id, c)
        with self.step("node.create in no collaboration"):
            root.node.create(999, a)
        for what, filters in {
            "": {},
            " by name": {"name": "alpha%"},
            " by organization": {"organization": a},
            " by collaboration": {"collaboration": self.collaboration_id},
            " by study": {"study": self.study_id},
            " online": {"is_online": True},
            " offline": {"is_online": False},
            " by address": {"ip": "10.0.0.1"},
            " seen": {"last_seen_from": EARLIER, "last_seen_till": LATER},
        }.items():
            with self.step(f"node.list{what}"):
                root.node.list(**filters)
        with self.step("node.get"):
            root.node.get(self.node_ids["alpha"])
        with self.step("node.get of none"):
            root.node.get(999)
        with self.step("node.update"):
            root.node.update(self.node_ids["alpha"], name="alpha's node")
        with self.step("node.update of the address"):
            root.node.update(self.node_ids["alpha"], clear_ip=True)
        with self.step("node.update to a name that is taken"):
            root.node.update(self.node_ids["alpha"], name="beta node")
        with self.step("node.delete"):
            root.node.delete(unnamed["id"])
        with self.step("node.delete of none"):
            root.node.delete(999)
        for what, path in {
            "itself": f"/node/{self.node_ids['alpha']}",
            "its organization": f"/organization/{a}",
            "its collaboration": f"/collaboration/{self.collaboration_id}",
            "organizations": "/organization",
            "tasks": "/task",
            "another node": f"/node/{self.node_ids['beta']}",
            "users": "/user",
            "roles": "/role",
            "studies": "/study",
        }.items():
            with self.step(f"a node reads {what}"):
                self.raw("GET", path, token=self.node_tokens["alpha"])

    def tasks(self):
        researcher = self.clients["researcher"]
        a, b, c = self.organization_ids
        create = {"name": "average", "image": IMAGE, "description": "of ages", "input_": INPUT}
        with self.step("task.create"):
            made = researcher.task.create([a, b], collaboration=self.collaboration_id, databases="default", **create)
        self.task_id = made["id"]
        databases = [{"label": "default"}, {"label": "other", "query": "SELECT 1", "sheet_name": "One"}]
        with self.step("task.create in a study with two databases"):
            made = researcher.task.create([a], study=self.study_id, databases=databases, **create)
        self.study_task_id = made["id"]
        with self.step("task.create with preprocessing"):
            steps = [{"function": "select_rows", "parameters": {"query": "age > 18"}}]
            researcher.task.create(
                [a],
                collaboration=self.collaboration_id,
                databases=[{"label": "default", "preprocessing": steps}],
                **create,
            )
        with self.step("task.create at an organization from elsewhere"):
            researcher.task.create([c], collaboration=self.collaboration_id, **create)
        with self.step("task.create at no organization"):
            researcher.task.create([], collaboration=self.collaboration_id, **create)
        with self.step("task.create in no collaboration"):
            researcher.task.create([a], collaboration=999, **create)
        with self.step("task.create in no study"):
            researcher.task.create([a], study=999, **create)
        with self.step("task.create without a name"):
            researcher.task.create([a], collaboration=self.collaboration_id, **{**create, "name": ""})
        with self.step("task.create with a number for a name"):
            researcher.task.create([a], collaboration=self.collaboration_id, **{**create, "name": "12"})
        with self.step("task.create with a readable input where encryption is needed"):
            self.clients["manager"].task.create([a], collaboration=self.encrypted_id, **create)
        for what, filters in {
            "": {},
            " with results": {"include_results": True},
            " by initiating organization": {"initiating_org": a},
            " by initiating user": {"initiating_user": self.user_ids["researcher"]},
            " by collaboration": {"collaboration": self.collaboration_id},
            " by study": {"study": self.study_id},
            " by image": {"image": IMAGE},
            " by parent": {"parent": self.task_id},
            " by job": {"job": 1},
            " by name": {"name": "aver%"},
            " by description": {"description": "of %"},
            " by database": {"database": "default"},
            " by run": {"run": 1},
            " by status": {"status": "pending"},
            " by store": {"store": 1},
            " made by users": {"user_created": True},
            " made by algorithms": {"user_created": False},
            ", second page": {"page": 2, "per_page": 1},
        }.items():
            with self.step(f"task.list{what}"):
                researcher.task.list(**filters)
        with self.step("tasks with runs and results"):
            self.raw("GET", "/task", researcher, params={"include": "runs,results"})
        with self.step("tasks, sorted"):
            self.raw("GET", "/task", researcher, params={"sort": "name"})
        with self.step("task.get"):
            researcher.task.get(self.task_id)
        with self.step("task.get with results"):
            researcher.task.get(self.task_id, include_results=True)
        with self.step("a task with runs"):
            self.raw("GET", f"/task/{self.task_id}", researcher, params={"include": "runs"})
        with self.step("task.get of none"):
            researcher.task.get(999)
        with self.step("status of a task"):
            self.raw("GET", f"/task/{self.task_id}/status", researcher)
        with self.step("status of no task"):
            self.raw("GET", "/task/999/status", researcher)

    def runs_as_node(self):
        """The part of the protocol that nodes speak."""
        a, b, _ = self.organization_ids
        token, beta = self.node_tokens["alpha"], self.node_tokens["beta"]
        options = {"state": "open", "include": "task"}
        with self.step("a node asks for its open runs"):
            query = {**options, "node_id": self.node_ids["alpha"], "task_id": self.task_id}
            runs = self.raw("GET", "/run", token=token, params=query).json()["data"]
        self.run_id = runs[0]["id"]
        with self.step("the other node asks for its open runs"):
            query = {**options, "node_id": self.node_ids["beta"], "task_id": self.task_id}
            self.other_run_id = self.raw("GET", "/run", token=beta, params=query).json()["data"][0]["id"]
        path = f"/run/{self.run_id}"
        moment = "2026-01-01T12:00:00.000001+00:00"
        with self.step("a node begins a run"):
            self.raw("PATCH", path, token=token, json={"started_at": moment})
        with self.step("a container token"):
            request = {"task_id": self.task_id, "image": IMAGE}
            self.container = self.raw("POST", "/token/container", token=token, json=request).json()["container_token"]
        with self.step("a container token for another image"):
            self.raw("POST", "/token/container", token=token, json={"task_id": self.task_id, "image": "other"})
        with self.step("a container token for no task"):
            self.raw("POST", "/token/container", token=token, json={"task_id": 999, "image": IMAGE})
        with self.step("a node reports that it is active"):
            self.raw("PATCH", path, token=token, json={"status": "active"})
        with self.step("a node reports a status that does not exist"):
            self.raw("PATCH", path, token=token, json={"status": "dancing"})
        with self.step("a node reports about another's run"):
            self.raw("PATCH", path, token=beta, json={"status": "active"})
        with self.step("a node reports about no run"):
            self.raw("PATCH", "/run/9999", token=token, json={"status": "active"})
        with self.step("a user reports about a run"):
            self.raw("PATCH", path, self.clients["researcher"], json={"status": "active"})

    def results(self):
        researcher = self.clients["researcher"]
        token = self.node_tokens["alpha"]
        moment = "2026-01-01T12:00:05.000001+00:00"
        done = {"result": encode({"sum": 1, "count": 2}), "log": "done", "status": "completed", "finished_at": moment}
        self.finish_run = done
        for what, filters in {
            "": {},
            " by task": {"task": self.task_id},
            " by organization": {"organization": self.organization_ids[0]},
            " open": {"state": "open"},
            " by node": {"node": self.node_ids["alpha"]},
            " with task": {"include_task": True},
            " by times": {"started": (EARLIER, LATER), "assigned": (EARLIER, LATER)},
            " finished": {"finished": (EARLIER, LATER)},
            " by port": {"port": 8888},
            ", second page": {"page": 2, "per_page": 1},
        }.items():
            with self.step(f"run.list{what}"):
                try:
                    researcher.run.list(**filters)
                except (KeyError, TypeError):
                    # The client reads a failure as a list.
                    pass
        with self.step("run.get"):
            researcher.run.get(self.run_id)
        with self.step("run.get with task"):
            researcher.run.get(self.run_id, include_task=True)
        with self.step("run.get of none"):
            try:
                researcher.run.get(9999)
            except KeyError:
                pass
        with self.step("run.from_task"):
            researcher.run.from_task(self.task_id)
        with self.step("result.get before there is one"):
            researcher.result.get(self.run_id)
        with self.step("result.from_task"):
            researcher.result.from_task(self.task_id)
        with self.step("result of none"):
            self.raw("GET", "/result/9999", researcher)
        self.done = done

    def subtasks(self):
        """What an algorithm does with its container token."""
        a, b, c = self.organization_ids
        body = {
            "name": "subtask",
            "image": IMAGE,
            "collaboration_id": self.collaboration_id,
            "description": "from a container",
            "organizations": [{"id": b, "input": encode(INPUT)}],
            "databases": [{"label": "default"}],
        }
        with self.step("a container creates a subtask"):
            made = self.raw("POST", "/task", token=self.container, json=body).json()
        self.subtask_id = made["id"]
        with self.step("a container creates a subtask with another image"):
            self.raw("POST", "/task", token=self.container, json={**body, "image": "other"})
        with self.step("a container creates a subtask elsewhere"):
            self.raw("POST", "/task", token=self.container, json={**body, "organizations": [{"id": c, "input": "e30="}]})
        for what, path in {
            "its task": f"/task/{self.task_id}",
            "its subtask": f"/task/{self.subtask_id}",
            "the status of its subtask": f"/task/{self.subtask_id}/status",
            "results": f"/result?task_id={self.subtask_id}",
            "runs": f"/run?task_id={self.subtask_id}",
            "organizations": f"/organization?collaboration_id={self.collaboration_id}",
            "an organization": f"/organization/{b}",
            "its collaboration": f"/collaboration/{self.collaboration_id}",
            "nodes": "/node",
            "users": "/user",
        }.items():
            with self.step(f"a container reads {what}"):
                self.raw("GET", path, token=self.container)
        token, beta = self.node_tokens["alpha"], self.node_tokens["beta"]
        with self.step("a node finishes a run"):
            self.raw("PATCH", f"/run/{self.run_id}", token=token, json=self.done)
        with self.step("a node finishes a run again"):
            self.raw("PATCH", f"/run/{self.run_id}", token=token, json=self.done)
        with self.step("the other node fails"):
            failed = {"log": "no such column", "status": "crashed", "finished_at": self.done["finished_at"]}
            self.raw("PATCH", f"/run/{self.other_run_id}", token=beta, json=failed)
        researcher = self.clients["researcher"]
        with self.step("wait_for_results"):
            researcher.wait_for_results(self.task_id, interval=0.05)
        with self.step("result.get"):
            researcher.result.get(self.run_id)
        with self.step("result.from_task of a task that has ended"):
            researcher.result.from_task(self.task_id)
        with self.step("task.get of a task that has ended"):
            researcher.task.get(self.task_id, include_results=True)
        with self.step("tasks made by algorithms"):
            researcher.task.list(user_created=False)
        with self.step("tasks of a parent"):
            researcher.task.list(parent=self.task_id)

    def columns(self):
        researcher, (a, *_) = self.clients["researcher"], self.organization_ids
        asked = {"db_label": "default", "organizations": [{"id": a, "input": encode({"method": "column_headers"})}]}
        for what, body in {
            "that no node tells": {**asked, "collaboration_id": self.collaboration_id},
            "of a collaboration that is not there": {**asked, "collaboration_id": 9999},
            "of no organization": {**asked, "collaboration_id": self.collaboration_id, "organizations": []},
            "of no database": {"collaboration_id": self.collaboration_id, "organizations": asked["organizations"]},
        }.items():
            with self.step(f"columns {what}"):
                self.raw("POST", "/column", researcher, json=body)
        with self.step("columns as somebody who may not create tasks"):
            self.raw("POST", "/column", self.clients["admin"], json={**asked, "collaboration_id": self.collaboration_id})

    def kill(self):
        researcher, root = self.clients["researcher"], self.root
        admin = self.clients["admin"]
        with self.step("kill a task as researcher of another organization"):
            self.clients["outsider"].task.kill(self.study_task_id)
        with self.step("task.kill"):
            root.task.kill(self.study_task_id)
        with self.step("task.get of a task that was killed"):
            root.task.get(self.study_task_id, include_results=True)
        with self.step("task.kill again"):
            root.task.kill(self.study_task_id)
        with self.step("task.kill of none"):
            root.task.kill(999)
        with self.step("node.kill_tasks"):
            root.node.kill_tasks(self.node_ids["alpha"])
        with self.step("node.kill_tasks of none"):
            root.node.kill_tasks(999)
        with self.step("node.kill_tasks without permission"):
            self.clients["viewer"].node.kill_tasks(self.node_ids["alpha"])
        with self.step("task.delete without permission"):
            self.clients["viewer"].task.delete(self.study_task_id)
        with self.step("task.delete"):
            researcher.task.delete(self.study_task_id)
        with self.step("task.delete of none"):
            admin.task.delete(999)

    def other_roles(self):
        """The same questions from people with less rights."""
        a, b, c = self.organization_ids
        for name in ("viewer", "researcher", "admin", "manager", "outsider"):
            client = self.clients[name]
            if name == "outsider":
                # The hub has refused the manager a node for another organization, the server has not.
                with self.step("node.create after the manager's"):
                    self.root.node.create(self.encrypted_id, c)
            reads = {
                "organization.list": lambda: client.organization.list(),
                "organization.get of another": lambda: client.organization.get(b if name != "admin" else a),
                "organization.get outside": lambda: client.organization.get(c if name != "outsider" else a),
                "collaboration.list": lambda: client.collaboration.list(scope="global"),
                "collaboration.get": lambda: client.collaboration.get(self.collaboration_id),
                "user.list": lambda: client.user.list(),
                "user.get of root": lambda: client.user.get(self.root.whoami.id_),
                "role.list": lambda: client.role.list(),
                "node.list": lambda: client.node.list(),
                "node.get": lambda: client.node.get(self.node_ids["alpha"]),
                "study.list": lambda: client.study.list(),
                "study.get": lambda: client.study.get(self.study_id),
                "task.list": lambda: client.task.list(),
                "task.get": lambda: client.task.get(self.task_id),
                "run.list": lambda: self.raw("GET", "/run", client),
                "run.get": lambda: self.raw("GET", f"/run/{self.run_id}", client),
                "result.list": lambda: self.raw("GET", "/result", client),
                "result.get": lambda: self.raw("GET", f"/result/{self.run_id}", client),
                "rule.list": lambda: client.rule.list(),
                "algorithm stores": lambda: self.raw("GET", "/algorithmstore", client),
            }
            for what, read in reads.items():
                with self.step(f"{what} as {name}"):
                    read()
            writes = {
                "organization.create": lambda: client.organization.create(f"of {name}", "", "", "", "", ""),
                "collaboration.create": lambda: client.collaboration.create(f"of {name}", [c]),
                "collaboration.add_organization": lambda: client.collaboration.add_organization(
                    999, self.collaboration_id
                ),
                "user.create in another organization": lambda: client.user.create(
                    f"by{name}", "A", "B", PASSWORD, f"by{name}@example.org", 1, [], []
                ),
                "user.update of root": lambda: client.user.update(self.root.whoami.id_, firstname="Owned"),
                "user.delete of root": lambda: client.user.delete(self.root.whoami.id_),
                "role.create": lambda: client.role.create(f"by {name}", "", [self.rule_id], 1),
                "role.delete": lambda: client.role.delete(self.role_id),
                "node.create": lambda: client.node.create(self.encrypted_id, c),
                "node.delete": lambda: client.node.delete(self.node_ids["beta"]) if name != "admin" else None,
                "study.create": lambda: client.study.create(f"by {name}", [c], self.encrypted_id),
                "task.create elsewhere": lambda: self.raw(
                    "POST",
                    "/task",
                    client,
                    json={
                        "name": "x",
                        "image": IMAGE,
                        "collaboration_id": self.encrypted_id if name == "outsider" else self.collaboration_id,
                        "organizations": [{"id": c, "input": encode(INPUT)}],
                    },
                ),
                "task.delete": lambda: client.task.delete(self.subtask_id) if name == "viewer" else None,
            }
            for what, write in writes.items():
                with self.step(f"{what} as {name}"):
                    write()

    def malformed(self):
        """Requests that no client should send."""
        root = self.root
        for what, method, path, options in [
            ("a page that is no number", "GET", "/task", {"params": {"page": "one"}}),
            ("page 0", "GET", "/task", {"params": {"page": 0}}),
            ("pages of -1", "GET", "/organization", {"params": {"per_page": -1}}),
            ("an id that is no number", "GET", "/task/abc", {}),
            ("an id that is too large", "GET", "/task/99999999999999999999", {}),
            ("a filter that is no number", "GET", "/task", {"params": {"collaboration_id": "x"}}),
            ("an unknown path", "GET", "/nothing", {}),
            ("an unknown method", "PUT", "/organization", {}),
            ("a body that is no JSON", "POST", "/organization", {"data": "{", "headers": {}}),
            ("an unknown field", "POST", "/organization", {"json": {"name": "x1", "colour": "red"}}),
            ("a field of a wrong type", "POST", "/organization", {"json": {"name": 5}}),
            ("a list for a body", "POST", "/organization", {"json": [1]}),
            ("an unknown sort", "GET", "/organization", {"params": {"sort": "colour"}}),
            ("sorting", "GET", "/organization", {"params": {"sort": "-name"}}),
            ("a task without organizations", "POST", "/task", {"json": {"name": "x", "image": IMAGE}}),
            ("a kill without an id", "POST", "/kill/task", {"json": {}}),
        ]:
            options.pop("headers", None)
            with self.step(f"malformed: {what}"):
                self.raw(method, path, root, **options)

    def account(self):
        viewer = self.clients["viewer"]
        with self.step("util.change_my_password with a wrong one"):
            viewer.util.change_my_password("wrong", "Another-Passw0rd!")
        with self.step("util.change_my_password to a weak one"):
            viewer.util.change_my_password(PASSWORD, "weak")
        with self.step("util.change_my_password to the same"):
            viewer.util.change_my_password(PASSWORD, PASSWORD)
        with self.step("util.change_my_password"):
            viewer.util.change_my_password(PASSWORD, "Another-Passw0rd!")
        with self.step("authenticate with the new password"):
            self.raw("POST", "/token/user", json={"username": "viewer", "password": "Another-Passw0rd!"})
        with self.step("util.reset_my_password by username"):
            self.root.util.reset_my_password(username="researcher")
        with self.step("util.reset_my_password by email of nobody"):
            self.root.util.reset_my_password(email="nobody@example.org")
        with self.step("reset a password of nobody in particular"):
            self.raw("POST", "/recover/lost", json={})
        with self.step("util.set_my_password with a token that is none"):
            self.root.util.set_my_password("no.token", PASSWORD)
        with self.step("util.reset_two_factor_auth with a wrong password"):
            self.raw("POST", "/recover/2fa/lost", json={"username": "researcher", "password": "wrong"})
        with self.step("util.reset_two_factor_auth"):
            self.raw("POST", "/recover/2fa/lost", json={"username": "researcher", "password": PASSWORD})
        with self.step("util.set_two_factor_auth with a token that is none"):
            self.root.util.set_two_factor_auth("no.token")
        with self.step("a new key for a node"):
            self.raw("POST", "/recover/node", self.root, json={"id": self.node_ids["alpha"]})
        with self.step("a new key for no node"):
            self.raw("POST", "/recover/node", self.root, json={"id": 999})

    def deletions(self):
        root = self.root
        manager = self.clients["manager"]
        a, b, c = self.organization_ids
        with self.step("study.delete"):
            manager.study.delete(self.study_id)
        with self.step("study.delete of none"):
            manager.study.delete(999)
        with self.step("role.delete of a default role"):
            root.role.delete(self.roles["Researcher"])
        with self.step("role.delete"):
            root.role.delete(self.role_id)
        with self.step("role.delete of none"):
            root.role.delete(999)
        with self.step("user.delete"):
            root.user.delete(self.user_ids["outsider"])
        with self.step("user.delete of none"):
            root.user.delete(999)
        with self.step("organization.delete with dependents"):
            root.organization.delete(b)
        with self.step("collaboration.delete with dependents"):
            root.collaboration.delete(self.collaboration_id)
        with self.step("collaboration.delete"):
            root.collaboration.delete(self.collaboration_id, delete_dependents=True)
        with self.step("collaboration.delete of none"):
            root.collaboration.delete(999)
        with self.step("organization.delete of none"):
            root.organization.delete(999)
        with self.step("organization.delete"):
            root.organization.delete(c, delete_dependents=True)
