"""Claude Code as a program and as a session: its command line, prompt, process, events and checkpoints."""
