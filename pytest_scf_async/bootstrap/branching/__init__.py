"""Branches of a sweep: processes that go on from a point without the test's process."""
