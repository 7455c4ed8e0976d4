"""Runs Claude Code: command line, prompt, process, event stream, session and checkpoints."""
