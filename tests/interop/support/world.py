"""Fills a real server, and a real store beside it, with the same world that the demo has."""

import requests

PASSWORD = "Atoll-demo-1"
COLLABORATION = "example_collab1"
ORGANIZATIONS = {"example_org1": "Netherlands", "example_org2": "Germany", "example_org3": "Belgium"}

# Username, first and last name, organization, role.
USERS = [
    ("researcher", "Rosa", "Researcher", "example_org1", "Researcher"),
    ("admin1", "Ada", "Admin", "example_org1", "Organization Admin"),
    ("admin2", "Ben", "Admin", "example_org2", "Organization Admin"),
    ("admin3", "Cem", "Admin", "example_org3", "Organization Admin"),
    ("manager", "Mia", "Manager", "example_org1", "Collaboration Admin"),
    ("viewer", "Vera", "Viewer", "example_org3", "Viewer"),
]

# Who is what at the store. A review takes two reviewers of two organizations, neither of them the developer.
DEVELOPER, REVIEWERS = "manager", ("admin2", "admin3")

COLUMN_NAME = {
    "name": "column_name",
    "display_name": "Column",
    "description": "The column whose average is wanted",
    "type": "column",
}
DEFAULT_DATABASE = {"name": "default", "description": "The database with the column"}

AVERAGE = {
    "name": "Average",
    "description": "The average of a column over all organizations",
    "image": "harbor2.vantage6.ai/demo/average",
    "partitioning": "horizontal",
    "vantage6_version": "4.15",
    "code_url": "https://example.org/average",
    "documentation_url": "https://example.org/average/documentation",
    "submission_comments": "The algorithm of the documentation's example session",
    "functions": [
        {
            "name": "central_average",
            "display_name": "Average",
            "description": "Asks every organization for its part and combines them",
            "type": "central",
            "standalone": True,
            "databases": [DEFAULT_DATABASE],
            "arguments": [
                COLUMN_NAME,
                {
                    "name": "organizations_to_include",
                    "display_name": "Organizations",
                    "description": "Which organizations take part; all of them if none is chosen",
                    "type": "organization_list",
                    "has_default_value": True,
                    "default_value": None,
                },
            ],
        },
        {
            "name": "partial_average",
            "display_name": "Sum and count",
            "description": "Sum and number of rows of one organization",
            "type": "federated",
            "standalone": True,
            "databases": [DEFAULT_DATABASE],
            "arguments": [COLUMN_NAME],
        },
    ],
}

