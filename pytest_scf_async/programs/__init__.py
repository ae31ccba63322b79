"""Programs in any language: what speaks to one, and the processes beside one."""
