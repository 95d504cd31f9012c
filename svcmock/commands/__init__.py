"""What the commands of the command line do, by what they need: a running daemon, a project, an upstream.

Exit codes: 0 done; 1 the project's files have errors, or a check failed; 2 wrong usage; 3 no daemon runs, or
one runs already; 4 it cannot start (an address in use, a certificate that cannot be read); `svcmock run` gives
its command's own.
"""

OK, PROBLEMS, USAGE, NOT_RUNNING, CANNOT_START = 0, 1, 2, 3, 4
