"""Texts for people, made from the facts of an event: its timeline, the likely cause, what to do."""
