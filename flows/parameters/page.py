"""Writes the tables in docs/parameters.md. The command is `python -m flows.parameters.page docs/parameters.md`.

Each table is between two comments, such as `<!-- parameters of implement -->` and `<!-- end -->`.
"""

import re
import sys
from pathlib import Path

from pydantic import BaseModel

from flows.parameters.deliver import DeliverParameters
from flows.parameters.environment import default_as_text
from flows.parameters.fields import leaves_of
from flows.parameters.follow_up import FollowUpParameters
from flows.parameters.implement import ImplementParameters


def with_tables(page: str) -> str:
    """Return the text of the page, with its tables regenerated from the models."""
    page = _with_table(page, "implement", table(ImplementParameters, variables=True))
    page = _with_table(page, "deliver", table(DeliverParameters, variables=False))
    return _with_table(page, "follow_up", table(FollowUpParameters, variables=True))


def _with_table(page: str, flow: str, rows: str) -> str:
    begin, end = f"<!-- parameters of {flow} -->", "<!-- end -->"
    pattern = f"(?<={re.escape(begin)}).*?(?={re.escape(end)})"
    return re.sub(pattern, lambda _: f"\n\n{rows}\n\n", page, count=1, flags=re.DOTALL)


def table(model: type[BaseModel], *, variables: bool) -> str:
    """Return a Markdown table with one row for each parameter. `variables` adds a column for environment variables."""
    columns = ["parameter", *(["variable"] if variables else []), "default", "description"]
    rows = [columns, ["---"] * len(columns)]
    for parameter in leaves_of(model):
        variable = [f"`{parameter.variable}`"] if variables else []
        text = parameter.help.replace("|", r"\|").replace("*", r"\*")
        default = "required"
        if not parameter.is_required:
            default = f"`{value}`" if (value := default_as_text(parameter)) else ""
        rows.append([f"`{parameter.path}`", *variable, default, text])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")
