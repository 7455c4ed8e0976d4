"""Prefect block types for git credentials and for a team's defaults of Claude Code. `make blocks` registers them."""

from blocks.claude_code import ClaudeCode
from blocks.git_credentials import GitCredentials

__all__ = ["ClaudeCode", "GitCredentials"]
