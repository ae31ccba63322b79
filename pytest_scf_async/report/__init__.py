"""What happened to an event, for people to read."""
