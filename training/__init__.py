"""Data preparation, training and evaluation of the networks. Not part of the installed extension."""
