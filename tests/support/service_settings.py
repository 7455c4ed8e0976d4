"""A small real service for tests: Python's own web server, which serves the service's folder on loopback."""

import yaml

from deployments.local.prefect_server import free_port
from flows.sandbox.services import Service

FILE = ".claude-code-headless.yaml"
PYTHON = "/usr/bin/python3"
"""A Python that every user may run, unlike the one that runs the tests."""


def web_service(name: str = "web", address: str = "127.0.0.1", before: str = "", after: str = "exec") -> Service:
    """Return a service that listens on a free port.

    Args:
        name: The service's name.
        address: The address on which it listens.
        before: Shell commands that run before the server.
        after: What stands before the server's command line.
    """
    port = free_port()
    serve = f"{after} {PYTHON} -m http.server --bind {address} {port}"
    return Service(name, f"id -u > uid.txt\n{before}\n{serve}\n", f"curl -sf http://127.0.0.1:{port}/uid.txt", 20)


def port_of(service: Service) -> int:
    """Return the port of a service that `web_service` made."""
    return int(service.health.rpartition(":")[2].partition("/")[0])


def settings(*services: Service, setup: str = "") -> str:
    """Return the text of the repository's file."""
    values = {service.name: {"command": service.command, "health": service.health} for service in services}
    return yaml.safe_dump({"services": values, **({"setup": setup} if setup else {})})
