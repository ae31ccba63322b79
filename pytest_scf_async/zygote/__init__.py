"""The process from which instances are forked, and the reaper above it."""
