"""The inside of an instance that runs Python code. It loads the standard library and freezegun only."""
