"""What people see of a run: its report, artifacts, events, log lines, progress and transcript."""
