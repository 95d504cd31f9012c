"""Which route answers a request, and why none does."""
