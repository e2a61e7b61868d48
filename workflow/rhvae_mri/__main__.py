"""``python -m rhvae_mri``: see `rhvae_mri.command_line`."""

import sys

from rhvae_mri.command_line import main

sys.exit(main())
