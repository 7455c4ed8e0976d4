"""The transcript of a run as a page: every step of the agent, to be read and searched by who reviews its work."""
