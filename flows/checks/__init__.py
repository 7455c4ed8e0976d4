"""What a change may hold when it is pushed."""
