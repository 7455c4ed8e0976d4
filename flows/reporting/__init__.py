"""What people see of a run: report, artifacts, events, log lines, progress and transcript."""
