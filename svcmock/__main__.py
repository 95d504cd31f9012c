"""`python -m svcmock`."""

import sys

from svcmock.cli import main

sys.exit(main())
