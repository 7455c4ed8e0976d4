"""The steps of a run as Prefect tasks, one file each. A step does only what no earlier attempt of the run has done."""
