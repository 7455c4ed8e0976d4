"""Shows a run to people: its report, artifacts, events, log lines, progress and transcript."""
