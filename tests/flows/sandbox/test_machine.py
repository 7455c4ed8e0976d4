"""What names a machine's image: ECS's digest of it where there is one, and the programs."""

import json
import os
from pathlib import Path

import pytest

from deployments.local.loopback import Exchange, LoopbackServer, ReceivedRequest
from flows.sandbox.machine import machine_digest

METADATA = "ECS_CONTAINER_METADATA_URI_V4"


class Metadata(LoopbackServer):
    """The metadata endpoint of an ECS task."""

    image = "sha256:" + "a" * 64

    def answer(self, request: ReceivedRequest, exchange: Exchange) -> None:
        del request
        exchange.reply(200, json.dumps({"ImageID": self.image}).encode(), {})


def test_the_digest_differs_with_the_image_and_is_the_same_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = machine_digest()
    assert machine_digest() == elsewhere
    with Metadata() as server:
        monkeypatch.setenv(METADATA, f"{server.url}/v4/container")
        first = machine_digest()
        assert first != elsewhere
        assert machine_digest() == first
        server.image = "sha256:" + "b" * 64
        assert machine_digest() not in {first, elsewhere}
    assert machine_digest() == elsewhere, "an endpoint that does not answer ends no run"


def test_the_digest_differs_with_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path}:/nowhere")
    without = machine_digest()
    (tmp_path / "node").write_text("22")
    with_node = machine_digest()
    assert with_node != without
    (tmp_path / "node").write_text("22.1")
    assert machine_digest() not in {without, with_node}