# An argument of each type, in each of the ways in which one can be described. The store keeps every default value as
# text. It compares a default value with the allowed ones as texts, so an integer that has both lists texts, and a
# list cannot have both.
ARGUMENTS = [
    {
        "name": "column",
        "display_name": "Column",
        "description": "The column to describe",
        "type": "column",
    },
    {
        "name": "more_columns",
        "display_name": "More columns",
        "description": "Columns to describe as well",
        "type": "column_list",
        "has_default_value": True,
        "default_value": '["age", "height in cm"]',
    },
    {
        "name": "group_by",
        "display_name": "Group by",
        "description": "The column whose values make the groups",
        "type": "column",
        "has_default_value": True,
        "default_value": None,
    },
    {
        "name": "group_minimum",
        "display_name": "Smallest group",
        "description": "Smaller groups are left out",
        "type": "integer",
        "has_default_value": True,
        "default_value": "5",
        "conditional_on": "group_by",
        "conditional_operator": "!=",
        "conditional_value": None,
    },
    {
        "name": "method",
        "display_name": "Method",
        "description": "How to describe the column",
        "type": "string",
        "allowed_values": ["mean", "median", "quantile"],
        "has_default_value": True,
        "default_value": "mean",
    },
    {
        "name": "quantile",
        "display_name": "Quantile",
        "description": "Which quantile",
        "type": "float",
        "has_default_value": True,
        "default_value": "0.5",
        "conditional_on": "method",
        "conditional_operator": "==",
        "conditional_value": "quantile",
    },
    {
        "name": "title",
        "display_name": "Title",
        "description": "The title of the table",
        "type": "string",
    },
    {
        "name": "labels",
        "display_name": "Labels",
        "description": "Labels of the groups",
        "type": "string_list",
        "has_default_value": True,
        "default_value": '["younger", "older"]',
    },
    {
        "name": "measures",
        "display_name": "Measures",
        "description": "What to compute besides",
        "type": "string_list",
        "allowed_values": ["count", "minimum", "maximum"],
    },
    {
        "name": "bins",
        "display_name": "Bins",
        "description": "How many bins",
        "type": "integer",
        "has_default_value": True,
        "default_value": "10",
    },
    {
        "name": "smoothing",
        "display_name": "Smoothing",
        "description": "Only where there are many bins",
        "type": "float",
        "has_default_value": True,
        "default_value": "0.1",
        "conditional_on": "bins",
        "conditional_operator": ">",
        "conditional_value": "20",
    },
    {
        "name": "order",
        "display_name": "Order",
        "description": "Order of the model",
        "type": "integer",
        "allowed_values": ["1", "2", "3"],
        "has_default_value": True,
        "default_value": "2",
    },
    {
        "name": "limits",
        "display_name": "Limits",
        "description": "Limits between the bins",
        "type": "integer_list",
        "has_default_value": True,
        "default_value": "[20, 40, 60]",
    },
    {
        "name": "confidence",
        "display_name": "Confidence",
        "description": "Level of confidence",
        "type": "float",
        "allowed_values": [0.9, 0.95, 0.99],
    },
    {
        "name": "weights",
        "display_name": "Weights",
        "description": "Weights of the groups",
        "type": "float_list",
        "has_default_value": True,
        "default_value": "[0.5, 1.5]",
    },
    {
        "name": "round_values",
        "display_name": "Round",
        "description": "Whether to round",
        "type": "boolean",
        "has_default_value": True,
        "default_value": "false",
    },
    {
        "name": "digits",
        "display_name": "Digits",
        "description": "Digits after the point",
        "type": "integer",
        "has_default_value": True,
        "default_value": "2",
        "conditional_on": "round_values",
        "conditional_operator": "==",
        "conditional_value": "true",
    },
    {
        "name": "options",
        "display_name": "Options",
        "description": "Further options",
        "type": "json",
        "has_default_value": True,
        "default_value": '{"trim": true, "missing": [null, -1]}',
    },
    {
        "name": "reference_organization",
        "display_name": "Reference",
        "description": "The organization to compare with",
        "type": "organization",
        "has_default_value": True,
        "default_value": None,
    },
    {
        "name": "organizations_to_include",
        "display_name": "Organizations",
        "description": "Which organizations take part",
        "type": "organization_list",
    },
    {
        "name": "show_advanced",
        "display_name": "Show more options",
        "description": "Only for the form; the algorithm does not get it",
        "type": "boolean",
        "has_default_value": True,
        "default_value": "false",
        "is_frontend_only": True,
    },
    {
        "name": "seed",
        "description": "An argument without a display name, below one that only the form knows",
        "type": "integer",
        "has_default_value": True,
        "default_value": None,
        "conditional_on": "show_advanced",
        "conditional_operator": "==",
        "conditional_value": "true",
    },
]

WIDE = {
    "name": "Wide",
    "description": "One function that takes every kind of argument",
    "image": "example.org/algorithms/wide",
    "partitioning": "horizontal",
    "vantage6_version": "4.15",
    "code_url": "https://example.org/wide",
    "functions": [
        {
            "name": "describe",
            "display_name": "Describe a column",
            "description": "Takes every kind of argument",
            "type": "federated",
            "databases": [
                {"name": "measurements", "description": "The database with the column"},
                {"name": "reference", "description": "The database to compare with"},
            ],
            "arguments": ARGUMENTS,
            "ui_visualizations": [
                {
                    "name": "Table",
                    "description": "One row for each group",
                    "type": "table",
                    "schema": {"location": ["groups"], "columns": ["group", "count", "mean"]},
                },
                {
                    "name": "Curve",
                    "description": "Counts by bin",
                    "type": "line",
                    "schema": {"location": ["bins"], "x": "bin", "y": "count", "y_axis_min": 0, "y_axis_max": 100},
                },
            ],
        }
    ],
}

ALGORITHMS = {"average": AVERAGE, "wide": WIDE}


