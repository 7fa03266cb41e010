"""Model folders that mean harm: what they do to a good folder, and a process that loads them under watch.

Put `tests/persistence` on `sys.path` and import `hostile.catalogue` for all of them. A case is a function that turns
a good saved model into a hostile one: `case(folder)`. A case that has code to run makes it create `marker(folder)`.
"""
