"""An algorithm as its developers write it for vantage6 4.x, with the official tools."""

from vantage6.algorithm.tools.decorators import algorithm_client, data
from vantage6.algorithm.tools.util import get_env_var, info


@data(1)
def partial_count_above(frame, column_name, above):
    """How many rows are above a value, unless that is fewer than the organization tells."""
    count = int((frame[column_name] > above).sum())
    smallest = get_env_var("SMALLEST_CELL", default="0", as_type="int")
    info(f"counted with smallest cell {smallest}")
    if 0 < count < smallest:
        return {"count": {"suppressed": f"the count is smaller than {smallest} (smallest_cell)"}}
    return {"count": count}


@algorithm_client
def central_count_above(client, column_name, above, organizations):
    """The sum of what the organizations tell."""
    task = client.task.create(
        input_={"method": "partial_count_above", "kwargs": {"column_name": column_name, "above": above}},
        organizations=organizations,
        name="Counts above a value",
        description="",
    )
    counts = [result["count"] for result in client.wait_for_results(task_id=task["id"], interval=0.5)]
    told = [count for count in counts if isinstance(count, int)]
    return {"count": sum(told), "organizations_that_suppress": len(counts) - len(told)}
