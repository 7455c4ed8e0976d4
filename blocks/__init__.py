"""Prefect block types that store credentials and a team's defaults. `make blocks` registers them."""

from blocks.claude_code import ClaudeCode
from blocks.git_credentials import GitCredentials

__all__ = ["ClaudeCode", "GitCredentials"]
