"""The official client does the same to Atoll's hub and to the real server; both must answer alike.

Differences that are meant stand with their reasons in differences.yaml; every other one fails, and so does one that
is listed but no longer there.
"""

import fnmatch
from pathlib import Path

import pytest
import yaml
from client_4_15.exchange import Recorder
from client_4_15.scenario import Scenario
from support.processes import Atoll
from support.real_server import RealServer

DIFFERENCES = Path(__file__).parent / "differences.yaml"
ROOT_PASSWORD = "Coral-reef-7-keeper!"


def play(origin, root_password):
    recorder = Recorder(f"{origin}/api")
    Scenario(origin, root_password, recorder).run()
    return recorder.exchanges


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Both servers, empty."""
    real = RealServer(tmp_path_factory.mktemp("real"))
    hub = Atoll(tmp_path_factory.mktemp("hub"), env={"ATOLL_ROOT_PASSWORD": ROOT_PASSWORD})
    yield hub, real.wait_until_up()
    hub.stop()
    real.stop()


def by_step(exchanges):
    """The exchanges of each step, without the client's second tries: it refreshes its token after every failure."""
    steps = {}
    for exchange in exchanges:
        of_step = steps.setdefault(exchange.step, [])
        if exchange.request == "POST /token/refresh" and "refresh" not in exchange.step:
            continue
        if of_step and of_step[-1].status > 210 and of_step[-1].request == exchange.request:
            continue
        of_step.append(exchange)
    return steps


def compare(ours, theirs):
    """Each difference as a step, a kind of difference, where it is, and what the two say."""
    ours, theirs = by_step(ours), by_step(theirs)
    for step in [*ours, *(step for step in theirs if step not in ours)]:
        own, other = ours.get(step, []), theirs.get(step, [])
        if [exchange.request for exchange in own] != [exchange.request for exchange in other]:
            yield step, "requests", "", [item.request for item in own], [item.request for item in other]
        else:
            for left, right in zip(own, other):
                yield from compare_exchange(left, right)


def compare_exchange(own, other):
    if own.status != other.status:
        # Answers of different meaning have different shapes.
        yield own.step, "status", own.request, own.status, other.status
        return
    if own.message() != other.message():
        yield own.step, "message", own.request, own.message(), other.message()
    if own.total != other.total:
        yield own.step, "total", own.request, own.total, other.total
    left, right = own.shape(), other.shape()
    for path in sorted(left.keys() | right.keys()):
        a, b = left.get(path, {"absent"}), right.get(path, {"absent"})
        above = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0] or "body"
        # What is in something that only one of the two has.
        if above != path and above in left.keys() ^ right.keys():
            continue
        if a != b:
            yield own.step, "shape", path, "|".join(sorted(a)), "|".join(sorted(b))


def is_meant(difference, entry):
    step, kind, where, own, other = difference
    return (
        fnmatch.fnmatchcase(step, entry["step"])
        and fnmatch.fnmatchcase(kind, entry["kind"])
        and fnmatch.fnmatchcase(where, entry.get("where", "*"))
        and fnmatch.fnmatchcase(str(own), str(entry.get("hub", "*")))
        and fnmatch.fnmatchcase(str(other), str(entry.get("server", "*")))
    )


def test_the_hub_answers_as_the_real_server_but_for_what_is_meant(servers):
    hub, real = servers
    ours = play(hub.url, ROOT_PASSWORD)
    theirs = play(real.origin, "root")
    assert len(ours) > 300
    entries = yaml.safe_load(DIFFERENCES.read_text())
    assert all(entry.get("reason") for entry in entries)
    used, unexpected = set(), []
    for difference in compare(ours, theirs):
        fitting = [index for index, entry in enumerate(entries) if is_meant(difference, entry)]
        used.update(fitting)
        if not fitting:
            step, kind, where, own, other = difference
            unexpected.append(f"{step}: {kind} {where}\n    hub:    {own}\n    server: {other}")
    assert not unexpected, f"{len(unexpected)} differences are not meant:\n" + "\n".join(unexpected)
    stale = [entries[index]["step"] for index in range(len(entries)) if index not in used]
    assert not stale, f"these differences are no longer there: {stale}"
    failures = [f"{exchange.step}: {exchange.body}" for exchange in ours if exchange.status >= 500]
    assert not failures
