"""Git hosts: the addresses of their pages."""
