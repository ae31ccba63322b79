"""Repairs: changes of the code that survive the whole sweep which has found something wrong with it."""
