"""The command `doctor`: whether a run could succeed, found out without a run."""
