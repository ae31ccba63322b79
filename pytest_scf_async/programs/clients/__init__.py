"""Clients of programs, which send a program its events and receive its answers without ever waiting."""
