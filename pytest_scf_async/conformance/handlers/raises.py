"""A module that cannot be imported."""

raise RuntimeError("this module raises while it is imported")
