"""`make bench`: measure each row of the table side by side, and write the table to docs/benchmarks.md."""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from tests.bench import page
from tests.bench.checkpoint_row import checkpoints_row
from tests.bench.fetching import clones, instructions
from tests.bench.gateway import gateway_row
from tests.bench.growth import curves, growth, plot
from tests.bench.image import image
from tests.bench.imports import imports
from tests.bench.jobs import real, small
from tests.bench.many import many
from tests.bench.measures import Measure
from tests.bench.region import region
from tests.bench.sides import Sides
from tests.bench.stream import stream
from tests.bench.token_runs import tokens
from tests.bench.tokens import ROW as TOKENS

_Row = Callable[[Sides, int], Iterator[Measure]]
_ROWS: Final[dict[int, _Row]] = {
    1: small, 2: real, 3: instructions, 4: clones, 5: stream, 6: gateway_row, 7: checkpoints_row, 8: many, 9: image,
    10: imports, TOKENS: tokens,
}  # fmt: skip
_GROWTH: Final = 11


def main() -> None:
    """Measure the rows that the command line names."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="*", default=[], help="the rows of the table to measure; all by default"
    )
    parser.add_argument("--pairs", type=int, default=5, help="how many pairs to measure")
    parser.add_argument("--write", action="store_true", help="write to the page even if only some rows are measured")
    options = parser.parse_args()
    rows = options.rows or [*_ROWS, _GROWTH]
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "AWS_", "ANTHROPIC_", "CLAUDE_"))]:
        del os.environ[name]
    started = time.monotonic()
    measures: list[Measure] = []
    with region() as servers:
        sides = Sides(servers)
        for row in rows:
            for measure in _ROWS[row](sides, options.pairs) if row in _ROWS else _growth(sides):
                measures.append(measure)
                page.show([measure])
            print(f"     ({time.monotonic() - started:.0f} s so far)", flush=True)
            if options.write or not options.rows:
                page.write(measures, options.pairs)  # now, so that a failure in a later row loses no measurements


def _growth(sides: Sides) -> Iterator[Measure]:
    all_curves = list(curves(sides))
    plot(all_curves, page.PLOT)
    yield from growth(all_curves)


if __name__ == "__main__":
    main()
