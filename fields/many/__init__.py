"""A data set of shapes as a data set of fields: many small tri-plane fields, fitted and read.

Sources are listed (`listing`), each mesh becomes a pool of samples (`pool`), groups of them are
fitted in one op (`group`), and what comes of it lies in shards with an index (`shards`). `making`
is the whole of it, resumable; `reading` is what a reader of fields begins with.
"""
