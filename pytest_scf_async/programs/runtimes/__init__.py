"""The runtimes of programs: Go, Node.js, custom runtimes, images and what users launch; in the test's process."""
