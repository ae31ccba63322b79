"""What the processes of the product say to each other: messages, shared pages, and what both sides of them know."""
