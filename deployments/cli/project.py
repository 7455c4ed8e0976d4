"""The path of this project's directory, from which the commands build the image and deploy the flows."""

from pathlib import Path
from typing import Final

PROJECT_DIRECTORY: Final = Path(__file__).parents[2]
