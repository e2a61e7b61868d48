"""What jobs find on the machine and leave on it: logs, locks, devices, checkpoints."""

import os

# Large tensors get large memory pages, where the system offers them: a training step on a CPU allocates
# hundreds of MB anew, and saves a tenth (RHVAE) to a third (CNN) of its time so. torch reads this when it
# makes its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
