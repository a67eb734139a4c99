"""Pages to look through a run's results in a browser, from a table's value to its pair of images.

Static files, which a browser opens without a server and without a network.
"""
