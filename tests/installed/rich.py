"""Who installs svcmock has no `rich`, and does not wait for it whenever a command starts."""

raise ImportError("not here")
