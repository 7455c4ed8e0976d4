"""The steps of a run as Prefect tasks, one file each. A step skips what an earlier attempt of the run has done."""
