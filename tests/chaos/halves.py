"""How much memory makes a ring of every placement."""

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet

MIB = 1 << 20
RESERVE_BYTES = 60 * MIB
CONTEXT = 512


def memory_for_half():
    """So much that two machines hold the model between them, and one does not."""
    with Fleet(["a", "b"], {"a": [MODELS_FOLDER]}, ["--threads", "1"]) as fleet:
        fleet.wait_joined()
        query = "/plan?model=%s&nodes=a,b&context=%d&sequences=4&layers=16,14" % (SMOLLM2, CONTEXT)
        stages = fleet["a"].get(query).json()["stages"]
    parts = ("weight_bytes", "kv_bytes", "compute_bytes")
    return max(sum(stage[part] for part in parts) for stage in stages) + RESERVE_BYTES + MIB
