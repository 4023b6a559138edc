"""What does not hold yet at the real server: these tests show it, and belong into test_node_on_real_server.py.

Not run by `make test-interop`; run this file by name to see them fail.
"""

from client_4_15.test_node_on_real_server import *  # noqa: F403


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
        assert 'Reading database "default" (csv)' in run["log"]
        assert "The function has ended" in run["log"].splitlines()[-1]



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



def test_all_tasks_of_a_node_are_killed(federation):
    (node,) = federation.start(RESTARTED)
    federation.stop(AWAY)
    tasks = [federation.create_central(RESTARTED, AWAY) for _ in range(2)]
    for task_id in tasks:
        federation.waiting_for_subtask(task_id)
    federation.manager.node.kill_tasks(federation.station(RESTARTED)["id"])
    for task_id in tasks:
        # Here the server leaves it to the node to set the end.
        run = federation.finished(task_id)[RESTARTED]
        assert run["status"] == "killed by user"
        assert "Stopped by a user" in run["log"]
        assert "Created subtask" in run["log"]
        node.wait_for_line(f"a run was stopped run_id={run['id']}")
    # What it was waiting for is not its own to end.
    for task_id in tasks:
        (subtask,) = federation.subtasks(task_id)
        assert subtask["status"] == "pending"
        federation.manager.task.kill(subtask["id"])
        federation.finished(subtask["id"])



def test_a_node_stays_online_by_its_pings(federation):
    """Slow: takes the rest of the minute since the node was started."""
    (node,) = federation.start(STEADY)
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
    assert trouble(node) == []
    # Neither these nor anything else that nodes have said so far made the server fail.
    assert "Traceback" not in federation.server.output()
