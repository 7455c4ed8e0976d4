"""The automations, installed for the time of a test."""

from tests.deployments.prefect.automations.conftest import give, installed, receiver

__all__ = ["give", "installed", "receiver"]
