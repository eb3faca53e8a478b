"""The round protocol as pure rules: start at machine.py, which lists the other files."""
