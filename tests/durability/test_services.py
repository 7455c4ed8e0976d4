"""Services of a run that loses its machine: they end with the machine, and the next one starts them again."""

from collections.abc import Callable
from pathlib import Path

from tests.durability.points import Point, during_turn, machine_at
from tests.durability.scene import scene
from tests.support.service_settings import FILE, port_of, settings, web_service
from tests.support.world import World


def test_another_machine_starts_the_services_again(
    make_world: Callable[[dict[str, str]], World], tmp_path: Path
) -> None:
    service = web_service(before="setsid sleep 300 &")
    world = make_world({"README.md": "# A repository\n", FILE: settings(service)})
    healthy = f"service web (127.0.0.1:{port_of(service)}): healthy"
    with scene(world, tmp_path / "store") as the_run:
        with machine_at(the_run, Point("", during_turn(3))) as first:
            assert healthy in first.log()
            first.lose()
        with the_run.machine() as second:
            assert second.wait_for_exit() == 0, second.log()
            assert healthy in second.log()
        assert the_run.run.state == "Completed"
        assert the_run.is_delivered()
