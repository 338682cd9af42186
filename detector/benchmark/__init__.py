"""How fast a model is here: by engine alone (`network`), and end to end on a video (`video`)."""
