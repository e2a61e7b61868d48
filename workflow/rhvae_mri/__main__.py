"""``python -m rhvae_mri``: see `rhvae_mri.command_line`."""

import sys

from rhvae_mri.command_line import main

if __name__ == "__main__":
    sys.exit(main())
