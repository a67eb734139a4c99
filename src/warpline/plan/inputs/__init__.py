"""What each rule of the workflow asks, one file a stage; plain functions of a run and names.

A function's parameters after the run are the rule's wildcards of the same names.
"""
