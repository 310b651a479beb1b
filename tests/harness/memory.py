"""How much memory a node has to offer for so many layers of SmolLM2, and no more."""

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet

MIB = 1 << 20
RESERVE_BYTES = 60 * MIB  # what a runner may need beside weights and cache, and what the planner keeps back for it


def needed_bytes(stage):
    """By a stage of a plan or a placement, without the reserve."""
    return sum(stage[part] for part in ("weight_bytes", "kv_bytes", "compute_bytes"))


def memory_for(layers, context, sequences):
    """So much that each of two nodes can hold either part of the model when it is divided so, head or not."""
    with Fleet(["a", "b"], {"a": [MODELS_FOLDER]}, ["--threads", "1"]) as fleet:
        fleet.wait_joined()
        query = "/plan?model=%s&nodes=a,b&context=%d&sequences=%d&layers=%s" % (SMOLLM2, context, sequences, layers)
        stages = fleet["a"].get(query).json()["stages"]
    return max(map(needed_bytes, stages)) + RESERVE_BYTES + MIB
