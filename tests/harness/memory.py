"""How much memory a node has to offer for so many layers of SmolLM2, and no more."""

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet

MIB = 1 << 20
RESERVE_BYTES = 60 * MIB  # what a runner may need beside weights and cache, and what the planner keeps back for it


def needed_bytes(stage):
    """By a stage of a plan or a placement, without the reserve."""
    return sum(stage[part] for part in ("weight_bytes", "kv_bytes", "compute_bytes"))


def plan_stages(names, query):
    with Fleet(names, {names[0]: [MODELS_FOLDER]}, ["--threads", "1"]) as fleet:
        fleet.wait_joined()
        path = "/plan?model=%s&nodes=%s&%s" % (SMOLLM2, ",".join(names), query)
        return fleet[names[0]].get(path).json()["stages"]


def memory_for(layers, context, sequences):
    """So much that each of two nodes can hold either part of the model when it is divided so, head or not."""
    stages = plan_stages(["a", "b"], "context=%d&sequences=%d&layers=%s" % (context, sequences, layers))
    return max(map(needed_bytes, stages)) + RESERVE_BYTES + MIB


def memory_for_group(machines, context, sequences):
    """So much that each of so many nodes can hold its slice of every layer, and not a larger one."""
    names = ["m%d" % number for number in range(machines)]
    stages = plan_stages(names, "context=%d&sequences=%d&mode=tensor" % (context, sequences))
    return max(map(needed_bytes, stages[0]["members"])) + RESERVE_BYTES + MIB
