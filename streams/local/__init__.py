"""Shipped parts that play the outside world for development: stack, simulator, model, load."""
