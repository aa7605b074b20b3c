"""From a file nobody has described yet to a draft of its table file: `sluiceway tables infer`.

recognise.py says what kind of file it is, encoding.py and dialect.py how its text is written, provisional.py opens it
with the reader that will load it, profile.py looks at every value, and draft.py writes the TOML. Nothing here is
imported by a task that loads.
"""
