"""Tools that the notebooks share: scenes and clips, pictures, players, verdicts and sliders."""
