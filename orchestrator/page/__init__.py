"""The web page of a run: its files, what it asks of the server, and where that comes from."""
