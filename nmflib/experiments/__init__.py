"""Programs that take minutes or hours and write the tables of data/results, which the notebooks read."""
