"""The log at work: the only package that imports Faust."""
