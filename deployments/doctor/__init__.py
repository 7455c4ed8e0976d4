"""The command `doctor`. It checks whether a run could succeed, but does not start one."""
