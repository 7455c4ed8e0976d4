"""Claude Code as a program: how it is told what to do, run, listened to and judged, and its way to the model."""