class Account:
    """Somebody signed in at a server; with `store_url`, what they do there goes to the store."""

    def __init__(self, server_url, username, password):
        self.server_url, self.url, self.username = server_url, server_url, username
        answer = requests.post(f"{server_url}/token/user", json={"username": username, "password": password})
        self.token = answer.json().get("access_token")
        if not self.token:
            raise RuntimeError(f"{username} cannot sign in: {answer.text}")

    def at(self, store_url):
        """The same account at a store that knows its server."""
        other = object.__new__(Account)
        other.__dict__.update(self.__dict__, url=store_url)
        return other

    def request(self, method, path, **options):
        """The JSON of the answer; fails when it is not a good one."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.url != self.server_url:
            headers["Server-Url"] = self.server_url
        answer = requests.request(method, f"{self.url}{path}", headers=headers, **options)
        if not answer.ok:
            raise RuntimeError(f"{self.username}: {method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def get(self, path, **params):
        return self.request("GET", path, params=params)

    def post(self, path, **body):
        return self.request("POST", path, json=body)

    def ids(self, path):
        """Names and ids of a list."""
        return {item["name"]: item["id"] for item in self.get(path, per_page=100)["data"]}


def fill(server_url, root_password="root"):
    """Makes organizations, collaboration, users and nodes at an empty server; returns their ids and the API keys."""
    root = Account(server_url, "root", root_password)
    roles = root.ids("/role")
    organizations = {}
    for name, country in ORGANIZATIONS.items():
        made = root.post(
            "/organization", name=name, country=country, address1="", address2="", zipcode="", domain="", public_key=""
        )
        organizations[name] = made["id"]
    collaboration = root.post(
        "/collaboration", name=COLLABORATION, encrypted=False, organization_ids=list(organizations.values())
    )
    users = {}
    for username, first_name, last_name, organization, role in USERS:
        made = root.post(
            "/user",
            username=username,
            password=PASSWORD,
            firstname=first_name,
            lastname=last_name,
            email=f"{username}@example.org",
            organization_id=organizations[organization],
            roles=[roles[role]],
            rules=[],
        )
        users[username] = made["id"]
    api_keys = {}
    for name, organization_id in organizations.items():
        node = root.post(
            "/node", name=f"{name} node", collaboration_id=collaboration["id"], organization_id=organization_id
        )
        api_keys[name] = node["api_key"]
    return {
        "organizations": organizations,
        "collaboration": {"id": collaboration["id"], "name": COLLABORATION},
        "users": users,
        "password": PASSWORD,
        "api_keys": api_keys,
    }


def link_store(server_url, store_url, collaboration_id, name="example store", root_password="root"):
    """Links a store to a collaboration and publishes the algorithms there; returns the ids of both."""
    root = Account(server_url, "root", root_password)
    link = root.post(
        "/algorithmstore",
        name=name,
        algorithm_store_url=store_url,
        server_url=server_url,
        collaboration_id=collaboration_id,
        # Needed where one of the two is on loopback.
        force=True,
    )
    return {"id": link["id"], "name": name, "algorithms": publish(server_url, store_url, root)}


def publish(server_url, store_url, root):
    """Submits the algorithms to a store, lets others review and approve them; returns their ids."""
    root = root.at(store_url)
    roles = root.ids("/role")
    root.post("/user", username=DEVELOPER, roles=[roles["Developer"]])
    developer = Account(server_url, DEVELOPER, PASSWORD).at(store_url)
    reviewers = []
    for username in REVIEWERS:
        user = root.post("/user", username=username, roles=[roles["Reviewer"]])
        reviewers.append((user["id"], Account(server_url, username, PASSWORD).at(store_url)))
    algorithms = {}
    for key, algorithm in ALGORITHMS.items():
        algorithms[key] = developer.post("/algorithm", **algorithm)["id"]
        # All reviewers are named before the first one approves: with the last approval it is approved.
        reviews = [
            (reviewer, root.post("/review", algorithm_id=algorithms[key], reviewer_id=user_id)["id"])
            for user_id, reviewer in reviewers
        ]
        for reviewer, review_id in reviews:
            reviewer.post(f"/review/{review_id}/approve", comment="Looks good")
    return algorithms
