"""Prefect block types: where the credentials and a team's defaults are kept. `make blocks` registers them."""

from blocks.claude_code import ClaudeCode
from blocks.git_credentials import GitCredentials

__all__ = ["ClaudeCode", "GitCredentials"]
