"""Runs Claude Code: builds its command line and prompts, reads its events, judges its result, saves checkpoints."""
