"""The transcript of a run as an HTML page, on which a reviewer can read and search every step of the agent."""
