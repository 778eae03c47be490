"""`python -m latehook.cli` is the command `latehook`."""

import sys

from latehook.cli import main

sys.exit(main())
