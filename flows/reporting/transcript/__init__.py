"""The transcript of a run as a page, on which a reviewer reads and searches every step of the agent."""
