"""A package, so that other processes find it before the package `tests` that sofar's wheel installs."""
