"""What is done to a sample so that networks meet it in other guises. A `draw_...` function draws parameters only and
returns a deterministic transform that holds them: applied again, it does the same again."""
