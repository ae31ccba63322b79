"""A debugger in a handler, at the user's terminal."""
