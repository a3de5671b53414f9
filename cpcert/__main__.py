"""`python -m cpcert`, the same as `cpcert`."""

import sys

from cpcert.cli import main

sys.exit(main())
