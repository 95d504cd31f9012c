"""svcmock: network-level service virtualization. The daemon; it knows no protocol."""

__version__ = "0.1.0"
