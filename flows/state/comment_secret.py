"""Keeps the secret of a run's comments: with it, nobody else can write a comment that the run takes for its own.

It never leaves the run store. Each attempt of the run uses the same one, on any machine.
"""

import secrets

from flows.state.files import StateFile
from flows.state.store import RunStore

_BYTES = 16


def comment_secret(store: RunStore) -> str:
    """Return the run's secret. The first time, make one, and save it before it is used."""
    secret = saved_comment_secret(store)
    if not secret:
        secret = secrets.token_hex(_BYTES)
        store.save_sealed(StateFile.COMMENT_KEY, secret.encode())
    return secret


def saved_comment_secret(store: RunStore) -> str:
    """Return the secret of a run; empty if the run has not come to writing a comment."""
    return (store.read_sealed(StateFile.COMMENT_KEY) or b"").decode()
