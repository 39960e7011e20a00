"""`python -m fields`: the command."""

import sys

from fields.cli import main

sys.exit(main())
