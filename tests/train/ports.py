"""Ports for workers that a test starts by hand."""

from reprise.train.launch import reserved_ports


def free_ports(count):
    """Ports of this machine on which nobody listens."""
    with reserved_ports(count) as ports:
        return ports
