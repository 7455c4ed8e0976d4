"""The directory of this project, which the commands build and deploy."""

from pathlib import Path
from typing import Final

PROJECT_DIRECTORY: Final = Path(__file__).parents[2]
