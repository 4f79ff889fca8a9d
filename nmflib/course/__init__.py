"""Tools of the notebooks: scenes and clips, pictures, players, verdicts and sliders."""
