"""The messages with which triggers invoke functions, as the documents of each service have them."""
