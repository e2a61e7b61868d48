"""Random seeds that depend on the study's seed and on the name of the work alone."""

from __future__ import annotations

import hashlib
import json


def derive_seed(study_seed: int, *names: str | int) -> int:
    """Derive the seed of one piece of work.

    It is in [0, 2**63) and follows from the study's seed and the names of the work, from the general to the
    particular, so adding a participant, a condition or a run leaves every other random draw as it was.

    Examples
    --------
    >>> derive_seed(1, "train_cnn", 3) == derive_seed(1, "train_cnn", 3)
    True
    >>> derive_seed(1, "train_cnn", 3) == derive_seed(1, "train_cnn", 4)
    False
    """
    text = json.dumps([int(study_seed), *names], separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
