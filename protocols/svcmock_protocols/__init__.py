"""The protocol modules that ship with svcmock, one folder each. They import `svcmock.protocol` only."""
