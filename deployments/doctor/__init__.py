"""The command `doctor`: checks whether a run could succeed, without starting one."""
