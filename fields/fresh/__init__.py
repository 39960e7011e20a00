"""FreSh: the frequency of a field is chosen by the spectra of untrained fields (arXiv 2410.05050).

`options` is free of torch; the rest is imported where it is used.
"""
